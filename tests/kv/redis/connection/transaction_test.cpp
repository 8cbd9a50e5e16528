#include <ouro/kv/redis/connection/transaction.hpp>

#include <ouro/kv/redis/testing/fake_server.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/tests/kv/real.hpp>
#include <ouro/tests/kv/redis/real_client.hpp>

#include <string>
#include <vector>

using namespace ouro;
using namespace ouro::testing;
using namespace std::chrono_literals;
using redis::client;
using redis::handle;

namespace {

OURO_TEST_REAL("its commands run together, and each handle has its reply") {
    client db = co_await fresh_client();
    auto tx = db.transaction();
    tx.set("from", 10);
    auto from = tx.decrby("from", 3);
    auto to = tx.incrby("to", 3);
    auto both = tx.mget({"from", "to"});
    CHECK(tx.size() == 4);
    CHECK(from.as_result().error() == redis::errc::batch_ended);
    co_await tx.exec();
    CHECK(from.get() == 7);
    CHECK(to.get() == 3);
    CHECK(both.get().at(0) == "7");
    CHECK_NOTHROW(tx.throw_if_failed());
    co_await tx.exec();  // again, the same
    CHECK(to.get() == 6);
    tx.clear();
    co_await tx.exec();  // empty: done at once
    co_await db.close();
}

OURO_TEST_REAL("nobody's command runs between those of a transaction") {
    client db = co_await fresh_client();
    auto raise = [&](int times) -> task<> {
        for (int i = 0; i < times; ++i) {
            auto tx = db.transaction();
            auto first = tx.incr("n");
            auto second = tx.incr("n");
            auto third = tx.incr("n");
            co_await tx.exec();
            CHECK(second.get() == first.get() + 1);
            CHECK(third.get() == first.get() + 2);
        }
    };
    auto disturb = [&](int times) -> task<> {
        for (int i = 0; i < times; ++i) co_await db.incr("n");
    };
    co_await with_scope([&](scope& tasks) -> task<> {
        for (int i = 0; i < 10; ++i) {
            tasks.spawn(raise(20));
            tasks.spawn(disturb(20));
        }
        co_return;
    });
    CHECK(co_await db.get<int>("n") == 800);
    co_await db.close();
}

OURO_TEST_REAL("a command that fails when it runs is its handle's business; the others have run") {
    client db = co_await fresh_client();
    auto tx = db.transaction();
    tx.set("text", "x");
    auto wrong = tx.lpush("text", {"y"});
    auto number = tx.incr("text");
    auto fine = tx.incr("n");
    co_await tx.exec();
    CHECK(failure_in(wrong).code == redis::errc::wrong_type);
    CHECK(failure_in(wrong).how_far == net::fate::answered);
    CHECK(failure_in(number).says("ERR value is not an integer"));
    CHECK(fine.get() == 1);
    CHECK_THROWS_AS(tx.throw_if_failed(), redis::error);
    co_await db.close();
}

OURO_TEST_REAL("one refused when it is queued undoes all, with the server's words") {
    client db = co_await fresh_client();
    auto tx = db.transaction();
    auto set = tx.set("a", 1);
    auto unknown = tx.command("NO-SUCH-COMMAND", "x", {});
    auto few = tx.command("GET");
    auto last = tx.set("b", 1);
    const failure refused = co_await failure_of(tx.exec());
    CHECK(refused.code == redis::errc::exec_aborted);
    CHECK(refused.says("ERR unknown command"));
    CHECK(failure_in(set).code == redis::errc::exec_aborted);
    CHECK(failure_in(unknown).code == redis::errc::unknown_command);
    CHECK(failure_in(few).says("ERR wrong number"));
    CHECK(failure_in(last).code == redis::errc::exec_aborted);
    CHECK(co_await db.exists({"a", "b"}) == 0);
    co_await db.close();
}

OURO_TEST_REAL("a watched key that was changed makes it a conflict, and nothing is done") {
    client db = co_await fresh_client();
    auto mine = co_await db.lease();
    co_await mine->watch({"a", "b"});
    co_await db.set("b", "changed");
    auto tx = mine->transaction();
    auto set = tx.set("c", 1);
    const failure conflict = co_await failure_of(tx.exec());
    CHECK(conflict.code == redis::errc::conflict);
    CHECK(conflict.how_far == net::fate::answered);
    CHECK(failure_in(set).code == redis::errc::conflict);
    CHECK(co_await db.exists("c") == 0);
    co_await tx.exec();  // EXEC has ended the watch
    CHECK(co_await db.exists("c") == 1);
    CHECK(mine->usable());
    co_await mine->watch("a");
    CHECK_FALSE(mine->usable());
    co_await mine->unwatch();
    CHECK(mine->usable());
    co_await mine->watch("a");
    mine.release();  // and the pool has it unwatched
    CHECK(db.dedicated_figures().restoring == 1);
    auto again = co_await db.lease();
    CHECK(again->usable());
    CHECK(db.dedicated_figures().connects == 1);
    again.release();
    co_await db.close();
}

OURO_TEST_REAL("what would change the shared connection is refused, and blocking does not block") {
    client db = co_await fresh_client();
    auto tx = db.transaction();
    for (const std::string name : {"SELECT 1", "SUBSCRIBE a", "MULTI", "EXEC", "DISCARD", "WATCH a",
                                   "HELLO 2", "RESET", "QUIT", "MONITOR"}) {
        std::error_code refused;
        try {
            tx.command(name);
        } catch (const redis::error& error) {
            refused = error.code();
        }
        CHECK_MESSAGE(refused == redis::errc::not_shareable, name);
    }
    CHECK(tx.empty());
    auto popped = tx.command("BLPOP", {"nothing", 0});
    co_await tx.exec();
    CHECK(popped.get().is_null());
    co_await db.close();
}

OURO_TEST_REAL("a command too large for Redis stops all of it before anything is sent") {
    client db = co_await fresh_client();
    const std::vector<std::string_view> keys(redis::command_words_max, "k");
    auto tx = db.transaction();
    const auto set = tx.set("a", 1);
    tx.del(keys);
    const failure refused = co_await failure_of(tx.exec());
    CHECK(refused.code == redis::errc::too_large);
    CHECK(refused.how_far == net::fate::unsent);
    CHECK(set.as_result().error() == redis::errc::too_large);
    CHECK(co_await db.exists("a") == 0);
    co_await db.close();
}

OURO_TEST_REAL("out of memory while queueing aborts it with the reason") {
    redis_server server({.config = {"maxmemory 100kb", "maxmemory-policy noeviction"}});
    client db = co_await client::connect(url_of(server));
    auto tx = db.transaction();
    tx.set("a", "x");
    auto read = tx.get("a");
    const failure refused = co_await failure_of(tx.exec());
    CHECK(refused.code == redis::errc::exec_aborted);
    CHECK(refused.says("OOM"));
    CHECK(failure_in(read).code == redis::errc::out_of_memory);  // to queue it needs some, too
    CHECK(co_await db.get("a") == std::nullopt);
    co_await db.close();
}

// --- in simulation ------------------------------------------------------------------------------

/// Queues whatever comes, and answers EXEC with as many numbers.
class queueing {
public:
    std::string answer(const words_said& said) {
        if (said[0] == "PING") return "+PONG\r\n";
        if (said[0] == "MULTI") {
            queued_ = 0;
            return "+OK\r\n";
        }
        if (said[0] != "EXEC") {
            if (queued_ < 0) return bulk(said.back());
            ++queued_;
            return "+QUEUED\r\n";
        }
        std::string all = "*" + std::to_string(queued_) + "\r\n";
        for (int i = 1; i <= queued_; ++i) all += ":" + std::to_string(i) + "\r\n";
        queued_ = -1;
        return all;
    }

private:
    int queued_ = -1;
};

OURO_TEST("cut anywhere, it failed with its fate, and is never sent twice") {
    // "+OK", two "+QUEUED", an array of two: 5 + 9 + 9 + 4 + 4 + 4 bytes.
    constexpr std::size_t all = 35;
    for (std::size_t limit = 0; limit <= all; ++limit) {
        auto state = std::make_shared<queueing>();
        int begun = 0;
        fake_server server([&](const words_said& said, fake_caller& who) {
            if (who.number == 0 && who.bytes_left > all) who.bytes_left = limit;
            if (who.bytes_left == 0) who.close = true;
            begun += said[0] == "MULTI";
            return state->answer(said);
        });
        client db = co_await client::connect(server.url());
        auto tx = db.transaction();
        auto first = tx.get<int>("a");  // only reads, and still is not repeated
        auto second = tx.get<int>("b");
        const failure lost = co_await failure_of(tx.exec());
        CHECK(static_cast<bool>(lost) == (limit < all));
        if (lost) {
            CHECK(lost.how_far == net::fate::unanswered);
            CHECK(failure_in(first).how_far == net::fate::unanswered);
        } else {
            CHECK(second.get() == 2);
        }
        CHECK(begun == 1);
        co_await db.close();
    }
}

OURO_TEST("an EXEC that answers with another number of replies is not taken for success") {
    fake_server server([](const words_said& said, fake_caller&) {
        if (said[0] == "EXEC") return std::string("*1\r\n:1\r\n");
        return std::string(said[0] == "GET" ? "+QUEUED\r\n" : "+OK\r\n");
    });
    client db = co_await client::connect(server.url());
    auto tx = db.transaction();
    auto first = tx.get<int>("a");
    tx.get<int>("b");
    const failure wrong = co_await failure_of(tx.exec());
    CHECK(wrong.code == redis::errc::unexpected_reply);
    CHECK(failure_in(first).code == redis::errc::unexpected_reply);
    co_await db.close();
}

OURO_TEST("a MULTI that is refused makes it fail, with the server's words") {
    fake_server server([](const words_said& said, fake_caller&) {
        if (said[0] == "MULTI") return std::string("-NOPERM no permission to run 'multi'\r\n");
        if (said[0] == "EXEC") return std::string("-ERR EXEC without MULTI\r\n");
        return std::string("$1\r\nx\r\n");
    });
    client db = co_await client::connect(server.url());
    auto tx = db.transaction();
    tx.get("a");
    const failure refused = co_await failure_of(tx.exec());
    CHECK(refused.says("NOPERM"));
    CHECK(refused.code == redis::errc::no_permission);
    co_await db.close();
}

task<> run_one() {
    auto state = std::make_shared<queueing>();
    fake_server server(
        [state](const words_said& said, fake_caller&) { return state->answer(said); });
    client db = co_await client::connect(server.url());
    auto tx = db.transaction();
    auto a = tx.get<int>("a");
    auto b = tx.get<int>("b");
    co_await tx.exec();
    CHECK(a.get() == 1);
    CHECK(b.get() == 2);
    const std::optional<std::string> c = co_await db.get("c");
    CHECK(c == "c");
    co_await db.close();
}

TEST_CASE("it can be cancelled anywhere") {
    const auto report = cancel_everywhere_on_all(run_one);
    CHECK_MESSAGE(report.clean(), report.complaints);
    CHECK(report.points > 10);
}

OURO_TEST("one that is cancelled leaves its replies to nobody") {
    auto state = std::make_shared<queueing>();
    fake_server server(
        [state](const words_said& said, fake_caller&) { return state->answer(said); });
    client db = co_await client::connect(server.url());
    for (int patience = 0; patience < 20; ++patience) {
        auto tx = db.transaction();
        for (int i = 0; i < 50; ++i) tx.get("theirs");
        auto running = spawn(tx.exec());
        for (int step = 0; step < patience; ++step) co_await yield();
        running.cancel();
        static_cast<void>(co_await as_result(running));
        CHECK(co_await db.get("mine") == "mine");
    }
    co_await db.close();
}

}  // namespace
