// precompiled/tests.hpp: what nearly every test includes, read once per crate and build.
//
// Each test still names what it uses: CI also builds without precompiled headers (-Db_pch=false).
// No guard: it is compiled by itself, where g++ warns of one.

#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>
