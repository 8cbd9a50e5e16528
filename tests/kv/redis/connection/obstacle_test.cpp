#include <ouro/kv/redis/connection/obstacle.hpp>

#include <ouro/kv/redis/client.hpp>
#include <ouro/kv/redis/testing/fake_server.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/testing/doctest.hpp>

#include <initializer_list>
#include <span>
#include <string>
#include <vector>

using namespace ouro;
using namespace ouro::testing;
using redis::client;
using redis::command;
using redis::obstacle;
using redis::verb;

namespace {

obstacle of(std::string_view name, std::initializer_list<redis::arg> arguments = {}) {
    return redis::obstacle_of(command(name, {arguments.begin(), arguments.size()}));
}

const redis::arg two_words[] = {"1", "2"};

std::string yes(const words_said&, fake_caller&) { return "+OK\r\n"; }

/// Says on which connection it was asked.
std::string where(const words_said& said, fake_caller& who) {
    if (said[0] == "PING") return "+PONG\r\n";
    return ":" + std::to_string(who.number) + "\r\n";
}

}  // namespace

TEST_CASE("every command has the obstacle that stands in its way, or none") {
    CHECK(of("GET", {"k"}) == obstacle::none);
    CHECK(of("get", {"k"}) == obstacle::none);
    CHECK(of("SCAN", {"0"}) == obstacle::none);
    CHECK(of("CLIENT LIST") == obstacle::none);
    CHECK(of("SELECT", {"1"}) == obstacle::changes);
    CHECK(of("sElEcT", {"1"}) == obstacle::changes);
    CHECK(of("CLIENT", {"REPLY", "OFF"}) == obstacle::changes);
    CHECK(of("client reply off") == obstacle::changes);
    CHECK(of("MONITOR") == obstacle::changes);
    CHECK(of("SCRIPT DEBUG YES") == obstacle::changes);
    CHECK(of("CLIENT NO-TOUCH", {"ON"}) == obstacle::changes);
    CHECK(of("CLIENT", {"no-touch", "ON"}) == obstacle::changes);
    CHECK(of("CLIENT WHAT-WILL-BE") == obstacle::changes);
    CHECK(of("WAIT", {"1", "0"}) == obstacle::concerns);
    CHECK(of("waitaof", {"1", "1", "0"}) == obstacle::concerns);
    CHECK(of("CLIENT ID") == obstacle::concerns);
    CHECK(of("BLPOP", {"k", "0"}) == obstacle::blocks);
    CHECK(of("XREAD", {"STREAMS", "block", "0"}) == obstacle::none);
    CHECK(of("XREAD", {"BLOCK", "0", "STREAMS", "s", "0"}) == obstacle::blocks);
    CHECK(of("DEBUG", {"SLEEP", "1"}) == obstacle::blocks);
    CHECK(of("MY.COMMAND") == obstacle::unknown);
    CHECK(redis::obstacle_of(command(verb::any, {"MY.COMMAND"})) == obstacle::unknown);
    CHECK(redis::obstacle_of(command(verb::any, {"WAITAOF", "1"})) == obstacle::concerns);
}

TEST_CASE("who says what a command does has it go out, unless more is known") {
    const auto said = [](std::string_view name, const redis::command_options& how) {
        return redis::obstacle_of(command(name, {}, how));
    };
    CHECK(said("MY.COMMAND", {}) == obstacle::none);
    CHECK(said("MY.COMMAND", {.key = "k"}) == obstacle::none);
    CHECK(said("MY.COMMAND", {.blocks = true}) == obstacle::blocks);
    CHECK(said("WAITAOF 1 1 0", {.blocks = true}) == obstacle::concerns);
    CHECK(said("CLIENT NO-TOUCH ON", {}) == obstacle::changes);
    CHECK(said("SELECT 1", {}) == obstacle::changes);
    CHECK(said("BLPOP k 0", {}) == obstacle::blocks);
    CHECK(command("MY.COMMAND", {}, {.key = "123456789"}).said_slot() == 12739);
    const command copy = command("MY.COMMAND", {}, {.blocks = true});
    CHECK(command(copy).said_to_block());
}

TEST_CASE("each obstacle has a sentence that says what to do") {
    for (const obstacle each : {obstacle::changes, obstacle::concerns, obstacle::blocks,
                                obstacle::unknown, obstacle::cursor}) {
        const std::string text = redis::refusal_of("X", each).what();
        CHECK(text.find(to_string(each)) != text.npos);
        CHECK(to_string(each).size() > 20);
    }
}

OURO_TEST("a command is refused on the shared connection by its verb as by its name") {
    fake_server server(yes);
    client db = co_await client::connect(server.url());
    auto batch = db.pipeline();
    auto all = db.transaction();
    const std::span<const redis::arg> some(two_words);
    for (const verb what : {verb::select, verb::subscribe, verb::quit, verb::wait, verb::client_id,
                            verb::blpop, verb::monitor, verb::any}) {
        CAPTURE(static_cast<int>(what));
        const auto refused = co_await as_result(db.run<void>(what, some));
        CHECK(refused.error() == redis::errc::not_shareable);
        CHECK_THROWS_AS(batch.run<void>(what, {"1", "2"}), redis::error);
        if (what != verb::blpop) CHECK_THROWS_AS(all.run<void>(what, {"1", "2"}), redis::error);
    }
    CHECK_THROWS_AS(batch.run<void>(verb::xread, {"BLOCK", "0", "STREAMS", "s", "0"}),
                    redis::error);
    CHECK((co_await as_result(db.wait(1, std::chrono::milliseconds(1)))).error() ==
          redis::errc::not_shareable);
    try {
        co_await db.run<void>(verb::select, some);
        FAIL("it was sent");
    } catch (const redis::error& refused) {
        const std::string text = refused.what();
        CHECK(text.find("SELECT") != text.npos);
        CHECK(text.find("lease") != text.npos);
        CHECK(refused.how_far() == net::fate::unsent);
    }
    CHECK(server.connections() == 1);
    CHECK(server.heard().size() == 0);
    co_await db.close();
}

OURO_TEST("one that is said to block is asked for on a connection of its own") {
    fake_server server(where);
    client db = co_await client::connect(server.url());
    CHECK(co_await db.command<int>("MY.GET", {"k"}, {}) == 0);
    CHECK(co_await db.command<int>("MY.WAIT", {"k"}, {.blocks = true}) == 1);
    CHECK(co_await db.command<int>("MY.GET", {"k"}, {.key = "k"}) == 0);
    co_await db.close();
}

OURO_TEST("a leased connection that was changed, by whichever door, is nobody else's") {
    fake_server server(where);
    client db = co_await client::connect(server.url());
    const std::span<const redis::arg> some(two_words, 1);
    for (int how = 0; how < 7; ++how) {
        CAPTURE(how);
        auto mine = co_await db.lease();
        if (how == 0) co_await mine->command<int>("PFSELFTEST");
        if (how == 1) co_await mine->command("SELECT", {"1"});
        if (how == 2) co_await mine->run<void>(verb::select, some);
        if (how == 3) co_await mine->command("CLIENT", {"NO-TOUCH", "ON"});
        if (how == 4) co_await mine->command<int>("MY.COMMAND");
        if (how == 5) {
            auto batch = mine->pipeline();
            batch.command("SELECT", {"1"});
            co_await batch.exec();
        }
        if (how == 6) co_await mine->command<int>("MY.COMMAND", redis::words(), {});
        CHECK(mine->usable() == (how == 0 || how == 6));
    }
    co_await db.close();
}
