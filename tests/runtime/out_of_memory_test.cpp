#include <ouro/runtime/combine.hpp>
#include <ouro/runtime/generator.hpp>
#include <ouro/runtime/io/socket_ops.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/sim/run.hpp>
#include <ouro/runtime/timeout.hpp>
#include <ouro/tests/bare_loop.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstdlib>
#include <new>
#include <string>
#include <thread>
#include <vector>

using namespace ouro;

// Every scenario runs again and again, and fails its 1st, 2nd, 3rd … allocation until it needs no
// more. Each time nothing may be left, and what was thrown must be std::bad_alloc.

namespace {

constexpr long never = -1;

thread_local long allocations_left = never;  // until one fails
thread_local bool fails_from_then_on = false;
thread_local bool has_failed = false;

void count_allocation() {
    if (allocations_left == never) return;
    if (allocations_left > 0) {
        --allocations_left;
        return;
    }
    has_failed = true;
    if (!fails_from_then_on) allocations_left = never;
    throw std::bad_alloc();
}

}  // namespace

[[gnu::noinline]] void* operator new(std::size_t size) {
    count_allocation();
    if (void* memory = std::malloc(size)) return memory;
    throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace {

using scenario = task<> (*)();

/// Memory is short from the first step of the scenario to its end.
task<> with_little_memory(scenario make, long allocations, std::string& wrong) {
    has_failed = false;
    allocations_left = allocations;
    try {
        co_await make();
        allocations_left = never;
    } catch (const std::bad_alloc&) {
        allocations_left = never;
    } catch (const std::exception& error) {
        allocations_left = never;
        wrong += std::string("it threw ") + error.what() + "; ";
    }
}

/// One run on a thread of its own, whose frame pool is empty. True when an allocation has failed.
bool run_with(scenario make, long allocations, bool from_then_on, std::string& wrong) {
    bool failed = false;
    std::thread([&] {
        fails_from_then_on = from_then_on;
        {
            bare_loop loop;
            loop.run(with_little_memory(make, allocations, wrong));
            failed = has_failed;
            loop.run_out();
            if (loop.tasks().records() > 0) wrong += "task records are left; ";
        }
        if (frame_pool::stats().live != 0) wrong += "frames are left; ";
    }).join();
    return failed;
}

/// What went wrong; empty when nothing did.
std::string sweep(scenario make) {
    std::string wrong;
    for (const bool from_then_on : {false, true}) {
        long allocations = 0;
        while (wrong.empty() && run_with(make, allocations, from_then_on, wrong)) ++allocations;
        if (!wrong.empty()) return wrong + "with " + std::to_string(allocations) + " allocations";
        if (allocations < 2) return "it hardly allocates";
    }
    return {};
}

// clang would put the frame of an inlined one into its caller's.
[[gnu::noinline]] task<int> number(int value) {
    co_await yield();
    co_return value;
}

task<> never_ends() {
    for (;;) co_await yield();
}

task<> awaits() {
    const int one = co_await number(1);
    const int two = co_await timeout(std::chrono::hours(1), shield(number(one)));
    if (two != 1) throw std::logic_error("wrong number");
}

task<> spawns() {
    auto first = spawn(number(1));
    auto second = spawn([](int value) -> task<int> { co_return co_await number(value); }, 2);
    const int sum = co_await first;
    const int more = co_await second;
    if (sum + more != 3) throw std::logic_error("wrong sum");
}

task<> many_spawns() {
    std::vector<join_handle<int>> handles;
    for (int i = 0; i < 70; ++i) handles.push_back(spawn(number(i)));
    for (auto& each : handles) co_await each;
}

task<> all() {
    auto five = co_await all_of(number(1), number(2), number(3), yield(), number(5));
    if (std::get<4>(five) != 5) throw std::logic_error("wrong number");
}

task<> race() {
    auto first = co_await any_of(never_ends(), number(2), never_ends(), yield());
    if (first.index() == 0) throw std::logic_error("the endless one won");
}

task<> all_in_vector() {
    std::vector<task<int>> many;
    for (int i = 0; i < 70; ++i) many.push_back(number(i));
    const auto got = co_await all_of(std::move(many));
    if (got.size() != 70) throw std::logic_error("wrong size");
}

task<> branches_that_need_records() {
    std::vector<join_handle<int>> kept;
    for (int i = 0; i < 62; ++i) kept.push_back(spawn(number(i)));
    auto five = co_await all_of(number(1), number(2), number(3), number(4), number(5));
    if (std::get<4>(five) != 5) throw std::logic_error("wrong number");
    for (auto& each : kept) co_await each;
}

task<> scoped() {
    auto inner = [](scope& tasks) -> task<> {
        tasks.spawn(number, 1);
        co_await number(2);
    };
    auto body = [&](scope& tasks) -> task<int> {
        auto child = tasks.spawn(number(1));
        tasks.spawn(with_scope(inner));
        tasks.spawn(
            [](scope& more) -> task<> {
                co_await yield();
                more.spawn(number, 3);
            },
            tasks);
        co_return co_await child;
    };
    const int got = co_await with_scope(body);
    if (got != 1) throw std::logic_error("wrong number");
}

task<> plain_body() {
    auto body = [](scope& tasks) {
        for (int i = 0; i < 70; ++i) tasks.spawn(number, i);
        return number(7);
    };
    const int got = co_await with_scope(body);
    if (got != 7) throw std::logic_error("wrong number");
}

async_generator<std::string> texts() {
    for (int i = 0; i < 3; ++i) {
        co_await yield();
        co_yield std::string(100, 'x');
    }
}

task<> generated() {
    auto all = texts();
    std::size_t bytes = 0;
    while (auto text = co_await all.next()) bytes += text->size();
    if (bytes != 300) throw std::logic_error("wrong size");
}

}  // namespace

TEST_CASE("awaiting survives any failed allocation") { CHECK(sweep(awaits) == ""); }
TEST_CASE("spawning and joining survive any failed allocation") { CHECK(sweep(spawns) == ""); }
TEST_CASE("a growing task map survives any failed allocation") { CHECK(sweep(many_spawns) == ""); }
TEST_CASE("all_of survives any failed allocation") { CHECK(sweep(all) == ""); }
TEST_CASE("any_of survives any failed allocation") { CHECK(sweep(race) == ""); }
TEST_CASE("all_of a vector survives any failed allocation") { CHECK(sweep(all_in_vector) == ""); }
TEST_CASE("branches for which there are no records survive any failed allocation") {
    CHECK(sweep(branches_that_need_records) == "");
}
TEST_CASE("scopes survive any failed allocation") { CHECK(sweep(scoped) == ""); }
TEST_CASE("a plain scope body survives any failed allocation") { CHECK(sweep(plain_body) == ""); }
TEST_CASE("a generator survives any failed allocation") { CHECK(sweep(generated) == ""); }

namespace {

/// Sends a byte with the n-th allocation failing; the error.
task<std::error_code> send_with(descriptor& to, long allocations) {
    std::array<std::byte, 1> byte{};
    allocations_left = allocations;
    const auto sent = co_await as_result(send_op(to, byte));
    allocations_left = never;
    co_return sent.error();
}

// An operation's record, its entry, and its place in the table.
constexpr long allocations_of_submit = 3;

task<> failed_sends() {
    int numbers[2];
    executor::current().io().socket_pair(AF_UNIX, SOCK_STREAM, numbers);
    descriptor near(numbers[0]);
    const descriptor far(numbers[1]);
    CHECK_FALSE(co_await send_with(near, never));
    for (long n = 0; n < allocations_of_submit; ++n) {
        const std::error_code why = co_await send_with(near, n);
        CHECK(why == std::errc::not_enough_memory);
    }
    CHECK_FALSE(co_await send_with(near, never));
}

}  // namespace

TEST_CASE("a simulated operation for which there is no memory ends with that error") {
    run_simulated(failed_sends());
}
