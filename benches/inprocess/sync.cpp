// Worker-local primitives: what tasks of one worker do with each other.

#include "works.hpp"
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/sync/channel.hpp>
#include <ouro/runtime/sync/mutex.hpp>
#include <ouro/runtime/sync/oneshot.hpp>
#include <ouro/runtime/sync/semaphore.hpp>

namespace inprocess {

namespace {

constexpr int batch = 10'000;

ouro::task<> send_until_closed(ouro::channel<int>& out) {
    for (int i = 0; co_await ouro::as_result(out.send(i)); ++i) {
    }
}

ouro::task<> echo(ouro::channel<int>& in, ouro::channel<int>& out) {
    while (const auto value = co_await in.recv()) co_await out.send(*value);
}

}  // namespace

/// A bounded channel of 128 ints, one producer task and one consumer task.
/// Operation: one item.
ouro::task<> channel_128(stopwatch& watch) {
    ouro::channel<int> items(128);
    auto consume = [&](ouro::scope& tasks) -> ouro::task<> {
        tasks.spawn(send_until_closed, items);
        int next = 0;
        while (watch.goes_on()) {
            for (int i = 0; i < batch; ++i) check(co_await items.recv() == next++);
            watch.count(batch);
        }
        items.close();
    };
    co_await ouro::with_scope(consume);
}

/// Two tasks and two channels of capacity 1: one sends an int, the other sends it back.
/// Operation: one round trip.
ouro::task<> channel_1_ping_pong(stopwatch& watch) {
    ouro::channel<int> there(1);
    ouro::channel<int> back(1);
    auto play = [&](ouro::scope& tasks) -> ouro::task<> {
        tasks.spawn(echo, there, back);
        while (watch.goes_on()) {
            for (int i = 0; i < batch; ++i) {
                co_await there.send(i);
                check(co_await back.recv() == i);
            }
            watch.count(batch);
        }
        there.close();
    };
    co_await ouro::with_scope(play);
}

/// Locks and unlocks a mutex that nobody else wants.
/// Operation: one lock and unlock.
ouro::task<> mutex(stopwatch& watch) {
    ouro::mutex lock;
    std::uint64_t guarded = 0;
    while (watch.goes_on()) {
        const std::uint64_t before = guarded;
        for (int i = 0; i < batch; ++i) {
            const auto held = co_await lock.lock();
            ++guarded;
        }
        check(guarded == before + batch);
        watch.count(batch);
    }
}

/// Acquires and releases one permit of a semaphore that has enough.
/// Operation: one acquisition and release.
ouro::task<> semaphore(stopwatch& watch) {
    ouro::semaphore permits(2);
    while (watch.goes_on()) {
        for (int i = 0; i < batch; ++i) {
            const auto permit = co_await permits.acquire();
            check(permits.available() == 1);
        }
        watch.count(batch);
    }
}

/// Creates a oneshot, sends an int into it and receives it, all in one task.
/// Operation: one oneshot.
ouro::task<> oneshot(stopwatch& watch) {
    while (watch.goes_on()) {
        for (int i = 0; i < batch; ++i) {
            auto [reply, response] = ouro::oneshot<int>();
            reply.send(i);
            check(co_await response.recv() == i);
        }
        watch.count(batch);
    }
}

}  // namespace inprocess
