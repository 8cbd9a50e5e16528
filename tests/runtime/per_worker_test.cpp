#include <ouro/runtime/per_worker.hpp>

#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/remote.hpp>
#include <ouro/runtime/run.hpp>
#include <ouro/runtime/sync/event.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/tests/dies.hpp>

#include <atomic>
#include <functional>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

/// What became of all of them; each holds it, so it may go when the last of them has gone.
struct ledger {
    std::atomic<int> made = 0;
    std::atomic<int> gone = 0;
    std::atomic<int> gone_elsewhere = 0;
};

/// Belongs to a worker and cannot be moved.
struct local {
    explicit local(std::shared_ptr<ledger> of) : book(std::move(of)) { ++book->made; }
    local(local&&) = delete;
    ~local() {
        ++book->gone;
        if (&executor::current() != home) ++book->gone_elsewhere;
    }

    std::shared_ptr<ledger> book;
    executor* home = &executor::current();
    int uses = 0;
};

auto maker_of(std::shared_ptr<ledger> book) {
    return [book] { return local(book); };
}

task<const void*> use(per_worker<local>& all) {
    co_await yield();
    ++all->uses;
    co_return &*all;
}

task<> use_everywhere(per_worker<local>& all) {
    for (unsigned worker = 0; worker < worker_count(); ++worker)
        co_await call_on(worker, use, std::ref(all));
}

TEST_CASE("each worker has one of its own, made there at first use and destroyed there") {
    const auto book = std::make_shared<ledger>();
    auto body = [&]() -> task<> {
        per_worker<local> all(maker_of(book));
        CHECK(book->made == 0);
        CHECK(all.get_if() == nullptr);
        std::vector<const void*> seen;
        for (int round = 0; round < 3; ++round) {
            for (unsigned worker = 0; worker < worker_count(); ++worker) {
                const void* there = co_await call_on(worker, use, std::ref(all));
                if (round == 0) {
                    for (const void* other : seen) CHECK(other != there);
                    seen.push_back(there);
                }
                CHECK(there == seen[worker]);
            }
        }
        CHECK(all.get_if() == seen[0]);
        CHECK(book->made == 4);
        CHECK(book->gone == 0);
    };
    block_on(body(), {.workers = 4});
    CHECK(book->made == 4);
    CHECK(book->gone == 4);
    CHECK(book->gone_elsewhere == 0);
}

TEST_CASE("a worker that does not ask has none") {
    const auto book = std::make_shared<ledger>();
    auto body = [&]() -> task<> {
        per_worker<local> all(maker_of(book));
        co_await call_on(2, use, std::ref(all));
    };
    block_on(body(), {.workers = 3});
    CHECK(book->made == 1);
    CHECK(book->gone == 1);
    CHECK(book->gone_elsewhere == 0);
}

TEST_CASE("close returns when all are gone") {
    const auto book = std::make_shared<ledger>();
    auto body = [&]() -> task<> {
        per_worker<local> all(maker_of(book));
        co_await use_everywhere(all);
        co_await all.close();
        CHECK(book->gone == 3);
        co_await use_everywhere(all);  // made anew
        CHECK(book->made == 6);
        co_await all.close();
        co_await all.close();
        CHECK(book->gone == 6);
    };
    block_on(body(), {.workers = 3});
    CHECK(book->gone == 6);
    CHECK(book->gone_elsewhere == 0);
}

TEST_CASE("what a cancelled close leaves, the destructor sends home") {
    const auto book = std::make_shared<ledger>();
    auto body = [&]() -> task<> {
        per_worker<local> all(maker_of(book));
        co_await use_everywhere(all);
        auto closing = spawn(all.close());
        closing.cancel();
        const auto how = co_await as_result(std::move(closing));
        CHECK(how.error() == errc::cancelled);
        CHECK(book->gone < 4);
    };
    block_on(body(), {.workers = 4});
    CHECK(book->gone == 4);
    CHECK(book->gone_elsewhere == 0);
}

TEST_CASE("it may end on another worker than it was made on") {
    const auto book = std::make_shared<ledger>();
    auto body = [&]() -> task<> {
        auto all = std::make_unique<per_worker<local>>(maker_of(book));
        co_await use_everywhere(*all);
        co_await call_on(
            1, [](std::unique_ptr<per_worker<local>>& last) { last.reset(); }, std::ref(all));
    };
    block_on(body(), {.workers = 3});
    CHECK(book->gone == 3);
    CHECK(book->gone_elsewhere == 0);
}

/// Its end leaves a task behind, as that of a connection may.
struct lingering {
    explicit lingering(std::shared_ptr<ledger> of) : book(std::move(of)) { ++book->made; }
    ~lingering() {
        spawn(
            [](std::shared_ptr<ledger> into) -> task<> {
                for (int i = 0; i < 10; ++i) (void)co_await as_result(yield());
                ++into->gone;
            },
            book);
    }
    std::shared_ptr<ledger> book;
};

TEST_CASE("tasks that the end of one starts are joined by its worker") {
    const auto book = std::make_shared<ledger>();
    auto body = [&]() -> task<> {
        per_worker<lingering> all([&book] { return lingering(book); });
        for (unsigned worker = 0; worker < worker_count(); ++worker) {
            co_await call_on(
                worker, [](per_worker<lingering>& each) { each.get(); }, std::ref(all));
        }
    };
    block_on(body(), {.workers = 4});
    CHECK(book->made == 4);
    CHECK(book->gone == 4);
}

TEST_CASE("a shutdown in the middle ends each on its worker") {
    const auto book = std::make_shared<ledger>();
    auto body = [&]() -> task<> {
        per_worker<local> all(maker_of(book));
        co_await use_everywhere(all);
        auto users = [](per_worker<local>& each) -> task<> {
            for (;;) {
                ++each->uses;
                co_await sleep_for(1ms);
            }
        };
        request_stop();
        for (unsigned worker = 0; worker < worker_count(); ++worker)
            (void)co_await as_result(call_on(worker, users, std::ref(all)));
    };
    block_on(body(), {.workers = 4});
    CHECK(book->made == 4);
    CHECK(book->gone == 4);
    CHECK(book->gone_elsewhere == 0);
}

TEST_CASE("tasks of all workers use theirs at the same time") {
    struct count {
        long long uses = 0;
    };
    auto body = []() -> task<> {
        per_worker<count> all;
        auto user = [](per_worker<count>& each) -> task<long long> {
            for (int i = 0; i < 10'000; ++i) {
                ++each->uses;
                if (i % 100 == 0) co_await yield();
            }
            co_return each->uses;
        };
        long long sum = 0;
        std::vector<join_handle<long long>> calls;
        for (unsigned worker = 0; worker < worker_count(); ++worker) {
            calls.push_back(spawn(
                [](unsigned where, auto there, per_worker<count>& each) -> task<long long> {
                    co_return co_await call_on(where, there, std::ref(each));
                },
                worker, user, std::ref(all)));
        }
        for (auto& each : calls) sum += co_await each;
        CHECK(sum == 40'000);
    };
    block_on(body(), {.workers = 4});
}

OURO_TEST("without other workers there is one, also in simulation") {
    const auto book = std::make_shared<ledger>();
    {
        per_worker<local> all(maker_of(book));
        local* const mine = &all.get();
        const void* const again = co_await use(all);
        CHECK(mine == again);
    }
    CHECK(book->gone == 1);
    per_worker<local> closed(maker_of(book));
    closed.get();
    co_await closed.close();
    CHECK(book->gone == 2);
    CHECK(closed.get_if() == nullptr);
}

OURO_TEST("when making one fails, the next use tries again") {
    int tries = 0;
    per_worker<int> all([&]() -> int {
        if (++tries == 1) throw std::runtime_error("not yet");
        return 7;
    });
    CHECK_THROWS_AS(all.get(), std::runtime_error);
    CHECK(all.get_if() == nullptr);
    CHECK(all.get() == 7);
    CHECK(tries == 2);
    co_return;
}

TEST_CASE("one that nobody used may end anywhere, and one that was used not after the run") {
    {
        per_worker<int> never;
    }
    const auto outlives = [] {
        std::unique_ptr<per_worker<int>> kept;
        auto body = [&]() -> task<> {
            kept = std::make_unique<per_worker<int>>();
            kept->get();
            co_return;
        };
        block_on(body());
        kept.reset();
    };
    CHECK(asserts("inside the run", outlives));
}

}  // namespace
