// works.hpp: every operation, primitive and combinator of the runtime at work, for sweeps that have
// each of their allocations fail, or cancel them at every step. `begin_shortage` is the sweep's.
#pragma once

#include <ouro/runtime/abandonable.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/blocking.hpp>
#include <ouro/runtime/combine.hpp>
#include <ouro/runtime/fs/file.hpp>
#include <ouro/runtime/generator.hpp>
#include <ouro/runtime/io/accept.hpp>
#include <ouro/runtime/io/close.hpp>
#include <ouro/runtime/io/leased_recv.hpp>
#include <ouro/runtime/remote.hpp>
#include <ouro/runtime/run.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/sync/auto_reset_event.hpp>
#include <ouro/runtime/sync/barrier.hpp>
#include <ouro/runtime/sync/broadcast.hpp>
#include <ouro/runtime/sync/channel.hpp>
#include <ouro/runtime/sync/condition.hpp>
#include <ouro/runtime/sync/event.hpp>
#include <ouro/runtime/sync/latch.hpp>
#include <ouro/runtime/sync/mutex.hpp>
#include <ouro/runtime/sync/oneshot.hpp>
#include <ouro/runtime/sync/rw_mutex.hpp>
#include <ouro/runtime/sync/semaphore.hpp>
#include <ouro/runtime/sync/shared_channel.hpp>
#include <ouro/runtime/sync/shared_oneshot.hpp>
#include <ouro/runtime/sync/shared_semaphore.hpp>
#include <ouro/runtime/sync/wait_group.hpp>
#include <ouro/runtime/sync/watch.hpp>
#include <ouro/runtime/time/interval.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>
#include <ouro/tests/runtime/io/sockets.hpp>
#include <ouro/tests/work.hpp>

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace ouro::testing::works {

using namespace std::chrono_literals;

// Sockets.

inline task<> receive_one(descriptor& from) {
    std::array<std::byte, 8> space;
    const std::size_t got = co_await recv_op(from, space);
    expect(got == 1, "a wrong number of bytes");
}

/// One side waits before the other sends, so that both ways of completing are tried.
inline task<> receive_and_send() {
    begin_shortage();
    ends pair = unix_pair();
    auto both = [&](scope& tasks) -> task<> {
        tasks.spawn(receive_one(pair.near));
        co_await yield();
        co_await send_op(pair.far, bytes_of("x"));
    };
    co_await with_scope(both);
    co_await send_op(pair.near, bytes_of("y"));
    co_await receive_one(pair.far);
}

inline task<> send_vectors() {
    begin_shortage();
    ends pair = unix_pair();
    std::string words[2] = {"a", "b"};
    const std::array<iovec, 2> parts{iovec{words[0].data(), 1}, iovec{words[1].data(), 1}};
    const std::size_t sent = co_await send_vector_op(pair.near, parts);
    std::array<std::byte, 2> space;
    const auto got = co_await receive_all(pair.far, std::span(space).first(sent));
    expect(text_of(got) == std::string_view("ab").substr(0, sent), "other bytes");
}

inline task<> receive_leased(descriptor& from) {
    const lease got = co_await leased_recv_op(from);
    expect(text_of(got.data()) == "x", "other bytes");
}

inline task<> lend_buffers() {
    begin_shortage();
    ends pair = unix_pair();
    auto both = [&](scope& tasks) -> task<> {
        tasks.spawn(receive_leased(pair.near));
        co_await yield();
        co_await send_op(pair.far, bytes_of("x"));
    };
    co_await with_scope(both);
    co_await send_op(pair.far, bytes_of("x"));
    co_await receive_leased(pair.near);
}

inline task<> wait_until_readable(descriptor& on) {
    co_await poll_op(on, poll_op::event::readable);
}

inline task<> poll_for_bytes() {
    begin_shortage();
    ends pair = unix_pair();
    co_await poll_op(pair.near, poll_op::event::writable);
    auto both = [&](scope& tasks) -> task<> {
        tasks.spawn(wait_until_readable(pair.near));
        co_await yield();
        co_await send_op(pair.far, bytes_of("x"));
    };
    co_await with_scope(both);
}

/// All connections that were made come out of accept(), or it says that there was no memory.
inline task<> accept_many() {
    begin_shortage();
    acceptor listener(listening_socket());
    const sockaddr_in where = local_name(listener.number());
    std::array<descriptor, 20> near;
    for (descriptor& each : near) {
        each = tcp_socket();
        co_await connect_to(each, where);
    }
    for (std::size_t i = 0; i < near.size(); ++i) co_await listener.accept();
}

inline task<> receive_nothing(descriptor& from) {
    std::array<std::byte, 8> space;
    const auto got = co_await as_result(recv_op(from, space));
    expect(!got, "it received");
}

inline task<> close_under_a_receive() {
    begin_shortage();
    ends pair = unix_pair();
    auto both = [&](scope& tasks) -> task<> {
        tasks.spawn(receive_nothing(pair.near));
        co_await yield();
        co_await close_op(pair.near);
    };
    co_await with_scope(both);
}

// Files and blocking calls.

inline task<> use_a_file() {
    begin_shortage();
    const int fd = ::memfd_create("ouro short", MFD_CLOEXEC);
    expect(fd >= 0, "no file");
    file one{descriptor(fd)};
    file null = co_await file::open("/dev/null", O_RDONLY);
    std::array<std::byte, 16> space;
    co_await one.write_at(bytes_of("hello"), 0);
    co_await one.sync();
    const std::size_t got = co_await one.read_at(space, 0);
    const std::uint64_t size = co_await one.size();
    expect(got == 5 && size == 5, "other bytes");
    co_await one.close();
    co_await null.close();
}

inline int add(int a, int b) { return a + b; }
inline std::string text_of_number(int n) { return std::to_string(n) + std::string(40, '.'); }

inline task<> call_what_blocks() {
    begin_shortage();
    const int sum = co_await blocking(add, 1, 2);
    expect(sum == 3, "a wrong sum");
    const std::string text = co_await blocking(text_of_number, 7);
    expect(text.size() == 41, "another text");
    const int left = co_await abandonable(blocking_lane::lookups, add, 2, 2);
    expect(left == 4, "another sum");
}

// Time.

inline task<> sleep_and_tick() {
    begin_shortage();
    co_await sleep_for(1us);
    interval every(10us);
    for (int i = 0; i < 3; ++i) co_await every.tick();
    const auto late = co_await as_result(timeout(10us, sleep_for(1h)));
    if (late.error() == errc::cancelled) throw_error(errc::cancelled);
    expect(late.error() == errc::timed_out, "it was in time");
    co_await timeout(1h, shield(sleep_for(1us)));
}

/// So many timers that the wheel needs memory, if it ever does.
inline task<> many_sleeps() {
    begin_shortage();
    auto body = [](scope& tasks) -> task<> {
        for (int i = 0; i < 40; ++i)
            tasks.spawn([](int n) -> task<> { co_await sleep_for(n * 1us); }, i);
        co_return;
    };
    co_await with_scope(body);
}

// Primitives: two tasks of a scope, so that somebody waits. Who gets no memory ends the scope.

template <class Of>
task<> in_two(Of& of, task<> (*body)(Of&, int)) {
    auto both = [&of, body](scope& tasks) -> task<> {
        tasks.spawn(body(of, 1));
        co_await yield();
        tasks.spawn(body(of, 0));
    };
    co_await with_scope(both);
}

inline task<> lock_for_a_while(mutex& lock, int) {
    auto held = co_await lock.lock();
    co_await yield();
}
inline task<> use_mutex() {
    begin_shortage();
    mutex lock;
    co_await in_two(lock, lock_for_a_while);
    expect(!lock.locked(), "it is still locked");
}

inline task<> read_or_write(rw_mutex& lock, int which) {
    if (which) {
        auto held = co_await lock.lock();
        co_await yield();
    } else {
        auto held = co_await lock.lock_shared();
        co_await yield();
    }
}
inline task<> use_rw_mutex() {
    begin_shortage();
    rw_mutex lock;
    co_await in_two(lock, read_or_write);
}

inline task<> take_a_permit(semaphore& permits, int) {
    auto permit = co_await permits.acquire();
    co_await yield();
}
inline task<> use_semaphore() {
    begin_shortage();
    semaphore permits{1};
    const auto ended = co_await as_result(in_two(permits, take_a_permit));
    ended.value();
    expect(permits.available() == 1, "a permit is lost");
}

inline task<> meet(barrier& round, int) { co_await round.arrive_and_wait(); }
inline task<> use_barrier() {
    begin_shortage();
    barrier round{2};
    co_await in_two(round, meet);
}

struct signals_of_all_kinds {
    mutex lock;
    condition moved;
    event open;
    auto_reset_event one;
    latch all{2};
    wait_group busy{1};
    int count = 0;
};
inline task<> signal_each_other(signals_of_all_kinds& by, int waits) {
    auto held = co_await by.lock.lock();
    if (waits) {
        while (by.count == 0) co_await by.moved.wait(held);
        held.unlock();
        by.all.count_down();
        co_await by.all.wait();
        co_await by.open.wait();
        co_await by.one.wait();
        co_await by.busy.wait();
    } else {
        ++by.count;
        by.moved.notify_one();
        held.unlock();
        co_await by.all.arrive_and_wait();
        by.open.set();
        by.one.set();
        co_await yield();
        by.busy.done();
    }
}
inline task<> use_signals() {
    begin_shortage();
    signals_of_all_kinds by;
    co_await in_two(by, signal_each_other);
}

using text_channel = channel<std::string>;
inline task<> send_or_receive(text_channel& through, int receives) {
    for (int i = 0; i < 3; ++i) {
        if (receives) {
            const auto got = co_await through.recv();
            expect(got && got->size() == 50, "another text");
        } else {
            const std::string text(50, 'x');
            co_await through.send(text);
        }
    }
}
inline task<> use_channels() {
    begin_shortage();
    for (std::size_t capacity : {0, 2}) {
        text_channel through(capacity);
        co_await in_two(through, send_or_receive);
    }
}

using shared_texts = shared_channel<std::string>;
inline task<> send_or_receive_shared(shared_texts& through, int receives) {
    for (int i = 0; i < 3; ++i) {
        if (receives) {
            const auto got = co_await through.recv();
            expect(got && got->size() == 50, "another text");
        } else {
            const std::string text(50, 'x');
            co_await through.send(text);
        }
    }
}
inline task<> use_shared_channels() {
    begin_shortage();
    shared_texts through(2);
    co_await in_two(through, send_or_receive_shared);
}

inline task<> take_a_shared_permit(shared_semaphore& permits, int) {
    auto permit = co_await permits.acquire();
    co_await yield();
}
inline task<> use_shared_semaphore() {
    begin_shortage();
    shared_semaphore permits{1};
    co_await in_two(permits, take_a_shared_permit);
}

struct news {
    broadcast<std::string> feed{4};
    watch<std::string> latest{std::string(60, 'a')};
    int heard = 0;
};
inline task<> follow_or_tell(news& of, int follows) {
    if (follows) {
        auto mine = of.feed.subscribe();
        auto changes = of.latest.subscribe();
        for (int i = 0; i < 2; ++i) {
            const auto got = co_await mine.recv();
            expect(got && got->size() == 50, "another text");
            co_await changes.changed();
            ++of.heard;
        }
    } else {
        for (int i = 1; i < 3; ++i) {
            of.feed.send(std::string(50, 'x'));
            of.latest.set(std::string(60, 'b'));
            while (of.heard < i) co_await yield();
        }
    }
}
inline task<> use_news() {
    begin_shortage();
    news of;
    co_await in_two(of, follow_or_tell);
}

template <class Ends>
task<> answer_or_ask(Ends& of, int asks) {
    if (asks) {
        const std::string got = co_await of.receiver.recv();
        expect(got.size() == 50, "another text");
    } else {
        of.sender.send(std::string(50, 'x'));
    }
    co_return;
}
inline task<> use_oneshots() {
    begin_shortage();
    auto local = oneshot<std::string>();
    co_await in_two(local, answer_or_ask<decltype(local)>);
    auto shared = shared_oneshot<std::string>();
    co_await in_two(shared, answer_or_ask<decltype(shared)>);
}

// Tasks.

// clang would put the frame of an inlined one into its caller's.
[[gnu::noinline]] inline task<int> number(int value) {
    co_await yield();
    co_return value;
}

inline task<> never_ends() {
    for (;;) co_await yield();
}

inline task<> awaits() {
    begin_shortage();
    const int one = co_await number(1);
    const int two = co_await timeout(std::chrono::hours(1), shield(number(one)));
    if (two != 1) throw std::logic_error("wrong number");
}

inline task<> spawns() {
    begin_shortage();
    auto first = spawn(number(1));
    auto second = spawn([](int value) -> task<int> { co_return co_await number(value); }, 2);
    const int sum = co_await first;
    const int more = co_await second;
    if (sum + more != 3) throw std::logic_error("wrong sum");
}

inline task<> many_spawns() {
    begin_shortage();
    std::vector<join_handle<int>> handles;
    for (int i = 0; i < 70; ++i) handles.push_back(spawn(number(i)));
    for (auto& each : handles) co_await each;
}

inline task<> all() {
    begin_shortage();
    auto five = co_await all_of(number(1), number(2), number(3), yield(), number(5));
    if (std::get<4>(five) != 5) throw std::logic_error("wrong number");
}

inline task<> race() {
    begin_shortage();
    auto first = co_await any_of(never_ends(), number(2), never_ends(), yield());
    if (first.index() == 0) throw std::logic_error("the endless one won");
}

inline task<> all_in_vector() {
    begin_shortage();
    std::vector<task<int>> many;
    for (int i = 0; i < 70; ++i) many.push_back(number(i));
    const auto got = co_await all_of(std::move(many));
    if (got.size() != 70) throw std::logic_error("wrong size");
}

inline task<> branches_that_need_records() {
    begin_shortage();
    std::vector<join_handle<int>> kept;
    for (int i = 0; i < 62; ++i) kept.push_back(spawn(number(i)));
    auto five = co_await all_of(number(1), number(2), number(3), number(4), number(5));
    if (std::get<4>(five) != 5) throw std::logic_error("wrong number");
    for (auto& each : kept) co_await each;
}

inline task<> scoped() {
    begin_shortage();
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

inline task<> plain_body() {
    begin_shortage();
    auto body = [](scope& tasks) {
        for (int i = 0; i < 70; ++i) tasks.spawn(number, i);
        return number(7);
    };
    const int got = co_await with_scope(body);
    if (got != 7) throw std::logic_error("wrong number");
}

inline async_generator<std::string> texts() {
    for (int i = 0; i < 3; ++i) {
        co_await yield();
        co_yield std::string(100, 'x');
    }
}

inline task<> generated() {
    begin_shortage();
    auto all = texts();
    std::size_t bytes = 0;
    while (auto text = co_await all.next()) bytes += text->size();
    if (bytes != 300) throw std::logic_error("wrong size");
}

inline const work tasks_of_all_kinds[] = {
    {"await", awaits, 2},
    {"spawn, join", spawns, 2},
    {"a growing task map", many_spawns, 2},
    {"all_of", all, 2},
    {"any_of", race, 2},
    {"all_of a vector", all_in_vector, 2},
    {"branches without records", branches_that_need_records, 2},
    {"scopes", scoped, 2},
    {"a plain scope body", plain_body, 2},
    {"async_generator", generated, 2},
    {"many sleeps", many_sleeps},
};

inline const work sockets[] = {
    {"recv, send", receive_and_send},    {"send from several places", send_vectors},
    {"leased recv", lend_buffers, 4},    {"poll", poll_for_bytes},
    {"accept, connect", accept_many, 4}, {"close", close_under_a_receive},
};

inline const work waits[] = {
    {"files", use_a_file},
    {"blocking, abandonable", call_what_blocks},
    {"sleep, interval, timeout, shield", sleep_and_tick, 0},
};

inline const work primitives[] = {
    {"mutex", use_mutex},
    {"rw_mutex", use_rw_mutex},
    {"semaphore", use_semaphore},
    {"barrier", use_barrier},
    {"condition, events, latch, wait_group", use_signals},
    {"channel", use_channels},
    {"shared_channel", use_shared_channels},
    {"shared_semaphore", use_shared_semaphore},
    {"broadcast, watch", use_news},
    {"oneshot, shared_oneshot", use_oneshots},
};

}  // namespace ouro::testing::works
