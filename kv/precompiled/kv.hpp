// precompiled/kv.hpp: what nearly every source of kv includes, read once per build.
//
// Each source still names what it uses: CI also builds without precompiled headers (-Db_pch=false).
// No guard: it is compiled by itself, where g++ warns of one.

#include <ouro/net/session/session.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/task.hpp>
#include <ouro/runtime/timeout.hpp>

#include <algorithm>
#include <string>
#include <vector>
