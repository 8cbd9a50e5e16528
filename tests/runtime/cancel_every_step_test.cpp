// What the runtime does, cancelled at every step, in simulation and on the real reactors.

#include <ouro/tests/cancel_every_step.hpp>

#include "works.hpp"

using namespace ouro;
using namespace ouro::testing::works;

TEST_CASE("tasks, scopes and combinators can be cancelled at every step") {
    check_every_step(tasks_of_all_kinds, sweep_on::sim);
}
TEST_CASE("operations on sockets can be cancelled at every step") {
    check_every_step(sockets, sweep_on::all_reactors);
}
TEST_CASE("files, calls and times can be cancelled at every step") {
    check_every_step(waits, sweep_on::all_reactors);
}
TEST_CASE("primitives can be cancelled at every step") {
    check_every_step(primitives, sweep_on::sim);
}
