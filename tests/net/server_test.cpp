#include <ouro/net/server.hpp>

#include "sockets.hpp"
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/log.hpp>
#include <ouro/runtime/remote.hpp>
#include <ouro/runtime/run.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/sync/event.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <functional>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

using namespace ouro;
using namespace ouro::net;
using namespace std::chrono_literals;

namespace {

const endpoint any_port{"127.0.0.1", 0};

task<> echo(stream client) {
    std::array<std::byte, 256> block;
    while (const std::size_t got = co_await client.recv(block))
        co_await client.send_all(std::span(block).first(got));
}

/// Sends a word and says whether it came back.
task<bool> answers(stream& server) {
    co_await server.send_all("hello");
    const std::string back = co_await receive_exactly(server, 5);
    co_return back == "hello";
}

/// A client that was answered once.
task<stream> greeted(server& front) {
    stream client = co_await connect(front.local());
    const bool works = co_await answers(client);
    CHECK(works);
    co_return client;
}

/// Runs `story` beside a server that calls `handler`, stops the server and waits for its end.
template <class Handler, class Story>
task<> beside(server& front, Handler handler, Story story) {
    auto serving = spawn(front.serve(std::move(handler)));
    co_await story();
    front.stop();
    co_await serving;
}

template <class F>
task<> until(F condition) {
    while (!condition()) co_await sleep_for(1ms);
}

std::mutex log_lock;
std::vector<std::string> logged;

void keep_log(log_level, std::string_view text) {
    const std::lock_guard hold(log_lock);
    logged.emplace_back(text);
}

/// Keeps what is logged while it lives.
struct log_keeper {
    log_keeper() {
        logged.clear();
        set_log(keep_log);
    }
    ~log_keeper() { set_log(nullptr); }
};

/// A story that hangs fails.
task<> within_patience(task<> (*story)()) { co_await timeout(30s, story()); }

/// The same story on several workers, on each kernel reactor.
void on_workers(unsigned workers, task<> (*story)()) {
    for (const reactor_kind kind : {reactor_kind::uring, reactor_kind::epoll}) {
        DOCTEST_INFO("on ", kind == reactor_kind::uring ? "uring" : "epoll");
        runtime_options how;
        how.workers = workers;
        how.reactor.kind = kind;
        block_on(within_patience(story), how);
    }
}

}  // namespace

OURO_TEST_IO("every connection is served by a task of its own, until the server is stopped") {
    server front(any_port);
    auto story = [&]() -> task<> {
        stream first = co_await connect(front.local());
        stream second = co_await connect(front.local());
        const bool two = co_await answers(second);
        const bool one = co_await answers(first);
        CHECK(one);
        CHECK(two);
        CHECK(front.stats().open == 2);
        first = stream();
        second = stream();
        co_await until([&] { return front.stats().open == 0; });
    };
    co_await beside(front, echo, story);
    CHECK(front.stopping());
    CHECK(front.stats().accepted == 2);
    CHECK(front.stats().failed == 0);
    const auto refused = co_await as_result(connect(front.local()));
    CHECK(refused.error() == std::errc::connection_refused);
}

OURO_TEST_IO("a handler may be a lambda that captures, or be made on its worker") {
    server front(any_port);
    int made = 0;
    auto make = [&made] {
        ++made;
        return [count = 0](stream client) mutable -> task<> {
            ++count;
            co_await client.send_all(std::string(1, static_cast<char>('0' + count)));
        };
    };
    auto story = [&]() -> task<> {
        for (const char* number : {"1", "2", "3"}) {
            stream client = co_await connect(front.local());
            const std::string got = co_await receive_all(client);
            CHECK(got == number);
        }
    };
    co_await beside(front, make, story);
    CHECK(made == 1);
}

OURO_TEST_IO("a connection that fails is named and counted, and its siblings go on") {
    const log_keeper keeper;
    server front(any_port);
    auto handler = [](stream client) -> task<> {
        const std::string word = co_await receive_exactly(client, 5);
        if (word == "wrong") throw std::runtime_error("what is this?");
        co_await client.send_all(word);
        co_await echo(std::move(client));
    };
    auto story = [&]() -> task<> {
        stream good = co_await connect(front.local());
        stream bad = co_await connect(front.local());
        const std::string name = bad.local().to_string();
        const bool before = co_await answers(good);
        CHECK(before);
        co_await bad.send_all("wrong");
        const std::string nothing = co_await receive_all(bad);
        CHECK(nothing.empty());
        const bool after = co_await answers(good);
        CHECK(after);
        co_await until([&] { return front.stats().failed == 1; });
        REQUIRE(logged.size() == 1);
        CHECK(
            logged[0].starts_with("connection of " + name + " with " + front.local().to_string() +
                                  " failed: what is this? (served at tests/net/server_test.cpp:"));
    };
    co_await beside(front, handler, story);
    CHECK(front.stats().failed == 1);
    CHECK(front.stats().broken == 0);
}

OURO_TEST_IO("a handler that throws before it returns a task fails its connection only") {
    const log_keeper keeper;
    server front(any_port);
    int calls = 0;
    auto handler = [&calls](stream client) -> task<> {
        if (++calls == 1) throw std::runtime_error("no");
        return echo(std::move(client));
    };
    auto story = [&]() -> task<> {
        stream bad = co_await connect(front.local());
        const std::string nothing = co_await receive_all(bad);
        CHECK(nothing.empty());
        stream good = co_await greeted(front);
    };
    co_await beside(front, handler, story);
    CHECK(front.stats().failed == 1);
    CHECK(front.stats().accepted == 2);
    CHECK(logged.size() == 1);
}

OURO_TEST_IO("that a peer goes away is counted, and is no failure") {
    const log_keeper keeper;
    server front(any_port);
    auto story = [&]() -> task<> {
        stream client = co_await greeted(front);
        reset(client);
        co_await until([&] { return front.stats().broken == 1; });
    };
    co_await beside(front, echo, story);
    CHECK(front.stats().failed == 0);
    CHECK(front.stats().cancelled == 0);
    CHECK(logged.empty());
}

OURO_TEST_IO("above connections_max nobody is served until somebody has left") {
    server front(any_port, {.connections_max = 2});
    auto story = [&]() -> task<> {
        stream first = co_await connect(front.local());
        stream second = co_await connect(front.local());
        bool works = co_await answers(first);
        CHECK(works);
        works = co_await answers(second);
        CHECK(works);
        std::vector<stream> more;
        for (int i = 0; i < 3; ++i) more.push_back(co_await connect(front.local()));
        co_await until([&] { return front.stats().full == 1; });
        co_await more[0].send_all("hello");
        std::array<std::byte, 8> block;
        const auto none = co_await as_result(timeout(20ms, more[0].recv(block)));
        CHECK(none.error() == errc::timed_out);
        CHECK(front.stats().open == 2);
        first = stream();
        const std::string late = co_await receive_exactly(more[0], 5);
        CHECK(late == "hello");
        second = stream();
        works = co_await answers(more[1]);
        CHECK(works);
        more[0] = stream();
        works = co_await answers(more[2]);
        CHECK(works);
    };
    co_await beside(front, echo, story);
    CHECK(front.stats().accepted == 5);
}

OURO_TEST_IO("when it stops, connections may come to their end") {
    server front(any_port);
    auto serving = spawn(front.serve(echo));
    stream client = co_await greeted(front);
    front.stop();
    co_await settle();
    const bool works = co_await answers(client);  // still
    CHECK(works);
    client = stream();
    co_await serving;
    CHECK(front.stats().cancelled == 0);
    CHECK(front.stats().open == 0);
}

OURO_TEST_IO("what has not ended when the time to drain is over is named and cancelled") {
    const log_keeper keeper;
    server front(any_port, {.drain = 30ms});
    auto serving = spawn(front.serve(echo));
    stream client = co_await greeted(front);
    const time_point before = clock::exact_now();
    front.stop();
    co_await serving;
    CHECK(clock::exact_now() - before >= 30ms);
    CHECK(front.stats().cancelled == 1);
    REQUIRE(logged.size() == 1);
    CHECK(logged[0].starts_with("1 connection with " + front.local().to_string() +
                                " did not end within 30 ms: " + client.local().to_string() +
                                " at tests/net/server_test.cpp:"));
    const std::string rest = co_await receive_all(client);
    CHECK(rest.empty());
}

OURO_TEST_IO("without time to drain they are cancelled at once") {
    const log_keeper keeper;
    server front(any_port, {.drain = duration::zero()});
    auto serving = spawn(front.serve(echo));
    stream client = co_await greeted(front);
    front.stop();
    co_await serving;
    CHECK(front.stats().cancelled == 1);
    CHECK(logged.empty());
}

OURO_TEST_IO("cancelling it drains as well, and is then told") {
    server front(any_port);
    auto serving = spawn(front.serve(echo));
    stream client = co_await greeted(front);
    serving.cancel();
    co_await until([&] { return front.stopping(); });
    const bool works = co_await answers(client);
    CHECK(works);
    client = stream();
    const auto how = co_await as_result(std::move(serving));
    CHECK(how.error() == errc::cancelled);
    CHECK(front.stats().cancelled == 0);
}

OURO_TEST_IO("tasks beside it hear that the end has begun") {
    server front(any_port);
    event told;
    auto tell = [&]() -> task<> {
        co_await front.until_stopping();
        told.set();
    };
    auto telling = spawn(tell);
    // A connection that would stay for ever, unless it is told to leave.
    auto handler = [&told](stream client) -> task<> {
        co_await client.send_all("hi");
        co_await told.wait();
    };
    auto story = [&]() -> task<> {
        stream client = co_await connect(front.local());
        const std::string got = co_await receive_exactly(client, 2);
        CHECK(got == "hi");
    };
    co_await beside(front, handler, story);
    co_await telling;
    CHECK(front.stats().cancelled == 0);
}

OURO_TEST_IO("one that was stopped before it serves, serves nobody") {
    server front(any_port);
    front.stop();
    front.stop();
    co_await front.serve(echo);
    CHECK(front.stats().accepted == 0);
}

OURO_TEST_IO("a listener that listens already can be handed in") {
    listener at(any_port);
    const endpoint where = at.local();
    server front(std::move(at));
    CHECK(front.local() == where);
    auto story = [&]() -> task<> { stream client = co_await greeted(front); };
    co_await beside(front, echo, story);
}

OURO_TEST_IO("one that never serves gives its port back") {
    endpoint where;
    {
        const server front(any_port);
        where = front.local();
        CHECK_THROWS_WITH_AS(
            server{where},
            ("cannot listen on " + where.to_string() + ": Address already in use").c_str(),
            std::system_error);
    }
    const server again(where);
    CHECK(again.local() == where);
    co_return;
}

OURO_TEST("an accept that fails for good ends the server, after those that are open") {
    server front(any_port);
    auto serving = spawn(front.serve(echo));
    stream client = co_await greeted(front);
    sim::world::current().fail_next(sim::act::accept, ENOTSOCK, 2);
    stream lost = co_await connect(front.local());
    co_await until([&] { return front.stopping(); });
    const bool works = co_await answers(client);
    CHECK(works);
    client = stream();
    const auto how = co_await as_result(std::move(serving));
    CHECK(how.error() == std::errc::not_a_socket);
}

OURO_TEST_KERNEL("its connections watch whether their peer is still there") {
    server front(any_port);
    int idle = 0;
    int limit = 0;
    bool watched = false;
    auto handler = [&](stream client) -> task<> {
        watched = socket_option(client.fd(), SOL_SOCKET, SO_KEEPALIVE).value() == 1;
        idle = socket_option(client.fd(), IPPROTO_TCP, TCP_KEEPIDLE).value();
        limit = socket_option(client.fd(), IPPROTO_TCP, TCP_USER_TIMEOUT).value();
        co_await client.send_all("seen");
    };
    auto story = [&]() -> task<> {
        stream client = co_await connect(front.local());
        const std::string got = co_await receive_all(client);
        CHECK(got == "seen");
    };
    co_await beside(front, handler, story);
    CHECK(watched);
    CHECK(idle == 60);
    CHECK(limit == 120'000);
}

namespace {

task<> serve_one_and_stop() {
    server front(any_port, {.drain = 5ms});
    auto both = [&](scope& tasks) -> task<> {
        tasks.spawn(front.serve(echo));
        stream client = co_await greeted(front);
        front.stop();
    };
    co_await with_scope(both);
}

}  // namespace

TEST_CASE("serving can be cancelled anywhere") {
    const sweep_report swept = cancel_everywhere_on_all(serve_one_and_stop);
    CHECK_MESSAGE(swept.clean(), swept.complaints);
    CHECK(swept.points > 10);
}

// --- several workers --------------------------------------------------------------------------

namespace {

/// Connects until each worker of the run has served somebody; every connection says by whom.
task<> meet_every_worker(server& front) {
    std::set<std::string> met;
    std::vector<stream> open;
    while (met.size() < worker_count()) {
        if (open.size() == 100) open.clear();  // a worker may be slow to start
        stream client = co_await connect(front.local());
        met.insert(co_await receive_exactly(client, 1));
        open.push_back(std::move(client));
    }
}

/// Says which worker it is on and then waits for the client to leave.
task<> say_worker(stream client) {
    co_await client.send_all(std::string(1, static_cast<char>('0' + this_worker())));
    co_await echo(std::move(client));
}

task<> spread_over(endpoint where) {
    server front(where, {.drain = 10s});
    auto story = [&]() -> task<> { co_await meet_every_worker(front); };
    co_await beside(front, say_worker, story);
    const server_stats seen = front.stats();
    CHECK(seen.accepted >= worker_count());
    CHECK(seen.open == 0);
    CHECK(seen.failed == 0);
    CHECK(seen.cancelled == 0);
}

}  // namespace

TEST_CASE("port 0 is one port, and every worker accepts there") {
    on_workers(3, [] { return spread_over(any_port); });
}

TEST_CASE("a Unix socket with several workers serves on all of them") {
    on_workers(3, [] { return spread_over("unix:@ouro-server-" + std::to_string(::getpid())); });
    const std::string path = "/tmp/ouro-server-" + std::to_string(::getpid());
    on_workers(2,
               [] { return spread_over("unix:/tmp/ouro-server-" + std::to_string(::getpid())); });
    CHECK(::access(path.c_str(), F_OK) != 0);
}

TEST_CASE("what one worker accepts for all goes to the one that has fewest") {
    on_workers(4, []() -> task<> {
        server front(listener{any_port});
        std::array<std::atomic<int>, 4> served{};
        auto handler = [&served](stream client) -> task<> {
            ++served[this_worker()];
            co_await say_worker(std::move(client));
        };
        auto story = [&]() -> task<> {
            co_await meet_every_worker(front);  // all of them serve by now
            co_await until([&] { return front.stats().open == 0; });
            for (auto& one : served) one = 0;
            std::vector<stream> clients;
            for (int i = 0; i < 40; ++i) {
                clients.push_back(co_await connect(front.local()));
                co_await receive_exactly(clients.back(), 1);
            }
            for (auto& one : served) CHECK(one == 10);
        };
        co_await beside(front, handler, story);
    });
}

TEST_CASE("a port on which somebody listens is in use, whoever it is") {
    on_workers(2, []() -> task<> {
        server front(any_port);
        const endpoint where = front.local();
        auto story = [&]() -> task<> {
            co_await meet_every_worker(front);
            const std::string words =
                "cannot listen on " + where.to_string() + ": Address already in use";
            CHECK_THROWS_WITH_AS(server{where}, words.c_str(), std::system_error);
        };
        co_await beside(front, say_worker, story);
        // One that lets others join does not let in one that wants the port for itself.
        listener shared(where, {.reuse_port = true});
        CHECK_THROWS_AS(server{where}, std::system_error);
        server_options together;
        together.listen.reuse_port = true;
        const server second(where, together);
        CHECK(second.local() == where);
    });
}

TEST_CASE("the limit of connections is one for all workers") {
    on_workers(3, []() -> task<> {
        server front(any_port, {.connections_max = 4});
        std::atomic<int> open = 0;
        std::atomic<int> most = 0;
        auto handler = [&](stream client) -> task<> {
            const int now = ++open;
            int seen = most;
            while (now > seen && !most.compare_exchange_weak(seen, now)) continue;
            const auto ended = co_await as_result(echo(std::move(client)));
            --open;
            ended.value();
        };
        auto story = [&]() -> task<> {
            auto client = [](server& of) -> task<> {
                for (int i = 0; i < 20; ++i) {
                    stream one = co_await greeted(of);
                }
            };
            auto many = [&](scope& tasks) -> task<> {
                for (int i = 0; i < 12; ++i) tasks.spawn(client, std::ref(front));
                co_return;
            };
            co_await with_scope(many);
        };
        co_await beside(front, handler, story);
        CHECK(most == 4);
        CHECK(front.stats().accepted == 240);
    });
}

TEST_CASE("a handler is made on each worker, and lives there") {
    on_workers(3, []() -> task<> {
        struct state {
            explicit state(std::atomic<int>& of) : gone(of) {}
            state(state&&) = delete;
            ~state() {
                CHECK(this_worker() == home);
                ++gone;
            }
            task<> operator()(stream client) {
                CHECK(this_worker() == home);
                return say_worker(std::move(client));
            }
            std::atomic<int>& gone;
            unsigned home = this_worker();
        };
        std::atomic<int> gone = 0;
        server front(any_port);
        auto make = [&gone] { return state(gone); };
        auto story = [&]() -> task<> { co_await meet_every_worker(front); };
        co_await beside(front, make, story);
        CHECK(gone == 3);
    });
}

TEST_CASE("any worker may stop it, and all of them drain") {
    on_workers(3, []() -> task<> {
        server front(any_port);
        auto serving = spawn(front.serve(say_worker));
        std::vector<stream> clients;
        std::set<std::string> met;
        while (met.size() < worker_count()) {
            clients.push_back(co_await connect(front.local()));
            met.insert(co_await receive_exactly(clients.back(), 1));
        }
        co_await call_on(2, [&front] { front.stop(); });
        for (stream& one : clients) {
            const bool works = co_await answers(one);
            CHECK(works);
        }
        clients.clear();
        co_await serving;
        CHECK(front.stats().cancelled == 0);
    });
}

TEST_CASE("each worker may serve beside something of its own") {
    on_workers(2, []() -> task<> {
        server front(any_port);
        std::atomic<int> ended = 0;
        auto worker = [&]() -> task<> {
            co_await front.serve_here(say_worker);
            ++ended;
        };
        auto serving = spawn(on_each_worker(worker));
        co_await meet_every_worker(front);
        front.stop();
        co_await serving;
        CHECK(ended == 2);
    });
}
