#include <ouro/tests/kv/real.hpp>

#include <ouro/kv/redis/client.hpp>
#include <ouro/kv/redis/pubsub/pubsub.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/combine.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/timeout.hpp>
#include <ouro/tests/kv/servers.hpp>

#include <string>
#include <utility>

using namespace ouro;
using namespace std::chrono_literals;
using redis::client;
using redis::message;
using redis::message_kind;
using redis::subscriber;
using redis::topic_kind;

namespace {

std::string url_of(const redis_server& server) { return "redis://" + server.address(); }

redis_server& shared() {
    static redis_server server;
    return server;
}

redis::pubsub_options speaking(int protocol) { return {.link = {.protocol = protocol}}; }

/// The next message, as text: "news: hello", "n* news: hello", "(resumed)".
task<std::string> next_of(subscriber& sub) {
    const std::optional<message> got = co_await timeout(10s, sub.next());
    if (!got) co_return "(end)";
    if (got->kind() == message_kind::dropped)
        co_return "(dropped " + std::to_string(got->count()) + ")";
    if (!got->is_published()) co_return "(" + std::string(to_string(got->kind())) + ")";
    std::string text;
    if (got->topic() == topic_kind::pattern) text = std::string(got->pattern()) + " ";
    text += std::string(got->channel()) + ": " + std::string(got->payload());
    co_return text;
}

task<> hear_everything(int protocol) {
    auto sub = co_await subscriber::connect(url_of(shared()), {}, speaking(protocol));
    auto db = co_await client::connect(url_of(shared()));
    co_await sub.subscribe("a", "b");
    co_await sub.psubscribe("a*");
    co_await sub.ssubscribe("a");
    CHECK(sub.topics() == 4);
    CHECK(co_await db.publish("a", "1") == 2);
    CHECK(co_await db.publish("ab", "2") == 1);
    CHECK(co_await db.publish("b", std::string_view("3\0\r\n", 4)) == 1);
    CHECK(co_await db.spublish("a", "4") == 1);
    CHECK(co_await next_of(sub) == "a: 1");
    CHECK(co_await next_of(sub) == "a* a: 1");
    CHECK(co_await next_of(sub) == "a* ab: 2");
    CHECK(co_await next_of(sub) == std::string("b: 3\0\r\n", 7));
    CHECK(co_await next_of(sub) == "a: 4");
    co_await sub.unsubscribe("a");
    co_await sub.punsubscribe_all();
    co_await sub.sunsubscribe("a", "never subscribed");
    CHECK(co_await db.publish("a", "5") == 0);
    CHECK(co_await db.spublish("a", "6") == 0);
    CHECK(co_await db.publish("b", "7") == 1);
    CHECK(co_await next_of(sub) == "b: 7");
    co_await sub.close();
    CHECK(co_await next_of(sub) == "(end)");
    co_await db.close();
}

task<> flood(client db, std::string channel, int count, std::size_t padding = 0) {
    const std::string end(padding, '.');
    for (int sent = 0; sent < count;) {
        auto batch = db.pipeline();
        for (int i = 0; i < 500 && sent < count; ++i)
            static_cast<void>(batch.publish(channel, std::to_string(sent++) + end));
        co_await batch.exec();
    }
}

/// Expects the numbers from `begin` on; returns how many events came between.
task<> expect_numbers(subscriber& sub, int begin, int end) {
    for (int expected = begin; expected < end; ++expected) {
        const std::optional<message> got = co_await timeout(20s, sub.next());
        REQUIRE(got);
        REQUIRE(got->is_published());
        REQUIRE(got->payload().substr(0, got->payload().find('.')) == std::to_string(expected));
    }
}

task<> hear_much(subscriber sub, client db) {
    co_await sub.subscribe("much");
    auto publishing = spawn(flood(db, "much", 10'000));
    co_await expect_numbers(sub, 0, 10'000);
    co_await publishing;
    CHECK(sub.dropped() == 0);
    co_await sub.close();
}

task<> come_back(subscriber sub, client db) {
    co_await sub.subscribe("a", "b");
    co_await sub.psubscribe("c*");
    co_await sub.ssubscribe("d");
    CHECK(shared().call({"CLIENT", "KILL", "TYPE", "pubsub"}) == "1");
    CHECK(co_await next_of(sub) == "(interrupted)");
    CHECK(co_await next_of(sub) == "(resumed)");
    CHECK(co_await db.publish("b", "1") == 1);
    CHECK(co_await db.publish("c1", "2") == 1);
    CHECK(co_await db.spublish("d", "3") == 1);
    CHECK(co_await next_of(sub) == "b: 1");
    CHECK(co_await next_of(sub) == "c* c1: 2");
    CHECK(co_await next_of(sub) == "d: 3");
    co_await sub.close();
}

/// The words of what subscribing is refused with; empty when it is not.
task<std::string> refusal(task<> subscribing, std::error_code expected) {
    try {
        co_await std::move(subscribing);
    } catch (const redis::error& refused) {
        CHECK(refused.code() == expected);
        CHECK(refused.how_far() == net::fate::answered);
        co_return std::string(refused.words());
    }
    co_return "";
}

}  // namespace

OURO_TEST_REAL("channels, patterns and shard channels are heard, and then no more") {
    for (const int protocol : {2, 3}) co_await hear_everything(protocol);
}

OURO_TEST_REAL("ten thousand messages come in their order") {
    auto db = co_await client::connect(url_of(shared()));
    redis::inbox_options roomy;
    roomy.messages_max = 20'000;
    for (const int protocol : {2, 3}) {
        auto sub = co_await subscriber::connect(url_of(shared()), roomy, speaking(protocol));
        co_await hear_much(std::move(sub), db);
    }
    co_await hear_much(db.subscriber(roomy), db);
    co_await db.close();
}

OURO_TEST_REAL("a killed connection is made again with all subscriptions, and the gap is told") {
    auto db = co_await client::connect(url_of(shared()));
    for (const int protocol : {2, 3}) {
        auto sub = co_await subscriber::connect(url_of(shared()), {}, speaking(protocol));
        co_await come_back(std::move(sub), db);
    }
    auto listening = co_await client::connect(url_of(shared()));
    co_await come_back(listening.subscriber(), db);
    co_await listening.close();
    co_await db.close();
}

OURO_TEST_REAL("a server that was started anew is told everything again") {
    redis_server server;
    auto sub = co_await subscriber::connect(url_of(server));
    co_await sub.subscribe("a", "b");
    server.kill();
    CHECK(co_await next_of(sub) == "(interrupted)");
    server.restart();
    CHECK(co_await next_of(sub) == "(resumed)");
    CHECK(server.call({"PUBLISH", "a", "again"}) == "1");
    CHECK(co_await next_of(sub) == "a: again");
    co_await sub.close();
}

OURO_TEST_REAL("without a server, subscribing fails with the reason") {
    redis_server server;
    redis::pubsub_options hasty;
    hasty.link.requests.request_timeout = 300ms;
    auto sub = co_await subscriber::connect(url_of(server), {}, hasty);
    server.kill();
    const auto refused = co_await as_result(sub.subscribe("a"));
    CHECK(refused.error() == std::errc::connection_refused);
    CHECK(sub.topics() == 0);
    server.restart();
    // It waits a little before it connects again.
    while (!co_await as_result(sub.subscribe("b"))) continue;
    CHECK(server.call({"PUBSUB", "CHANNELS"}) == "b");
    co_await sub.close();
    const auto nobody = co_await as_result(subscriber::connect("redis://127.0.0.1:1"));
    CHECK(nobody.error() == std::errc::connection_refused);
    const auto nowhere = co_await as_result(subscriber::connect("nonsense://"));
    CHECK(nowhere.error() == redis::errc::bad_url);
}

OURO_TEST_REAL("a slow subscriber loses the oldest messages and is told how many") {
    auto db = co_await client::connect(url_of(shared()));
    redis::inbox_options tight;
    tight.messages_max = 10;
    auto sub = db.subscriber(tight);
    co_await sub.subscribe("slow");
    co_await flood(db, "slow", 25);
    CHECK(sub.waiting() == 10);
    CHECK(sub.dropped() == 15);
    CHECK(co_await next_of(sub) == "(dropped 15)");
    co_await expect_numbers(sub, 15, 25);
    co_await sub.close();
    co_await db.close();
}

OURO_TEST_REAL("a subscriber that may not lose anything holds the connection back") {
    auto db = co_await client::connect(url_of(shared()));
    redis::inbox_options tight;
    tight.messages_max = 10;
    tight.when_full = redis::slow_policy::block;
    auto sub = db.subscriber(tight);
    co_await sub.subscribe("slow");
    co_await flood(db, "slow", 5'000);
    co_await settle();
    CHECK(sub.waiting() == 10);
    co_await sub.subscribe("more");  // which is confirmed behind all these
    co_await expect_numbers(sub, 0, 5'000);
    CHECK(sub.dropped() == 0);
    co_await flood(db, "more", 50);
    co_await expect_numbers(sub, 0, 50);
    co_await sub.close();
    co_await db.close();
}

OURO_TEST_REAL("a server that is held back for too long cuts the connection, and that is told") {
    redis_options limited;
    limited.config = {"client-output-buffer-limit pubsub 256kb 0 0"};
    redis_server server(limited);
    auto db = co_await client::connect(url_of(server));
    redis::inbox_options tight;
    tight.messages_max = 10;
    tight.when_full = redis::slow_policy::block;
    auto sub = db.subscriber(tight);
    co_await sub.subscribe("slow");
    co_await flood(db, "slow", 1'000, 20'000);
    int heard = 0;
    std::string last;
    for (; last != "(interrupted)"; ++heard) last = co_await next_of(sub);
    CHECK(heard > 10);
    CHECK(heard < 1'000);
    CHECK(co_await next_of(sub) == "(resumed)");
    CHECK(co_await db.publish("slow", "and again") == 1);
    CHECK(co_await next_of(sub) == "slow: and again");
    co_await sub.close();
    co_await db.close();
}

OURO_TEST_REAL("a channel that the user may not hear is refused with the server's words") {
    redis_options users;
    users.acl = {"user default on nopass ~* &* +@all",
                 "user bob on >secret resetchannels &news.* +@all",
                 "user eve on >secret &* -@all +subscribe +psubscribe +hello"};
    redis_server server(users);
    const std::string bob = "redis://bob:secret@" + server.address();
    for (const int protocol : {2, 3}) {
        auto bus = co_await redis::pubsub::connect(bob, speaking(protocol));
        auto sub = bus.subscriber();
        auto other = bus.subscriber();
        const auto denied = make_error_code(redis::errc::no_permission);
        CHECK((co_await refusal(sub.subscribe("secret"), denied)).starts_with("NOPERM "));
        // Both in one command, and each by itself then.
        auto mixed = spawn(refusal(sub.subscribe("news.a", "secret"), denied));
        auto good = spawn(other.subscribe("news.b"));
        CHECK((co_await mixed).starts_with("NOPERM "));
        co_await good;
        CHECK(sub.topics() == 0);
        CHECK(server.call({"PUBLISH", "news.b", "1"}) == "1");
        CHECK(co_await next_of(other) == "news.b: 1");
        // A right that is taken away ends the connection, and then the subscription.
        co_await sub.subscribe("news.c");
        CHECK(server.call({"ACL", "SETUSER", "bob", "resetchannels", "&news.b"}) == "OK");
        CHECK(co_await next_of(sub) == "(interrupted)");
        CHECK(co_await next_of(sub) == "(ended)");
        CHECK(co_await next_of(other) == "(interrupted)");
        CHECK(co_await next_of(other) == "(resumed)");
        CHECK(server.call({"ACL", "SETUSER", "bob", "resetchannels", "&news.*"}) == "OK");
        co_await bus.close();
    }
    // Somebody who may not even PING, or unsubscribe.
    auto sub = co_await subscriber::connect("redis://eve:secret@" + server.address());
    co_await sub.subscribe("a", "b");
    CHECK(server.call({"PUBLISH", "a", "1"}) == "1");
    CHECK(co_await next_of(sub) == "a: 1");
    const auto denied = make_error_code(redis::errc::no_permission);
    CHECK((co_await refusal(sub.unsubscribe("a"), denied)).starts_with("NOPERM "));
    CHECK((co_await refusal(sub.ssubscribe("a"), denied)).starts_with("NOPERM "));
    CHECK(server.call({"PUBLISH", "a", "2"}) == "1");  // the server still sends it
    CHECK(server.call({"PUBLISH", "b", "3"}) == "1");
    CHECK(co_await next_of(sub) == "b: 3");
    co_await sub.subscribe("a");
    CHECK(server.call({"PUBLISH", "a", "4"}) == "1");
    CHECK(co_await next_of(sub) == "a: 4");
    co_await sub.close();
}

OURO_TEST_REAL("one connection serves commands and subscribers") {
    redis_server server;
    auto db = co_await client::connect(url_of(server));
    auto first = db.subscriber();
    auto second = db.subscriber();
    co_await first.subscribe("a");
    co_await second.subscribe("a", "b");
    CHECK(server.call({"PUBSUB", "NUMSUB", "a", "b"}) == "a\n1\nb\n1");
    co_await db.set("key", "value");
    for (int i = 0; i < 100; ++i) {
        CHECK(co_await db.publish("a", "x") == 1);
        CHECK(co_await db.get("key") == "value");
    }
    for (int i = 0; i < 100; ++i) {
        CHECK(co_await next_of(first) == "a: x");
        CHECK(co_await next_of(second) == "a: x");
    }
    const std::uint64_t asked = db.sessions().front()->figures().requests;
    co_await second.unsubscribe("a");  // which the first still wants
    CHECK(db.sessions().front()->figures().requests == asked);
    CHECK(co_await db.publish("a", "y") == 1);
    CHECK(co_await db.publish("b", "z") == 1);
    CHECK(co_await next_of(first) == "a: y");
    CHECK(co_await next_of(second) == "b: z");
    co_await first.close();
    CHECK(co_await db.publish("a", "nobody") == 0);
    {
        const subscriber gone = std::move(second);
    }
    while (co_await db.publish("b", "nobody") > 0) co_await yield();
    const std::string connections = server.call({"INFO", "clients"});
    CHECK(connections.find("connected_clients:2\r") != connections.npos);  // with the one that asks
    auto last = db.subscriber();
    co_await last.subscribe("a");
    co_await db.close();
    CHECK(co_await next_of(last) == "(end)");
    const auto refused = co_await as_result(last.subscribe("b"));
    CHECK(refused.error() == ouro::errc::closed);
}
