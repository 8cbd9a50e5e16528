#include <ouro/kv/redis/script.hpp>

#include <ouro/kv/redis/client.hpp>
#include <ouro/kv/redis/testing/fake_server.hpp>
#include <ouro/runtime/combine.hpp>
#include <ouro/runtime/testing/sweep.hpp>
#include <ouro/tests/kv/real.hpp>
#include <ouro/tests/kv/servers.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

using namespace ouro;

namespace {

redis_server& shared() {
    static redis_server server;
    return server;
}

/// In a build without OpenSSL a script has no digest, and every run is an EVAL.
const bool has_digests = !redis::sha1_of("").empty();

task<redis::client> connected() { return redis::client::connect("redis://" + shared().address()); }

}  // namespace

TEST_CASE("the digest is the SHA-1 of the source, and known before anybody is asked") {
    if (!has_digests) return;
    CHECK(redis::sha1_of("") == "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    CHECK(redis::sha1_of("abc") == "a9993e364706816aba3e25717850c26c9cd0d89d");
    CHECK(redis::sha1_of(std::string(1000, 'x')).size() == 40);
    CHECK(redis::script("abc").digest() == redis::sha1_of("abc"));
}

TEST_CASE("without OpenSSL no script has a digest") {
    CHECK(redis::script("abc").digest().empty() != has_digests);
}

OURO_TEST_REAL("the digest is the one that a server tells") {
    if (!has_digests) co_return;
    const std::string source = "return {KEYS[1], 'with \\0 \\n and ü'}";
    CHECK(shared().call({"SCRIPT", "LOAD", source}) == redis::script(source).digest());
    co_return;
}

OURO_TEST_REAL("a user who may EVALSHA and EVAL, and nothing else of scripts, may run one") {
    shared().call({"SCRIPT", "FLUSH"});
    shared().call(
        {"ACL", "SETUSER", "scripter", "on", ">pw", "~*", "-@all", "+eval", "+evalsha", "+incr"});
    auto db = co_await redis::client::connect("redis://scripter:pw@" + shared().address());
    shared().call({"DEL", "n"});
    redis::script count("return redis.call('INCR', KEYS[1])");
    for (int i = 1; i <= 2; ++i) CHECK(co_await count.run<int>(db, "n") == i);
    co_await db.close();
    shared().call({"ACL", "DELUSER", "scripter"});
}

OURO_TEST_REAL("a script comes to a server with its first run and is called by its digest then") {
    shared().call({"FLUSHALL"});
    shared().call({"SCRIPT", "FLUSH"});
    auto db = co_await connected();
    redis::script take("return redis.call('DECRBY', KEYS[1], ARGV[1])");
    const std::int64_t first = co_await take.run<std::int64_t>(db, "stock", 5);
    CHECK(first == -5);
    shared().call({"CONFIG", "RESETSTAT"});
    const std::int64_t second = co_await take.run<std::int64_t>(db, {"stock"}, {7});
    CHECK(second == -12);
    const std::string calls = shared().call({"INFO", "commandstats"});
    const bool by_digest = calls.find("cmdstat_evalsha:calls=1") != std::string::npos;
    CHECK(by_digest == has_digests);
    const bool by_source = calls.find("cmdstat_eval:") != std::string::npos;
    CHECK(by_source != has_digests);
    CHECK(calls.find("cmdstat_script") == std::string::npos);
    co_await db.close();
}

OURO_TEST_REAL("a server that has forgotten the script gets it again") {
    auto db = co_await connected();
    redis::script answer("return {KEYS[1], ARGV[1], ARGV[2]}");
    co_await answer.load(db);
    const std::string digest(answer.digest());
    shared().call({"SCRIPT", "FLUSH"});
    for (int i = 0; i < 2; ++i) {
        const auto said = co_await answer.run<std::vector<std::string>>(db, "key", {"text", i});
        CHECK(said == std::vector<std::string>{"key", "text", std::to_string(i)});
    }
    CHECK(answer.digest() == digest);
    if (has_digests) CHECK(shared().call({"SCRIPT", "EXISTS", digest}) == "1");
    co_await db.close();
}

OURO_TEST_REAL("several first runs at once are all answered") {
    shared().call({"SCRIPT", "FLUSH"});
    auto db = co_await connected();
    redis::script twice("return ARGV[1] * 2");
    const auto all = co_await all_of(twice.run<int>(db, {}, 1), twice.run<int>(db, {}, 2),
                                     twice.run<int>(db, {}, 3));
    const auto& [a, b, c] = all;
    CHECK(a == 2);
    CHECK(b == 4);
    CHECK(c == 6);
    co_await db.close();
}

OURO_TEST_REAL("a script that fails says so, and one that only reads is sent as such") {
    auto db = co_await connected();
    redis::script broken("this is not lua");
    const auto load = co_await as_result(broken.run(db));
    CHECK(load.error() == redis::errc::server_error);
    redis::script failing("return redis.error_reply('WRONGTYPE mine')");
    const auto run = co_await as_result(failing.run(db));
    CHECK(run.error() == redis::errc::wrong_type);
    redis::script writing("return redis.call('SET', KEYS[1], 1)", {.read_only = true});
    const auto written = co_await as_result(writing.run(db, "key"));
    CHECK(written.error() == redis::errc::server_error);
    shared().call({"SET", "key", "5"});
    redis::script reading("return redis.call('GET', KEYS[1])", {.read_only = true});
    const int read = co_await reading.run<int>(db, "key");
    CHECK(read == 5);
    shared().call({"SCRIPT", "FLUSH"});
    const int again = co_await reading.run<int>(db, "key");
    CHECK(again == 5);
    co_await db.close();
}

OURO_TEST_REAL("what a run was given may be gone before it is awaited") {
    auto db = co_await connected();
    redis::script echo("return ARGV[1]");
    auto waiting = echo.run<std::string>(db, std::string("key"), std::string(500, 'x'));
    const std::string said = co_await std::move(waiting);
    CHECK(said == std::string(500, 'x'));
    co_await db.close();
}

// --- beside a scripted server -----------------------------------------------------------------

namespace {

using testing::fake_caller;
using testing::fake_server;
using testing::words_said;

// Does not know the script the first time it is asked.
task<> lose_and_send_again() {
    auto asked = std::make_shared<int>(0);
    fake_server server([asked](const words_said& said, fake_caller&) -> std::string {
        if (said[0] == "SCRIPT") return "-NOPERM not for you\r\n";
        if (said[0] == "EVALSHA" && (*asked)++ == 0) return "-NOSCRIPT No matching script.\r\n";
        return ":7\r\n";
    });
    auto db = co_await redis::client::connect(server.url());
    redis::script answer("return 7");
    for (int i = 0; i < 2; ++i) {
        const int said = co_await answer.run<int>(db, "key", i);
        CHECK(said == 7);
    }
    co_await db.close();
    const std::string digest(answer.digest());
    const std::vector<words_said> by_digest{{"EVALSHA", digest, "1", "key", "0"},
                                            {"EVAL", "return 7", "1", "key", "0"},
                                            {"EVALSHA", digest, "1", "key", "1"}};
    const std::vector<words_said> by_source{{"EVAL", "return 7", "1", "key", "0"},
                                            {"EVAL", "return 7", "1", "key", "1"}};
    CHECK(server.heard() == (has_digests ? by_digest : by_source));
}

}  // namespace

OURO_TEST("NOSCRIPT is answered with the script itself") { co_await lose_and_send_again(); }

TEST_CASE("a run can be cancelled anywhere") {
    const auto report = cancel_everywhere(lose_and_send_again);
    CHECK_MESSAGE(report.clean(), report.complaints);
    CHECK(report.points > 10);
}

OURO_TEST("a script that only reads is sent again after a lost connection, another is not") {
    auto lost = std::make_shared<bool>(false);
    fake_server server([lost](const words_said&, fake_caller& caller) -> std::string {
        if (!*lost) {
            *lost = caller.close = true;
            return "";
        }
        return ":7\r\n";
    });
    auto db = co_await redis::client::connect(server.url());
    redis::script reads("return 7", {.read_only = true});
    const int said = co_await reads.run<int>(db);
    CHECK(said == 7);
    *lost = false;
    redis::script writes("return 7");
    const auto once = co_await as_result(writes.run<int>(db));
    CHECK(!once);
    CHECK(once.error() != redis::errc::no_script);
    co_await db.close();
}
