#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/testing/run.hpp>
#include <ouro/runtime/time/sleep.hpp>

#include <chrono>
#include <string>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

OURO_TEST("every world begins at the same moment") {
    CHECK(clock::exact_now().time_since_epoch().count() == sim::world::beginning);
    CHECK(clock::now() == clock::exact_now());
    co_return;
}

OURO_TEST("a sleep ends exactly when it is due") {
    for (const duration length : {duration(1), duration(1ms), duration(1s), duration(25h)}) {
        const time_point before = clock::exact_now();
        co_await sleep_for(length);
        CHECK(clock::now() == before + length);
        CHECK(clock::exact_now() == before + length);
    }
}

task<> sleep_and_note(duration length, std::string& order, char what) {
    co_await sleep_for(length);
    order += what;
}

OURO_TEST("sleeps end in the order of their deadlines") {
    std::string order;
    co_await with_scope([&](scope& tasks) -> task<> {
        tasks.spawn(sleep_and_note, 30ms, order, 'c');
        tasks.spawn(sleep_and_note, 10ms, order, 'a');
        tasks.spawn(sleep_and_note, 20ms, order, 'b');
        co_return;
    });
    CHECK(order == "abc");
}

OURO_TEST("time stands still while tasks run") {
    const time_point before = clock::exact_now();
    for (int i = 0; i < 10'000; ++i) co_await yield();
    CHECK(clock::exact_now() == before);
}

OURO_TEST("a year passes without anybody waiting for it") {
    const time_point before = clock::exact_now();
    for (int day = 0; day < 365; ++day) co_await sleep_for(24h);
    CHECK(clock::exact_now() == before + 365 * 24h);
}

}  // namespace
