// What the runtime does with each of its allocations failing in turn, on the real reactors.

#include <ouro/tests/fail_every_allocation.hpp>

#include "works.hpp"

using namespace ouro;
using namespace ouro::testing::works;

TEST_CASE("tasks, scopes and combinators survive any failed allocation") {
    check_every_allocation(tasks_of_all_kinds);
}
TEST_CASE("operations on sockets survive any failed allocation") {
    check_every_allocation(sockets);
}
TEST_CASE("files, calls and times survive any failed allocation") { check_every_allocation(waits); }
TEST_CASE("primitives survive any failed allocation") { check_every_allocation(primitives); }
