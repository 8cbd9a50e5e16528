#include <ouro/kv/redis/connection/pipeline.hpp>

#include <ouro/kv/redis/testing/fake_server.hpp>
#include <ouro/runtime/combine.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/time/sleep.hpp>
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

OURO_TEST_REAL("a thousand commands of every kind are one request, each with its own reply") {
    client db = co_await fresh_client();
    auto batch = db.pipeline();
    std::vector<handle<std::int64_t>> counts;
    for (int i = 0; i < 500; ++i) {
        batch.set("key " + std::to_string(i), i);
        counts.push_back(batch.incr("count"));
    }
    auto fields = batch.hset("hash", {{"a", 1}, {"b", "two"}});
    auto hash = batch.hgetall("hash");
    auto some = batch.mget({"key 7", "none", "key 499"});
    CHECK(batch.size() == 1003);
    const auto before = db.sessions().front()->figures();
    co_await batch.exec();
    const auto after = db.sessions().front()->figures();
    CHECK(after.requests == before.requests + 1);
    CHECK(after.batches == before.batches + 1);
    for (int i = 0; i < 500; ++i) CHECK(counts[static_cast<std::size_t>(i)].get() == i + 1);
    CHECK(fields.get() == 2);
    CHECK(hash.get().at("b") == "two");
    const auto got = some.get();
    CHECK(got[0] == "7");
    CHECK(got[1] == std::nullopt);
    CHECK(got[2] == "499");
    co_await db.close();
}

OURO_TEST_REAL("an error is one command's, and the others have run") {
    client db = co_await fresh_client();
    auto batch = db.pipeline();
    auto pushed = batch.rpush("list", {"x"});
    auto wrong = batch.incr("list");
    auto unknown = batch.command("NO-SUCH-COMMAND", "a", {});
    auto few = batch.command("GET");
    auto set = batch.set("a", "done");
    co_await batch.exec();
    CHECK(pushed.get() == 1);
    CHECK(failure_in(wrong).code == redis::errc::wrong_type);
    CHECK(failure_in(wrong).says("WRONGTYPE"));
    CHECK(failure_in(unknown).code == redis::errc::unknown_command);
    CHECK(failure_in(few).says("ERR wrong number of arguments"));
    CHECK_NOTHROW(set.get());
    CHECK_THROWS_AS(batch.throw_if_failed(), redis::error);
    CHECK(co_await db.get("a") == "done");
    co_await db.close();
}

OURO_TEST_REAL("it can run again, and be filled again") {
    client db = co_await fresh_client();
    auto batch = db.pipeline();
    co_await batch.exec();  // empty: done at once
    auto first = batch.incr("a");
    co_await batch.exec();
    CHECK(first.get() == 1);
    co_await batch.exec();
    CHECK(first.get() == 2);
    batch.clear();
    CHECK(first.as_result().error() == redis::errc::batch_ended);
    auto second = batch.incr("a");
    CHECK(second.as_result().error() == redis::errc::batch_ended);
    co_await batch.exec();
    CHECK(second.get() == 3);
    co_await db.close();
}

OURO_TEST_REAL("what would block or change the shared connection is refused when it is added") {
    client db = co_await fresh_client();
    auto batch = db.pipeline();
    for (const std::string name :
         {"SELECT 1", "SUBSCRIBE a", "MULTI", "WATCH a", "BLPOP a 0", "QUIT", "MONITOR",
          "CLIENT REPLY OFF", "HELLO 2", "RESET", "DEBUG SLEEP 1", "WAIT 0 10", "WAITAOF 1 0 10",
          "CLIENT ID", "CLIENT NO-TOUCH ON", "NO-SUCH-COMMAND"}) {
        std::error_code refused;
        try {
            batch.command(name);
        } catch (const redis::error& error) {
            refused = error.code();
        }
        CHECK_MESSAGE(refused == redis::errc::not_shareable, name);
    }
    CHECK_THROWS_AS(batch.command("XREAD", {"BLOCK", 0, "STREAMS", "s", "$"}), redis::error);
    auto fine = batch.command("XREAD", {"COUNT", 1, "STREAMS", "s", "0"});
    CHECK(batch.size() == 1);
    co_await batch.exec();
    CHECK(fine.get().is_null());
    co_await db.close();
}

OURO_TEST_REAL("a huge one goes on a connection of its own, and others overtake it") {
    redis::client_options options;
    options.dedicated_from = 100;
    client db = co_await fresh_client(options);
    auto batch = db.pipeline();
    for (int i = 0; i < 99; ++i) batch.incr("a");
    co_await batch.exec();
    CHECK(db.dedicated_figures().acquired == 0);
    auto last = batch.incr("a");
    co_await batch.exec();
    CHECK(last.get() == 199);
    CHECK(db.dedicated_figures().acquired == 1);
    CHECK(db.dedicated_figures().leased == 0);
    co_await db.close();
}

OURO_TEST_REAL("many tasks' pipelines and single commands mix on one connection") {
    client db = co_await fresh_client();
    auto work = [&](int who) -> task<> {
        const std::string key = "key " + std::to_string(who);
        for (int round = 1; round <= 10; ++round) {
            auto batch = db.pipeline();
            auto first = batch.incr(key);
            auto echo = batch.echo(key);
            auto second = batch.incrby(key, 10);
            co_await batch.exec();
            CHECK(first.get() == round * 11 - 10);
            CHECK(echo.get() == key);
            CHECK(second.get() == round * 11);
            CHECK(co_await db.get<int>(key) == round * 11);
        }
    };
    co_await with_scope([&](scope& tasks) -> task<> {
        for (int who = 0; who < 20; ++who) tasks.spawn(work(who));
        co_return;
    });
    co_await db.close();
}

OURO_TEST_REAL("on a leased connection it may do as it likes") {
    client db = co_await fresh_client();
    auto mine = co_await db.lease();
    auto batch = mine->pipeline();
    batch.command("SELECT", 1);
    batch.set("elsewhere", "yes");
    auto got = batch.get("elsewhere");
    batch.command("SELECT", 0);
    auto none = batch.get("elsewhere");
    co_await batch.exec();
    CHECK(got.get() == "yes");
    CHECK(none.get() == std::nullopt);
    mine.discard();
    co_await db.close();
}

// --- in simulation ------------------------------------------------------------------------------

std::string echo(const words_said& said, fake_caller&) {
    if (said[0] == "PING") return "+PONG\r\n";
    return bulk(said.back());
}

OURO_TEST("cut anywhere, it tells of each command whether it was answered") {
    // Three replies of 7 bytes behind HELLO's 38, which the fake does not count.
    for (std::size_t limit = 0; limit <= 21; ++limit) {
        fake_server server([limit](const words_said& said, fake_caller& who) {
            if (who.number == 0 && who.bytes_left > 21) who.bytes_left = limit;
            if (who.bytes_left == 0) who.close = true;
            return echo(said, who);
        });
        client db = co_await client::connect(server.url());
        auto batch = db.pipeline();
        std::vector<handle<std::int64_t>> all;
        for (const char* text : {"1", "2", "3"}) all.push_back(batch.append("key", text));
        const auto before = co_await failure_of(batch.exec());
        std::size_t answered = 0;
        for (const auto& each : all) {
            if (each.as_result()) {
                ++answered;
                CHECK(each.get() == static_cast<std::int64_t>(answered));
            } else {
                CHECK(failure_in(each).how_far == net::fate::unanswered);
            }
        }
        CHECK(answered == limit / 7);
        CHECK(static_cast<bool>(before) == (limit < 21));
        co_await db.close();
    }
}

OURO_TEST("one that only reads is sent again when nothing of it was answered") {
    fake_server server([](const words_said& said, fake_caller& who) {
        if (who.number == 0) {
            who.close = true;
            return std::string();
        }
        return echo(said, who);
    });
    client db = co_await client::connect(server.url());
    auto reads = db.pipeline();
    auto a = reads.get("a");
    auto b = reads.get("b");
    co_await reads.exec();
    CHECK(a.get() == "a");
    CHECK(b.get() == "b");
    CHECK(server.connections() == 2);
    co_await db.close();
}

OURO_TEST("one in which something is written is not") {
    fake_server server([](const words_said& said, fake_caller& who) {
        if (who.number == 0) {
            who.close = true;
            return std::string();
        }
        return echo(said, who);
    });
    client db = co_await client::connect(server.url());
    auto writes = db.pipeline();
    auto a = writes.get("a");
    auto b = writes.append("b", "x");
    const failure lost = co_await failure_of(writes.exec());
    CHECK(lost.how_far == net::fate::unanswered);
    CHECK(failure_in(a).how_far == net::fate::unanswered);
    CHECK(failure_in(b).how_far == net::fate::unanswered);
    co_await db.close();
}

OURO_TEST("a command too large in the middle has its error, and the others their replies") {
    fake_server server(echo);
    client db = co_await client::connect(server.url());
    const std::vector<std::string_view> keys(redis::command_words_max, "k");
    auto batch = db.pipeline();
    auto huge_first = batch.del(keys);
    auto a = batch.get("a");
    auto huge = batch.del(keys);
    auto b = batch.get("b");
    auto huge_last = batch.del(keys);
    co_await batch.exec();
    CHECK(a.get() == "a");
    CHECK(b.get() == "b");
    for (const auto& each : {huge_first, huge, huge_last})
        CHECK(each.as_result().error() == redis::errc::too_large);
    batch.clear();
    auto only = batch.del(keys);
    co_await batch.exec();
    CHECK(only.as_result().error() == redis::errc::too_large);
    co_await db.close();
}

task<> run_one() {
    fake_server server(echo);
    client db = co_await client::connect(server.url());
    auto batch = db.pipeline();
    auto a = batch.get("a");
    auto b = batch.get<std::string_view>("b");
    co_await batch.exec();
    CHECK(a.get() == "a");
    CHECK(b.get() == "b");
    const std::optional<std::string> c = co_await db.get("c");
    CHECK(c == "c");
    co_await db.close();
}

TEST_CASE("it can be cancelled anywhere") {
    const auto report = cancel_everywhere_on_all(run_one);
    CHECK_MESSAGE(report.clean(), report.complaints);
    CHECK(report.points > 10);
}

OURO_TEST("one that is cancelled while its replies come leaves them to nobody") {
    fake_server server(echo);
    client db = co_await client::connect(server.url());
    for (int patience = 0; patience < 20; ++patience) {
        auto batch = db.pipeline();
        for (int i = 0; i < 50; ++i) batch.get("theirs");
        auto running = spawn(batch.exec());
        for (int step = 0; step < patience; ++step) co_await yield();
        running.cancel();
        static_cast<void>(co_await as_result(running));
        CHECK(co_await db.get("mine") == "mine");
    }
    co_await db.close();
}

}  // namespace
