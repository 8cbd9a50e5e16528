#include <ouro/runtime/engine/frame_pool.hpp>
#include <ouro/runtime/generator.hpp>
#include <ouro/runtime/run.hpp>
#include <ouro/runtime/sync/barrier.hpp>
#include <ouro/runtime/sync/broadcast.hpp>
#include <ouro/runtime/sync/channel.hpp>
#include <ouro/runtime/sync/condition.hpp>
#include <ouro/runtime/sync/mutex.hpp>
#include <ouro/runtime/sync/oneshot.hpp>
#include <ouro/runtime/sync/rw_mutex.hpp>
#include <ouro/runtime/sync/semaphore.hpp>
#include <ouro/runtime/sync/watch.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <new>

namespace {
std::atomic<std::uint64_t> allocations = 0;
}

// Every allocation of this program comes by here.
[[gnu::noinline]] void* operator new(std::size_t size) {
    allocations.fetch_add(1, std::memory_order_relaxed);
    if (void* memory = std::malloc(size)) return memory;
    throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

using namespace ouro;
using namespace std::chrono_literals;

namespace {

constexpr int rounds = 1000;

// Lets `work(on)` run twice to warm up, and counts what the third time allocates. Under
// AddressSanitizer coroutine frames are not pooled; they are left out of the count then.
template <class On>
task<std::uint64_t> allocations_of(task<> (*work)(On&), On& on) {
    co_await work(on);
    co_await work(on);
    const bool pooled = frame_pool::stats().cached_bytes > 0;
    const std::uint64_t frames_before = frame_pool::stats().from_system;
    const std::uint64_t before = allocations.load();
    co_await work(on);
    const std::uint64_t all = allocations.load() - before;
    co_return pooled ? all : all - (frame_pool::stats().from_system - frames_before);
}

// Two tasks do the same with one object, so that each waits for the other.
template <class On>
task<> together(task<> (*work)(On&), On& on) {
    auto other = spawn(work, std::ref(on));
    co_await work(on);
    co_await other;
}

task<> lock_and_unlock(mutex& lock) {
    for (int i = 0; i < rounds; ++i) auto held = co_await lock.lock();
}

task<> lock_and_yield(mutex& lock) {
    for (int i = 0; i < rounds; ++i) {
        auto held = co_await lock.lock();
        co_await yield();
    }
}

task<> two_lock(mutex& lock) { return together(lock_and_yield, lock); }

task<> read_and_write(rw_mutex& lock) {
    for (int i = 0; i < rounds; ++i) {
        auto shared = co_await lock.lock_shared();
        co_await yield();
        shared.unlock();
        auto held = co_await lock.lock();
        co_await yield();
    }
}

task<> two_read_and_write(rw_mutex& lock) { return together(read_and_write, lock); }

task<> acquire_and_yield(semaphore& permits) {
    for (int i = 0; i < rounds; ++i) {
        auto permit = co_await permits.acquire();
        co_await yield();
    }
}

task<> two_acquire(semaphore& permits) { return together(acquire_and_yield, permits); }

task<> arrive(barrier& round) {
    for (int i = 0; i < rounds; ++i) co_await round.arrive_and_wait();
}

task<> two_arrive(barrier& round) { return together(arrive, round); }

task<> use_locks() {
    mutex lock;
    CHECK(co_await allocations_of(lock_and_unlock, lock) == 0);
    CHECK(co_await allocations_of(two_lock, lock) == 0);
    rw_mutex shared;
    CHECK(co_await allocations_of(two_read_and_write, shared) == 0);
    semaphore permits{1};
    CHECK(co_await allocations_of(two_acquire, permits) == 0);
    barrier round{2};
    CHECK(co_await allocations_of(two_arrive, round) == 0);
}

// Whoever has the ball changes it and tells the other.
struct ball {
    mutex lock;
    condition moved;
    int count = 0;
};

task<> play(ball& with, int parity) {
    auto held = co_await with.lock.lock();
    for (int i = 0; i < rounds; ++i) {
        while (with.count % 2 != parity) co_await with.moved.wait(held);
        ++with.count;
        with.moved.notify_one();
    }
}

task<> two_play(ball& with) {
    auto other = spawn(play, std::ref(with), 1);
    co_await play(with, 0);
    co_await other;
}

task<> use_conditions() {
    ball one;
    CHECK(co_await allocations_of(two_play, one) == 0);
}

task<> send_numbers(channel<int>& to) {
    for (int i = 0; i < rounds; ++i) co_await to.send(int(i));
}

task<> pass_numbers(channel<int>& through) {
    auto producer = spawn(send_numbers, std::ref(through));
    for (int i = 0; i < rounds; ++i) co_await through.recv();
    co_await producer;
}

task<> pass_by_permit(channel<int>& through) {
    for (int i = 0; i < rounds; ++i) {
        auto permit = co_await through.reserve();
        permit.send(i);
        co_await through.recv();
    }
}

task<> use_channels() {
    for (std::size_t capacity : {0, 1, 128}) {
        channel<int> numbers(capacity);
        CHECK(co_await allocations_of(pass_numbers, numbers) == 0);
    }
    channel<int> numbers(1);
    CHECK(co_await allocations_of(pass_by_permit, numbers) == 0);
}

task<> reply_once(oneshot_sender<int> reply) {
    reply.send(1);
    co_return;
}

task<> ask_and_reply(int& sum) {
    for (int i = 0; i < rounds; ++i) {
        auto [reply, answer] = oneshot<int>();
        auto replying = spawn(reply_once(std::move(reply)));
        sum += co_await answer.recv();
        co_await replying;
    }
}

struct audience {
    broadcast<int> feed{4};
    watch<int> latest{0};
};

task<> listen(audience& in) {
    auto mine = in.feed.subscribe();
    for (int i = 0; i < rounds; ++i) co_await mine.recv();
}

task<> follow(audience& in) {
    auto mine = in.latest.subscribe();
    while (mine.get() < rounds) co_await mine.changed();
}

task<> perform(audience& in) {
    in.latest.set(0);
    auto listener = spawn(listen, std::ref(in));
    auto follower = spawn(follow, std::ref(in));
    while (in.feed.receivers() + in.latest.receivers() < 2) co_await yield();
    for (int i = 1; i <= rounds; ++i) {
        in.feed.send(i);
        in.latest.set(i);
        co_await yield();
        co_await yield();
    }
    co_await listener;
    co_await follower;
}

task<> use_messages() {
    int sum = 0;
    CHECK(co_await allocations_of(ask_and_reply, sum) == 0);
    audience in;
    CHECK(co_await allocations_of(perform, in) == 0);
}

async_generator<int> count() {
    for (int i = 0; i < rounds; ++i) co_yield i;
}

task<> add_up(int& sum) {
    auto numbers = count();
    while (auto number = co_await numbers.next()) sum += *number;
}

task<> sleep_again_and_again(int&) {
    for (int i = 0; i < rounds; ++i) co_await sleep_for(0ns);
}

task<> lock_in_time(mutex& lock) {
    for (int i = 0; i < rounds; ++i) auto held = co_await timeout(1s, lock.lock());
}

task<> nothing() { co_return; }

task<> spawn_and_join(int&) {
    for (int i = 0; i < rounds; ++i) {
        auto started = spawn(nothing());
        co_await started;
    }
}

task<> use_tasks() {
    int sum = 0;
    CHECK(co_await allocations_of(add_up, sum) == 0);
    CHECK(co_await allocations_of(sleep_again_and_again, sum) == 0);
    CHECK(co_await allocations_of(spawn_and_join, sum) == 0);
    mutex lock;
    CHECK(co_await allocations_of(lock_in_time, lock) == 0);
}

// Not in simulation, which allocates to draw its orders.

TEST_CASE("locks, permits and barriers cost no allocation, contended or not") {
    block_on(use_locks());
}

TEST_CASE("notifications cost no allocation") { block_on(use_conditions()); }

TEST_CASE("a channel costs no allocation per value") { block_on(use_channels()); }

TEST_CASE("oneshots, broadcasts and watches cost no allocation per value") {
    block_on(use_messages());
}

TEST_CASE("sleeping, spawning, joining and generating cost no allocation") {
    block_on(use_tasks());
}

TEST_CASE("the counting works") {
    const std::uint64_t before = allocations.load();
    ::operator delete(::operator new(1));  // a new-expression could be optimised away
    CHECK(allocations.load() > before);
}

}  // namespace
