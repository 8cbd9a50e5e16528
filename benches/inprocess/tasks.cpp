// Tasks: starting them, switching between them, awaiting them.

#include "works.hpp"
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/spawn.hpp>

namespace inprocess {

namespace {

constexpr int batch = 10'000;

ouro::task<int> answer(int value) { co_return value; }

ouro::task<> yield_often(int times) {
    for (int i = 0; i < times; ++i) co_await ouro::yield();
}

}  // namespace

/// Spawns a task that returns an int, and awaits it; one at a time.
/// Operation: one task spawned and joined.
ouro::task<> spawn_join(stopwatch& watch) {
    while (watch.goes_on()) {
        for (int i = 0; i < batch; ++i) check(co_await ouro::spawn(answer(i)) == i);
        watch.count(batch);
    }
}

/// One task yields in a loop, and nothing else is ready.
/// Operation: one yield.
ouro::task<> yield_1(stopwatch& watch) {
    while (watch.goes_on()) {
        co_await yield_often(batch);
        watch.count(batch);
    }
}

/// 1000 tasks yield in turn. A batch spawns them, each yields 1000 times, and all are joined, so
/// that a thousandth of a spawn and join is in each operation.
/// Operation: one yield.
ouro::task<> yield_1000(stopwatch& watch) {
    constexpr int tasks = 1000, yields = 1000;
    auto spawn_all = [](ouro::scope& all) -> ouro::task<> {
        for (int i = 0; i < tasks; ++i) all.spawn(yield_often(yields));
        co_return;
    };
    while (watch.goes_on()) {
        co_await ouro::with_scope(spawn_all);
        watch.count(tasks * yields);
    }
}

/// Calls a coroutine that returns an int at once, and awaits it. In ouro it costs a frame; rustc
/// inlines an async fn to nothing, so that the two are no rivals.
/// Operation: one call.
ouro::task<> await_ready(stopwatch& watch) {
    while (watch.goes_on()) {
        for (int i = 0; i < batch; ++i) check(co_await answer(i) == i);
        watch.count(batch);
    }
}

}  // namespace inprocess
