#include <ouro/net/pool/pool.hpp>

#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>
#include <ouro/tests/net/fake_pool.hpp>

#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

// --- lending ----------------------------------------------------------------------------------

OURO_TEST("a connection is opened when it is needed first and used again") {
    story s;
    CHECK(s.pool.figures().open == 0);
    {
        auto lease = co_await s.pool.acquire();
        CHECK(lease->id == 1);
        CHECK(s.pool.figures().leased == 1);
    }
    CHECK(s.pool.figures().idle == 1);
    auto again = co_await s.pool.acquire();
    CHECK((*again).id == 1);
    CHECK(s.there.attempts == 1);
    CHECK(s.pool.figures().acquired == 2);
    CHECK(s.pool.figures().acquired_late == 1);
}

OURO_TEST("the connection that was used last is lent first") {
    story s;
    auto a = co_await s.pool.acquire();
    auto b = co_await s.pool.acquire();
    const int first = a->id;
    const int second = b->id;
    b.release();
    a.release();
    CHECK(!a);
    auto c = co_await s.pool.acquire();
    CHECK(c->id == first);
    auto d = co_await s.pool.acquire();
    CHECK(d->id == second);
}

OURO_TEST("an idle connection is taken without suspending, by try_acquire, too") {
    story s;
    auto none = s.pool.try_acquire();
    CHECK(!none);
    CHECK(s.there.attempts == 0);
    auto lease = co_await s.pool.acquire();
    lease.release();
    lease = s.pool.try_acquire();
    CHECK(lease);
    CHECK(!s.pool.try_acquire());
}

OURO_TEST("there are never more connections than the maximum") {
    story s(small(3));
    std::string order;
    co_await with_scope([&](scope& tasks) -> task<> {
        for (int i = 0; i < 50; ++i) tasks.spawn(hold, s.pool, order, 'x', 1ms);
        co_return;
    });
    CHECK(order.size() == 50);
    CHECK(s.there.attempts == 3);
    CHECK(s.there.connected.size() == 3);
}

OURO_TEST("there are never more attempts at a time than their maximum") {
    pool_options options = small(20);
    options.connecting_max = 2;
    story s(options);
    std::string order;
    co_await with_scope([&](scope& tasks) -> task<> {
        for (int i = 0; i < 20; ++i) tasks.spawn(hold, s.pool, order, 'x', 1s);
        co_return;
    });
    CHECK(s.there.attempts_at_once_max == 2);
    CHECK(s.there.attempts == 20);
}

OURO_TEST("waiters are served in the order in which they came") {
    story s(small(1));
    std::string order;
    co_await with_scope([&](scope& tasks) -> task<> {
        for (char name = 'a'; name <= 'h'; ++name) {
            tasks.spawn(hold, s.pool, order, name, 1ms);
            co_await settle();
        }
    });
    CHECK(order == "abcdefgh");
}

OURO_TEST("a newcomer does not overtake a waiter") {
    story s(small(1));
    std::string order;
    co_await with_scope([&](scope& tasks) -> task<> {
        auto lease = co_await s.pool.acquire();
        tasks.spawn(hold, s.pool, order, 'a', 0ms);
        co_await settle();
        lease.release();
        CHECK(!s.pool.try_acquire());
        auto mine = co_await s.pool.acquire();
        order += 'b';
    });
    CHECK(order == "ab");
}

OURO_TEST("a discarded connection is closed at once and another opened when needed") {
    story s(small(1));
    auto lease = co_await s.pool.acquire();
    lease.discard();
    CHECK(s.there.connected.empty());
    CHECK(s.pool.figures().discarded == 1);
    CHECK(s.pool.figures().open == 0);
    auto next = co_await s.pool.acquire();
    CHECK(next->id == 2);
}

OURO_TEST("a waiter gets a new connection when the one it waited for is discarded") {
    story s(small(1));
    std::string order;
    co_await with_scope([&](scope& tasks) -> task<> {
        auto lease = co_await s.pool.acquire();
        tasks.spawn(hold, s.pool, order, 'a', 0ms);
        co_await settle();
        lease.discard();
    });
    CHECK(order == "a");
    CHECK(s.there.attempts == 2);
}

OURO_TEST("a lease moves, and what it replaces goes back") {
    story s;
    auto a = co_await s.pool.acquire();
    auto b = co_await s.pool.acquire();
    const int kept = b->id;
    a = std::move(b);
    CHECK(a->id == kept);
    CHECK(!b);
    CHECK(s.pool.figures().idle == 1);
    a = {};
    CHECK(s.pool.figures().idle == 2);
}

OURO_TEST("a function that connects is enough") {
    const auto there = std::make_shared<server>();
    int made = 0;
    {
        fake_pool pool([&]() -> task<std::unique_ptr<fake>> {
            ++made;
            co_await yield();
            co_return std::make_unique<fake>(there, made);
        });
        auto lease = co_await pool.acquire();
        CHECK(lease->id == 1);
    }
    CHECK(there->closed == std::vector{1});
}

// --- limits of waiting --------------------------------------------------------------------------

OURO_TEST("a waiter is told when its time is up, and then the next one is served") {
    pool_options options = small(1);
    options.acquire_timeout = 10ms;
    story s(options);
    auto lease = co_await s.pool.acquire();
    const time_point start = clock::now();
    const std::error_code error = co_await error_of_acquire(s.pool, 3ms);
    CHECK(error == errc::timed_out);
    CHECK(clock::now() - start >= 3ms);
    CHECK(clock::now() - start < 4ms);
    auto second = co_await as_result(s.pool.acquire());
    CHECK(second.error() == errc::timed_out);
    CHECK(clock::now() - start >= 13ms);
    CHECK(s.pool.figures().timeouts == 2);
    CHECK(s.pool.figures().waiting == 0);
    lease.release();
    CHECK(s.pool.try_acquire());
}

task<std::string> what_of_acquiring(story& s, duration patience) {
    try {
        auto lease = co_await s.pool.acquire(patience);
    } catch (const std::system_error& failure) {
        co_return failure.what();
    }
    co_return "none";
}

OURO_TEST("a pool that has no connection to give says how many there are") {
    pool_options options = small(2);
    options.waiters_max = 1;
    story s(options);
    auto one = co_await s.pool.acquire();
    auto two = co_await s.pool.acquire();
    std::string what = co_await what_of_acquiring(s, 1500ms);
    CHECK(what ==
          "all 2 connections are leased (max 2), 1 waiting (max 1), waited 1.5 s: timed out");
    auto waits = spawn(what_of_acquiring(s, 200ms));
    co_await settle();
    what = co_await what_of_acquiring(s, 1s);
    CHECK(what.starts_with("all 2 connections are leased (max 2), 1 waiting (max 1): "));
    what = co_await waits;
    CHECK(what ==
          "all 2 connections are leased (max 2), 1 waiting (max 1), waited 200 ms: timed out");
    two.discard();
    s.there.delay = 1s;
    what = co_await what_of_acquiring(s, 200ms);
    CHECK(what ==
          "1 of at most 2 connections are leased, 1 being connected, 1 waiting (max 1), "
          "waited 200 ms: timed out");
    const auto as_value = co_await as_result(s.pool.acquire(200ms));
    CHECK(as_value.error_text().find("1 waiting (max 1), waited 200 ms") != std::string::npos);
    static_cast<void>(co_await s.pool.close());
    what = co_await what_of_acquiring(s, 1s);
    CHECK(what.starts_with("the pool is closed, 1 of at most 2 connections are leased: "));
}

OURO_TEST("as many wait as are allowed, and one more is refused at once") {
    pool_options options = small(1);
    options.waiters_max = 3;
    story s(options);
    std::string order;
    co_await with_scope([&](scope& tasks) -> task<> {
        auto lease = co_await s.pool.acquire();
        for (char name : {'a', 'b', 'c'}) {
            tasks.spawn(hold, s.pool, order, name, 0ms);
            co_await settle();
        }
        CHECK(s.pool.figures().waiting == 3);
        const std::error_code error = co_await error_of_acquire(s.pool, 1s);
        CHECK(error == errc::overloaded);
        CHECK(s.pool.figures().overloads == 1);
    });
    CHECK(order == "abc");
}

OURO_TEST("a cancelled waiter leaves the connection to the next one") {
    story s(small(1));
    std::string order;
    co_await with_scope([&](scope& tasks) -> task<> {
        auto lease = co_await s.pool.acquire();
        auto first = tasks.spawn(hold, s.pool, order, 'a', 0ms);
        co_await settle();
        tasks.spawn(hold, s.pool, order, 'b', 0ms);
        co_await settle();
        first.cancel();
        co_await settle();
        CHECK(s.pool.figures().waiting == 1);
        lease.release();
    });
    CHECK(order == "b");
    CHECK(s.pool.figures().idle == 1);
}

OURO_TEST("what was connected for a cancelled waiter becomes idle") {
    story s;
    std::string order;
    co_await with_scope([&](scope& tasks) -> task<> {
        auto first = tasks.spawn(hold, s.pool, order, 'a', 0ms);
        co_await settle();
        CHECK(s.pool.figures().connecting == 1);
        first.cancel();
        co_await sleep_for(2ms);
        CHECK(s.pool.figures().idle == 1);
    });
    CHECK(order.empty());
    CHECK(s.there.attempts == 1);
}

OURO_TEST("a waiter that was served and then cancelled keeps or returns what it got") {
    story s(small(1));
    std::string order;
    co_await with_scope([&](scope& tasks) -> task<> {
        auto lease = co_await s.pool.acquire();
        auto first = tasks.spawn(hold, s.pool, order, 'a', 0ms);
        co_await settle();
        lease.release();
        first.cancel();  // in the same breath: it has been served
        co_await settle();
        CHECK(order == "a");
    });
    CHECK(s.pool.figures().idle == 1);
    CHECK(s.pool.figures().leased == 0);
}

OURO_TEST("a task that was asked to stop takes nothing") {
    story s;
    {
        auto lease = co_await s.pool.acquire();
    }
    std::error_code error;
    auto late = spawn(
        [](fake_pool& from, std::error_code& into) -> task<> {
            (void)co_await as_result(sleep_for(1h));
            into = co_await error_of_acquire(from, 1s);
        },
        std::ref(s.pool), std::ref(error));
    co_await settle();
    late.cancel();
    co_await late;
    CHECK(error == errc::cancelled);
    CHECK(s.pool.figures().idle == 1);
    CHECK(s.pool.figures().acquired == 1);
}

OURO_TEST("a timeout around acquire ends it") {
    story s;
    s.there.silent = true;
    auto lease = co_await as_result(timeout(5ms, s.pool.acquire()));
    CHECK(lease.error() == errc::timed_out);
    CHECK(s.pool.figures().waiting == 0);
}

// --- failing ----------------------------------------------------------------------------------

OURO_TEST("a failed attempt is told to the waiter it was made for") {
    story s;
    s.there.refuse = 1;
    const std::error_code error = co_await error_of_acquire(s.pool, 1s);
    CHECK(error == refused());
    CHECK(s.pool.figures().connects_failed == 1);
    CHECK(s.there.attempts == 1);
    auto lease = co_await s.pool.acquire();
    CHECK(lease);
}

OURO_TEST("acquire throws what connect threw") {
    fake_pool pool([]() -> task<std::unique_ptr<fake>> {
        co_await yield();
        throw std::logic_error("with its words");
    });
    std::string words;
    try {
        auto lease = co_await pool.acquire();
    } catch (const std::logic_error& error) {
        words = error.what();
    }
    CHECK(words == "with its words");
}

OURO_TEST("when the server is down, everybody hears it from a few attempts") {
    story s(small(50));
    s.there.refuse = 1000;
    int told = 0;
    co_await with_scope([&](scope& tasks) -> task<> {
        for (int i = 0; i < 50; ++i) {
            tasks.spawn(
                [](fake_pool& from, int& count) -> task<> {
                    const std::error_code error = co_await error_of_acquire(from, 1s);
                    count += error == refused();
                },
                s.pool, told);
        }
        co_return;
    });
    CHECK(told == 50);
    CHECK(s.there.attempts <= 8);  // the first four began before the others came
    CHECK(s.pool.figures().timeouts == 0);
}

OURO_TEST("who comes while attempts fail gets attempts of its own") {
    story s(small(1));
    s.there.refuse = 1;
    std::string order;
    co_await with_scope([&](scope& tasks) -> task<> {
        auto first = tasks.spawn(error_of_acquire, s.pool, 1s);
        co_await settle();
        tasks.spawn(hold, s.pool, order, 'b', 0ms);
        const std::error_code error = co_await first;
        CHECK(error == refused());
    });
    CHECK(order == "b");
    CHECK(s.there.attempts == 2);
}

OURO_TEST("while other connections are out, a failed attempt fails one waiter only") {
    pool_options options = small(2);
    options.connecting_max = 1;
    story s(options);
    std::string order;
    co_await with_scope([&](scope& tasks) -> task<> {
        auto lease = co_await s.pool.acquire();
        s.there.refuse = 1;
        auto first = tasks.spawn(error_of_acquire, s.pool, 1s);
        co_await settle();
        tasks.spawn(hold, s.pool, order, 'b', 0ms);
        const std::error_code error = co_await first;
        CHECK(error == refused());
        lease.release();
    });
    CHECK(order == "b");
}

OURO_TEST("one failure among attempts that succeed reaches one waiter") {
    story s(small(4));
    s.there.refuse = 1;
    int told = 0;
    int served = 0;
    co_await with_scope([&](scope& tasks) -> task<> {
        for (int i = 0; i < 20; ++i) {
            tasks.spawn(
                [](fake_pool& from, int& bad, int& good) -> task<> {
                    const std::error_code error = co_await error_of_acquire(from, 1s);
                    ++(error ? bad : good);
                },
                s.pool, told, served);
        }
        co_return;
    });
    CHECK(told == 1);
    CHECK(served == 19);
}

OURO_TEST("an attempt that gets no answer ends after its time") {
    pool_options options;
    options.connect_timeout = 20ms;
    story s(options);
    s.there.silent = true;
    const time_point start = clock::now();
    const std::error_code error = co_await error_of_acquire(s.pool, 1s);
    CHECK(error == errc::timed_out);
    CHECK(clock::now() - start < 21ms);
    CHECK(s.pool.figures().connects_failed == 1);
    CHECK(s.pool.figures().timeouts == 0);
}

}  // namespace
