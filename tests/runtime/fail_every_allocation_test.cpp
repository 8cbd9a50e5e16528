// What the runtime does with each of its allocations failing in turn, on the real reactors.

#include <ouro/tests/fail_every_allocation.hpp>

#include "works.hpp"
#include <ouro/runtime/spawn.hpp>

#include <sys/socket.h>

#include <array>
#include <stdexcept>
#include <string>
#include <system_error>

using namespace ouro;
using namespace ouro::testing::works;

namespace {

task<> fail_with_words() {
    co_await yield();
    throw std::runtime_error("more words than a string holds in itself");
}

/// Nobody joins it, so its failure is logged.
task<> fail_unheard() {
    const auto before = executor::current().stats().failed_detached;
    begin_shortage();
    spawn(fail_with_words()).detach();
    while (executor::current().stats().failed_detached == before) co_await yield();
}

const work failures[] = {{"a task that nobody joins", fail_unheard, 2}};

/// Sends a byte with one of the allocations failing.
task<std::error_code> send_without_memory(descriptor& to, long after) {
    const std::array<std::byte, 1> byte{};
    shortage.after = after;
    begin_shortage();
    const auto sent = co_await as_result(send_op(to, byte));
    end_shortage();
    co_return sent.error();
}

task<> submit_without_memory() {
    int numbers[2];
    REQUIRE(executor::current().io().socket_pair(AF_UNIX, SOCK_STREAM, numbers) == 0);
    descriptor near(numbers[0]);
    const descriptor far(numbers[1]);
    constexpr long allocations_of_submit = 2;  // what it is to do, and its place in the table
    CHECK_FALSE(co_await send_without_memory(near, memory_shortage::never));
    for (long n = 0; n < allocations_of_submit; ++n) {
        const std::error_code why = co_await send_without_memory(near, n);
        CHECK(is_want_of_memory(why));
    }
    CHECK_FALSE(co_await send_without_memory(near, memory_shortage::never));
}

}  // namespace

TEST_CASE("tasks, scopes and combinators survive any failed allocation") {
    check_every_allocation(tasks_of_all_kinds);
}
TEST_CASE("operations on sockets survive any failed allocation") {
    check_every_allocation(sockets);
}
TEST_CASE("files, calls and times survive any failed allocation") { check_every_allocation(waits); }
TEST_CASE("primitives survive any failed allocation") { check_every_allocation(primitives); }
TEST_CASE("a failure that nobody hears of is logged whatever allocation fails") {
    check_every_allocation(failures);
}

TEST_CASE("a simulated operation for which there is no memory ends with that error") {
    const sim::trial_report report =
        sim::run_trial(sim::make_reactor({.seed = 1}), submit_without_memory(), {});
    CHECK(sim::complaint(report) == "");
}
