// precompiled/runtime.hpp: what nearly every source of runtime includes, read once per build.
//
// Each source still names what it uses: CI also builds without precompiled headers (-Db_pch=false).
#pragma once

#include <ouro/runtime/executor.hpp>
#include <ouro/runtime/io/io_await.hpp>
#include <ouro/runtime/task.hpp>

#include <algorithm>
#include <string>
#include <vector>
