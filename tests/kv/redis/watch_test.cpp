#include <ouro/kv/redis/watch.hpp>

#include <ouro/kv/redis/testing/fake_server.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/sync/event.hpp>
#include <ouro/tests/kv/real.hpp>
#include <ouro/tests/kv/redis/real_client.hpp>

#include <map>
#include <stdexcept>
#include <string>

using namespace ouro;
using namespace ouro::testing;
using namespace std::chrono_literals;
using redis::client;
using redis::connection;
using redis::transaction;

namespace {

redis::watch_options tries(std::size_t most) {
    redis::watch_options options;
    options.attempts_max = most;
    options.wait.ceiling = 10ms;
    return options;
}

task<> add_one(connection& mine, transaction& tx) {
    const std::optional<int> now = co_await mine.get<int>("counter");
    tx.set("counter", now.value_or(0) + 1);
}

task<> count(client db, int times) {
    for (int i = 0; i < times; ++i) co_await redis::with_watch(db, "counter", add_one, tries(1000));
}

OURO_TEST_REAL("eight tasks count to 400, and nobody's step is lost") {
    client db = co_await fresh_client();
    co_await with_scope([&](scope& tasks) -> task<> {
        for (int i = 0; i < 8; ++i) tasks.spawn(count(db, 50));
        co_return;
    });
    CHECK(co_await db.get<int>("counter") == 400);
    CHECK(db.dedicated_figures().connects_failed == 0);
    CHECK(db.dedicated_figures().connects <= 8);  // a connection comes back clean from EXEC
    co_await db.close();
}

OURO_TEST_REAL("a handle that the body returns becomes its reply, other values stay") {
    client db = co_await fresh_client();
    co_await db.set("a", 5);
    auto queue = [](connection&, transaction& tx) -> task<redis::handle<std::int64_t>> {
        tx.set("b", "x");
        co_return tx.incrby("a", 2);
    };
    CHECK(co_await redis::with_watch(db, "a", queue) == 7);
    auto read = [](connection& mine, transaction& tx) -> task<std::string> {
        const std::optional<std::string> a = co_await mine.get("a");
        tx.set("c", *a);
        co_return *a + "!";
    };
    CHECK(co_await redis::with_watch(db, {"a", "c"}, read) == "7!");
    CHECK(co_await db.get("c") == "7");
    co_await db.close();
}

OURO_TEST_REAL("each conflict is one more attempt, up to the limit") {
    client db = co_await fresh_client();
    int attempts = 0;
    int disturbed = 2;
    auto body = [&](connection& mine, transaction& tx) -> task<int> {
        ++attempts;
        const std::optional<int> now = co_await mine.get<int>("a");
        if (disturbed-- > 0) co_await db.incr("a");
        tx.set("a", now.value_or(0) + 100);
        co_return attempts;
    };
    CHECK(co_await redis::with_watch(db, "a", body, tries(3)) == 3);
    CHECK(co_await db.get<int>("a") == 102);

    attempts = 0;
    disturbed = 1000;
    const failure given_up = co_await failure_of(redis::with_watch(db, "a", body, tries(3)));
    CHECK(given_up.code == redis::errc::conflict);
    CHECK(given_up.how_far == net::fate::answered);
    CHECK(attempts == 3);
    CHECK(co_await db.get<int>("a") == 105);
    CHECK(db.dedicated_figures().connects == 1);
    co_await db.close();
}

OURO_TEST_REAL("a body that queues nothing, or throws, leaves no watch behind") {
    client db = co_await fresh_client();
    auto only_read = [](connection& mine, transaction&) -> task<bool> {
        const std::optional<std::string> a = co_await mine.get("a");
        co_return a.has_value();
    };
    CHECK_FALSE(co_await redis::with_watch(db, "a", only_read));
    auto refuse = [](connection&, transaction& tx) -> task<> {
        tx.set("a", "never");
        throw std::runtime_error("decided against it");
        co_return;
    };
    std::string thrown;
    try {
        co_await redis::with_watch(db, "a", refuse);
    } catch (const std::runtime_error& error) {
        thrown = error.what();
    }
    CHECK(thrown == "decided against it");
    // The connection came back, and a change of "a" is no conflict of its next transaction.
    CHECK(db.dedicated_figures().connects == 1);
    auto mine = co_await db.lease();
    co_await db.set("a", "changed");
    auto tx = mine->transaction();
    auto got = tx.get("a");
    co_await tx.exec();
    CHECK(got.get() == "changed");
    mine.release();
    co_await db.close();
}

OURO_TEST_REAL("a command that fails inside EXEC is told, though the others have run") {
    client db = co_await fresh_client();
    auto body = [](connection&, transaction& tx) -> task<> {
        tx.set("a", "no number");
        tx.incr("a");
        tx.set("b", "done");
        co_return;
    };
    const failure wrong = co_await failure_of(redis::with_watch(db, "a", body));
    CHECK(wrong.code == redis::errc::server_error);
    CHECK(wrong.says("ERR value is not an integer"));
    CHECK(co_await db.get("b") == "done");

    auto unknown = [](connection&, transaction& tx) -> task<> {
        tx.set("a", "x");
        tx.command("NO-SUCH-COMMAND");
        co_return;
    };
    const failure refused = co_await failure_of(redis::with_watch(db, "a", unknown));
    CHECK(refused.code == redis::errc::exec_aborted);
    CHECK(refused.says("ERR unknown command"));
    CHECK(co_await db.get("a") == "no number");
    co_await db.close();
}

OURO_TEST_REAL("a connection that dies under a watch fails it, and its key is not written") {
    client db = co_await fresh_client();
    int attempts = 0;
    auto body = [&](connection& mine, transaction& tx) -> task<> {
        ++attempts;
        const std::int64_t id = co_await mine.client_id();
        redis::client_kill_options options;
        options.id = id;
        co_await db.client_kill(options);
        tx.set("a", "x");
    };
    const failure lost = co_await failure_of(redis::with_watch(db, "a", body));
    CHECK(lost);
    CHECK(lost.code != redis::errc::conflict);
    CHECK(attempts == 1);
    CHECK(co_await db.exists("a") == 0);
    co_await db.close();
}

OURO_TEST_REAL("cancelled while its body runs, it leaves a connection that nobody uses again") {
    client db = co_await fresh_client();
    event reached;
    auto body = [&](connection&, transaction& tx) -> task<> {
        tx.set("a", "x");
        reached.set();
        co_await sleep_for(1h);
    };
    auto watching = spawn(redis::with_watch(db, "a", body));
    co_await reached.wait();
    watching.cancel();
    const auto ended = co_await as_result(watching);
    CHECK(ended.error() == ouro::errc::cancelled);
    CHECK(co_await db.exists("a") == 0);
    auto mine = co_await db.lease();
    co_await db.set("a", "changed");
    auto tx = mine->transaction();
    auto got = tx.get("a");
    co_await tx.exec();
    CHECK(got.get() == "changed");
    mine.release();
    co_await db.close();
}

// --- against a server of our own making, in simulation ------------------------------------------

/// As much of a server as an optimistic transaction needs: one value, and its version.
class small_server {
public:
    std::string answer(const words_said& said, fake_caller& who) {
        caller& of = callers_[who.number];
        if (said[0] == "PING") return "+PONG\r\n";
        if (said[0] == "WATCH" || said[0] == "UNWATCH") {
            of.watched = said[0] == "WATCH" ? version_ : unwatched;
            return "+OK\r\n";
        }
        if (said[0] == "MULTI") {
            of.queued.emplace();
            return "+OK\r\n";
        }
        if (said[0] == "EXEC") return exec(of);
        if (of.queued) {
            of.queued->push_back(said);
            return "+QUEUED\r\n";
        }
        return run(said);
    }

private:
    static constexpr int unwatched = -1;

    struct caller {
        int watched = unwatched;
        std::optional<std::vector<words_said>> queued;
    };

    std::string exec(caller& of) {
        const bool conflict = of.watched != unwatched && of.watched != version_;
        std::string said = "*" + std::to_string(of.queued->size()) + "\r\n";
        if (conflict) said = "_\r\n";
        for (const words_said& each : *of.queued)
            if (!conflict) said += run(each);
        of = {};
        return said;
    }
    std::string run(const words_said& said) {
        if (said[0] == "GET") return bulk(value_);
        value_ = said.back();
        ++version_;
        return "+OK\r\n";
    }

    std::map<int, caller> callers_;
    std::string value_ = "0";
    int version_ = 0;
};

task<> count_on_a_fake() {
    auto state = std::make_shared<small_server>();
    fake_server server(
        [state](const words_said& said, fake_caller& who) { return state->answer(said, who); });
    client db = co_await client::connect(server.url());
    co_await with_scope([&](scope& tasks) -> task<> {
        for (int i = 0; i < 2; ++i) tasks.spawn(count(db, 1));
        co_return;
    });
    const std::optional<int> total = co_await db.get<int>("counter");
    CHECK(total == 2);
    co_await db.close();
}

TEST_CASE("it can be cancelled anywhere") {
    const auto report = cancel_everywhere_on_all(count_on_a_fake);
    CHECK_MESSAGE(report.clean(), report.complaints);
    CHECK(report.points > 30);
}

task<> count_or_not(client db, int& counted) {
    const auto done = co_await as_result(redis::with_watch(db, "counter", add_one, tries(100)));
    if (done) ++counted;
}

OURO_TEST("whoever is cancelled at any moment disturbs nobody's count") {
    for (int patience = 0; patience < 30; ++patience) {
        auto state = std::make_shared<small_server>();
        fake_server server(
            [state](const words_said& said, fake_caller& who) { return state->answer(said, who); });
        client db = co_await client::connect(server.url());
        int counted = 0;
        auto fickle = spawn(count_or_not(db, counted));
        auto firm = spawn(count(db, 3));
        for (int step = 0; step < patience; ++step) co_await yield();
        fickle.cancel();
        co_await firm;
        static_cast<void>(co_await as_result(fickle));
        const std::optional<int> total = co_await db.get<int>("counter");
        // One that was cancelled behind its EXEC has counted, but cannot know.
        CHECK(total.value() >= 3 + counted);
        CHECK(total.value() <= 4);
        co_await db.close();
    }
}

}  // namespace
