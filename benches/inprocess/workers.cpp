// Crossing from one worker to another.

#include "works.hpp"
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/remote.hpp>
#include <ouro/runtime/sync/shared_channel.hpp>

#include <memory>

namespace inprocess {

namespace {

using queue = ouro::shared_channel<int>;

/// Both directions of a conversation.
struct connection {
    queue there{1};
    queue back{1};
};

ouro::task<> echo(std::shared_ptr<connection> with) {
    while (const auto value = co_await with->there.recv()) co_await with->back.send(*value);
}

ouro::task<> send_until_closed(std::shared_ptr<queue> out) {
    for (int i = 0; co_await ouro::as_result(out->send(i)); ++i) {
    }
}

ouro::task<> answer(std::shared_ptr<queue> out, int value) { co_await out->send(value); }

}  // namespace

/// Two tasks on two workers and two channels of capacity 1: one sends an int, the other sends it
/// back.
/// Operation: one round trip.
ouro::task<> cross_worker_ping_pong(stopwatch& watch) {
    constexpr int batch = 100;
    auto with = std::make_shared<connection>();
    ouro::spawn_on(1, echo, with);
    while (watch.goes_on()) {
        for (int i = 0; i < batch; ++i) {
            co_await with->there.send(i);
            check(co_await with->back.recv() == i);
        }
        watch.count(batch);
    }
    with->there.close();
}

/// A bounded channel of 128 ints, the producer on one worker and the consumer on another.
/// Operation: one item.
ouro::task<> cross_worker_throughput(stopwatch& watch) {
    constexpr int batch = 10'000;
    auto items = std::make_shared<queue>(128);
    ouro::spawn_on(1, send_until_closed, items);
    int next = 0;
    while (watch.goes_on()) {
        for (int i = 0; i < batch; ++i) check(co_await items->recv() == next++);
        watch.count(batch);
    }
    items->close();
}

/// Spawns tasks that return an int on whatever worker has time, and joins them; 64 are on their
/// way at any time, and each that comes back is followed by a new one.
/// Operation: one task spawned and joined.
ouro::task<> spawn_anywhere(stopwatch& watch) {
    constexpr int in_flight = 64, batch = 1000;
    auto answers = std::make_shared<queue>(in_flight);
    for (int i = 0; i < in_flight; ++i) ouro::spawn_anywhere(answer, answers, i);
    while (watch.goes_on()) {
        for (int i = 0; i < batch; ++i) {
            const int value = (co_await answers->recv()).value();
            ouro::spawn_anywhere(answer, answers, value);
        }
        watch.count(batch);
    }
    int sum = 0;
    for (int i = 0; i < in_flight; ++i) sum += (co_await answers->recv()).value();
    check(sum == in_flight * (in_flight - 1) / 2);
}

}  // namespace inprocess
