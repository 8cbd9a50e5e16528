#include <ouro/kv/redis/pubsub/pubsub.hpp>

#include <ouro/kv/redis/client.hpp>
#include <ouro/kv/redis/testing/fake_server.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/combine.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

using namespace ouro;
using namespace ouro::testing;
using namespace std::chrono_literals;
using redis::client;
using redis::message;
using redis::message_kind;
using redis::subscriber;

namespace {

using bytes_of = std::vector<std::string>;

std::string push(const bytes_of& words, bool resp2 = false) {
    std::string text = (resp2 ? "*" : ">") + std::to_string(words.size()) + "\r\n";
    for (const std::string& word : words) text += word;
    return text;
}

/// What a Redis does about pub/sub, as far as these tests need it. Names that begin with "secret"
/// are refused, ECHO answers its argument and closes the connection when that is "close".
class imitation {
public:
    std::string noise;  // comes before everything it says
    bool resp2 = false;
    std::string answer_all;  // answers SUBSCRIBE with it as long as it is not empty

    std::string operator()(const words_said& said, fake_caller& who) {
        std::set<std::string>& topics = topics_[who.number];
        const std::string& what = said[0];
        if (what == "PING" && resp2 && !topics.empty())
            return push({bulk("pong"), bulk(said.size() > 1 ? said[1] : "")}, true);
        if (what == "PING") return noise + (said.size() > 1 ? bulk(said[1]) : "+PONG\r\n");
        if (what == "CLIENT") return noise + "+OK\r\n";
        if (what == "ECHO") {
            who.close = said[1] == "close";
            return noise + bulk(said[1]);
        }
        if (what == "PUBLISH") {
            std::string text = noise;
            if (topics.contains("subscribe " + said[1]))
                text += push({bulk("message"), bulk(said[1]), bulk(said[2])}, resp2);
            return text + ":1\r\n";
        }
        if (what == "MOVE")
            return noise + push({bulk("sunsubscribe"), bulk(said[1]), ":0\r\n"}) + "+OK\r\n";
        return noise + subscription(said, topics);
    }

private:
    std::string subscription(const words_said& said, std::set<std::string>& topics) {
        std::string what = said[0];
        for (char& c : what) c = static_cast<char>(c | 0x20);
        const bool add = what.find("un") == std::string::npos;
        if (add && !answer_all.empty()) return answer_all;
        for (const std::string& name : said)
            if (add && name.starts_with("secret")) return "-NOPERM not for you\r\n";
        std::string kind = what;
        if (!add) kind.erase(what.find("un"), 2);
        std::string text;
        for (std::size_t at = 1; at < said.size(); ++at) {
            if (add)
                topics.insert(kind + ' ' + said[at]);
            else
                topics.erase(kind + ' ' + said[at]);
            text += push({bulk(what), bulk(said[at]), ":1\r\n"}, resp2) + noise;
        }
        return text;
    }

    std::map<int, std::set<std::string>> topics_;  // by connection
};

/// The connections of a fake server outlive its test by a little.
fake_server::answer said_by(std::shared_ptr<imitation> redis) {
    return [redis](const words_said& said, fake_caller& who) { return (*redis)(said, who); };
}

std::string all_noise() {
    return push({bulk("invalidate"), "*1\r\n" + bulk("k")}) + push({bulk("message"), bulk("x")}) +
           push({bulk("message"), bulk("unknown"), bulk("y")}) +
           push({":1\r\n", ":2\r\n", ":3\r\n"}) + push({bulk("unsubscribe"), "_\r\n", ":0\r\n"}) +
           push({bulk("tidings"), bulk("a"), bulk("b")}) +
           push({bulk("subscribe"), bulk("unknown"), ":1\r\n"}) +
           push({bulk("message"), bulk("a"), "*0\r\n"}) +
           push({bulk("message"), ":1\r\n", bulk("z")});
}

task<std::string> next_of(subscriber& sub) {
    const std::optional<message> got = co_await timeout(60s, sub.next());
    if (!got) co_return "(end)";
    if (!got->is_published()) co_return "(" + std::string(to_string(got->kind())) + ")";
    co_return std::string(got->channel()) + ": " + std::string(got->payload());
}

task<> ask(client db, std::string text) {
    const std::string got = co_await db.command<std::string>("ECHO", text);
    CHECK(got == text);
}

/// What was heard, in short: "SUBSCRIBE a b|PING".
std::string heard_by(const fake_server& server, std::size_t from = 0) {
    std::string all;
    for (; from < server.heard().size(); ++from) {
        if (!all.empty()) all += '|';
        std::string line;
        for (const std::string& word : server.heard()[from])
            if (line != "PING") line += (line.empty() ? "" : " ") + word;  // without its token
        all += line;
    }
    return all;
}

/// Names of one command come in any order.
std::string sorted(const words_said& command) {
    std::set<std::string> names(command.begin() + 1, command.end());
    std::string all = command[0];
    if (all == "PING") return all;
    for (const std::string& name : names) all += ' ' + name;
    return all;
}

}  // namespace

OURO_TEST("pushes of every kind, anywhere, disturb neither subscribers nor callers") {
    const auto redis = std::make_shared<imitation>();
    redis->noise = all_noise();
    fake_server server(said_by(redis));
    client db = co_await client::connect(server.url());
    auto sub = db.subscriber();
    auto asking = spawn(ask(db, "first"));
    co_await sub.subscribe("a", "b");
    co_await asking;
    for (int i = 0; i < 10; ++i) {
        auto other = spawn(ask(db, "more"));
        const std::string text = std::to_string(i);
        co_await db.publish("a", text);  // its message comes before its reply
        CHECK(sub.waiting() == 1);
        CHECK(co_await next_of(sub) == "a: " + text);
        co_await other;
    }
    co_await sub.unsubscribe("a");
    co_await db.publish("a", "nobody");
    co_await db.publish("b", "somebody");
    CHECK(co_await next_of(sub) == "b: somebody");
    co_await sub.close();
    co_await db.close();
}

OURO_TEST("what several tasks want in one turn is asked for at once, and once") {
    fake_server server(said_by(std::make_shared<imitation>()));
    client db = co_await client::connect(server.url());
    std::vector<subscriber> subs;
    for (int i = 0; i < 20; ++i) subs.push_back(db.subscriber());
    co_await with_scope([&](scope& tasks) -> task<> {
        for (auto& each : subs) tasks.spawn(each.subscribe("a", "b"));
        co_return;
    });
    REQUIRE(server.heard().size() == 2);
    CHECK(sorted(server.heard()[0]) == "SUBSCRIBE a b");
    CHECK(server.heard()[1][0] == "PING");
    // As long as one of them wants it, nothing is sent.
    for (int i = 0; i < 19; ++i) co_await subs[static_cast<std::size_t>(i)].unsubscribe("a");
    subs.erase(subs.begin(), subs.begin() + 10);
    co_await settle();
    CHECK(server.heard().size() == 2);
    co_await subs.back().unsubscribe("a");
    CHECK(heard_by(server, 2) == "UNSUBSCRIBE a|PING");
    subs.clear();
    co_await sleep_for(1s);
    CHECK(heard_by(server, 4) == "UNSUBSCRIBE b|PING");
    co_await db.close();
}

OURO_TEST("everything is subscribed again in one write") {
    fake_server server(said_by(std::make_shared<imitation>()));
    client db = co_await client::connect(server.url());
    auto first = db.subscriber();
    auto second = db.subscriber();
    co_await first.subscribe("a", "b");
    co_await second.psubscribe("c*");
    co_await second.ssubscribe("d", "e");
    const std::size_t before = server.heard().size();
    const std::uint64_t writes = db.sessions().front()->figures().batches;
    co_await ask(db, "close");
    CHECK(co_await next_of(first) == "(interrupted)");
    CHECK(co_await next_of(second) == "(interrupted)");
    CHECK(co_await next_of(first) == "(resumed)");
    CHECK(co_await next_of(second) == "(resumed)");
    co_await sleep_for(1s);
    const auto& heard = server.heard();
    REQUIRE(heard.size() == before + 1 + 5);
    std::set<std::string> commands;
    for (std::size_t at = before + 1; at < heard.size(); ++at) commands.insert(sorted(heard[at]));
    CHECK(commands == std::set<std::string>{"SUBSCRIBE a b", "PSUBSCRIBE c*", "SSUBSCRIBE d",
                                            "SSUBSCRIBE e", "PING"});
    CHECK(heard.back()[0] == "PING");
    CHECK(db.sessions().front()->figures().batches == writes + 2);  // ECHO and this
    co_await db.publish("b", "on");
    CHECK(co_await next_of(first) == "b: on");
    co_await db.close();
}

OURO_TEST("what is wanted while there is no connection goes out with the rest") {
    fake_server server(said_by(std::make_shared<imitation>()));
    client db = co_await client::connect(server.url());
    auto sub = db.subscriber();
    co_await sub.subscribe("a", "b");
    const std::size_t before = server.heard().size();
    co_await ask(db, "close");
    CHECK(co_await next_of(sub) == "(interrupted)");
    auto more = spawn(sub.subscribe("c"));
    auto less = spawn(sub.unsubscribe("b"));
    co_await less;  // nobody knows it any more
    co_await more;
    CHECK(co_await next_of(sub) == "(resumed)");
    co_await sleep_for(1s);
    REQUIRE(server.heard().size() == before + 3);
    CHECK(sorted(server.heard()[before + 1]) == "SUBSCRIBE a c");
    co_await db.close();
}

OURO_TEST("a refused name takes no other down, whoever asked for it") {
    fake_server server(said_by(std::make_shared<imitation>()));
    client db = co_await client::connect(server.url());
    auto sub = db.subscriber();
    auto other = db.subscriber();
    auto bad = spawn(sub.subscribe("a", "secret", "b"));
    auto good = spawn(other.subscribe("a", "c"));
    std::string words;
    try {
        co_await bad;
    } catch (const redis::error& refused) {
        CHECK(refused.code() == redis::errc::no_permission);
        words = refused.words();
    }
    CHECK(words == "NOPERM not for you");
    co_await good;
    CHECK(sub.topics() == 0);
    CHECK(other.topics() == 2);
    co_await settle();
    co_await db.publish("a", "1");
    CHECK(co_await next_of(other) == "a: 1");
    // Asked for again, it is refused again.
    const auto again = co_await as_result(sub.subscribe("secret"));
    CHECK(again.error() == redis::errc::no_permission);
    co_await db.close();
}

OURO_TEST("a caller who is cancelled leaves no reply behind that others would get") {
    fake_server server(said_by(std::make_shared<imitation>()));
    client db = co_await client::connect(server.url());
    auto sub = db.subscriber();
    auto other = db.subscriber();
    co_await other.subscribe("a");
    for (const std::string name : {"secret", "b"}) {
        auto waiting = spawn(sub.subscribe(name));
        const std::size_t before = server.heard().size();
        while (server.heard().size() == before) co_await yield();  // it is on its way
        waiting.cancel();
        const auto ended = co_await as_result(waiting);
        CHECK(ended.error() == errc::cancelled);
        CHECK(sub.topics() == 0);
        for (int i = 0; i < 5; ++i) co_await ask(db, "mine");
        co_await db.publish("b", "nobody");
        co_await db.publish("a", "1");
        CHECK(co_await next_of(other) == "a: 1");
        CHECK(sub.waiting() == 0);
    }
    co_await db.close();
}

OURO_TEST("a connection that ends at any byte is made again with what is wanted") {
    // HELLO's reply has 38 bytes, each confirmation about 30, and PING's 13.
    for (std::size_t limit = 39; limit < 160; ++limit) {
        const auto redis = std::make_shared<imitation>();
        fake_server server([limit, redis](const words_said& said, fake_caller& who) {
            if (who.number == 0 && who.bytes_left > limit) who.bytes_left = limit - 38;
            // The second one breaks, too.
            if (who.number == 1 && who.bytes_left > 100) who.bytes_left = limit % 90;
            return (*redis)(said, who);
        });
        client db = co_await client::connect(server.url());
        auto sub = db.subscriber();
        co_await sub.subscribe("a", "b");
        std::string got;
        while (got != "b: after all") {
            static_cast<void>(co_await as_result(db.publish("b", "after all")));
            while (sub.waiting() > 0) got = co_await next_of(sub);
        }
        for (int asked = 0; asked < 3; ++asked) {
            const auto got_back = co_await as_result(db.command<std::string>("ECHO", "mine"));
            if (got_back) CHECK(*got_back == "mine");
        }
        co_await db.close();
    }
}

OURO_TEST("under RESP2 a subscriber has a connection of its own, whose messages are arrays") {
    const auto redis = std::make_shared<imitation>();
    redis->resp2 = true;
    fake_server server(
        [redis](const words_said& said, fake_caller& who) {
            if (said[0] == "HELLO") return std::string("-ERR unknown command 'HELLO'\r\n");
            // Both connections hear what is published, as they would.
            if (said[0] == "PUBLISH") who.number = 1;
            return (*redis)(said, who);
        },
        false);
    client db = co_await client::connect(server.url());
    auto sub = db.subscriber();
    co_await sub.subscribe("a", "b");
    CHECK(server.connections() == 2);
    co_await sub.unsubscribe("b");
    auto other = db.subscriber();
    co_await other.subscribe("b");
    CHECK(server.connections() == 2);
    co_await ask(db, "mine");
    co_await sub.close();
    co_await other.close();
    co_await db.close();
}

OURO_TEST("a server that comes back without RESP3 ends those who share its connection") {
    const auto redis = std::make_shared<imitation>();
    fake_server server(
        [redis](const words_said& said, fake_caller& who) {
            if (said[0] == "HELLO" && who.number > 0)
                return std::string("-ERR unknown command 'HELLO'\r\n");
            if (said[0] == "HELLO") return std::string("%1\r\n+server\r\n+fake\r\n");
            return (*redis)(said, who);
        },
        false);
    client db = co_await client::connect(server.url());
    auto sub = db.subscriber();
    co_await sub.subscribe("a");
    co_await ask(db, "close");
    auto late = spawn(sub.subscribe("b"));
    CHECK(!co_await as_result(late));
    for (int i = 0; i < 5; ++i) co_await ask(db, "mine");
    CHECK(!co_await sub.next());
    auto other = db.subscriber();
    co_await other.subscribe("a");  // on a connection of its own now
    CHECK(other.hub()->owns());
    co_await other.close();
    co_await db.close();
}

OURO_TEST("a shard channel that the server gives away ends for its subscribers") {
    fake_server server(said_by(std::make_shared<imitation>()));
    client db = co_await client::connect(server.url());
    auto sub = db.subscriber();
    co_await sub.ssubscribe("a", "b");
    co_await db.command("MOVE", "a");
    const std::optional<message> got = co_await sub.next();
    REQUIRE(got);
    CHECK(got->kind() == message_kind::ended);
    CHECK(got->topic() == redis::topic_kind::shard);
    CHECK(got->channel() == "a");
    CHECK(sub.topics() == 1);
    co_await sub.ssubscribe("a");
    CHECK(sub.topics() == 2);
    co_await db.close();
}

OURO_TEST("a shard channel that moves while it is given up costs no caller a reply") {
    const auto redis = std::make_shared<imitation>();
    fake_server server([redis](const words_said& said, fake_caller& who) {
        // The slot has just moved: the news of it stand in front of the refusal.
        if (said[0] == "SUNSUBSCRIBE")
            return push({bulk("sunsubscribe"), bulk(said[1]), ":0\r\n"}) +
                   "-MOVED 1 127.0.0.1:1\r\n";
        return (*redis)(said, who);
    });
    client db = co_await client::connect(server.url());
    auto sub = db.subscriber();
    co_await sub.ssubscribe("a");
    co_await with_scope([&](scope& tasks) -> task<> {
        tasks.spawn(sub.sunsubscribe("a"));
        for (int i = 0; i < 10; ++i) tasks.spawn(ask(db, "before " + std::to_string(i)));
        co_await yield();
        for (int i = 0; i < 10; ++i) tasks.spawn(ask(db, "behind " + std::to_string(i)));
    });
    for (int i = 0; i < 10; ++i) co_await ask(db, "later");
    CHECK(sub.topics() == 0);
    CHECK(sub.hub()->size() == 0);
    CHECK(server.connections() == 1);
    co_await db.close();
}

OURO_TEST("a reply that is not the token of the round ends the connection, and not the round") {
    const auto redis = std::make_shared<imitation>();
    fake_server server([redis](const words_said& said, fake_caller& who) {
        if (said[0] == "PING" && who.number == 0) return std::string("+PONG\r\n");
        return (*redis)(said, who);
    });
    client db = co_await client::connect(server.url());
    auto sub = db.subscriber();
    co_await sub.subscribe("a");
    co_await settle();
    co_await ask(db, "mine");
    co_await sub.subscribe("b");
    CHECK(server.connections() == 2);
    co_await db.close();
}

OURO_TEST("a server that is busy when it comes back is asked again") {
    const auto redis = std::make_shared<imitation>();
    fake_server server(said_by(redis));
    client db = co_await client::connect(server.url());
    auto sub = db.subscriber();
    co_await sub.subscribe("a");
    redis->answer_all = "-BUSY a script runs\r\n";
    co_await ask(db, "close");
    CHECK(co_await next_of(sub) == "(interrupted)");
    // Who asks anew is told so.
    co_await sleep_for(1s);
    const auto refused = co_await as_result(sub.subscribe("b"));
    CHECK(refused.error() == redis::errc::busy);
    redis->answer_all.clear();
    CHECK(co_await next_of(sub) == "(resumed)");
    co_await db.publish("a", "1");
    CHECK(co_await next_of(sub) == "a: 1");
    co_await db.close();
}

OURO_TEST("a server that confirms nothing is an error, and not a wait for ever") {
    const auto redis = std::make_shared<imitation>();
    redis->answer_all = push({bulk("tidings"), bulk("a"), ":1\r\n"});
    fake_server server(said_by(redis));
    client db = co_await client::connect(server.url());
    auto sub = db.subscriber();
    const auto refused = co_await as_result(sub.subscribe("a"));
    CHECK(refused.error() == redis::errc::unexpected_reply);
    co_await db.close();
}

namespace {

task<> everything() {
    const auto redis = std::make_shared<imitation>();
    redis->noise = push({bulk("tidings"), bulk("a"), bulk("b")});
    fake_server server(said_by(redis));
    client db = co_await client::connect(server.url());
    auto sub = db.subscriber();
    auto other = db.subscriber();
    co_await with_scope([&](scope& tasks) -> task<> {
        tasks.spawn(sub.subscribe("a", "b"));
        tasks.spawn(other.psubscribe("a"));
        tasks.spawn(ask(db, "mine"));
        co_return;
    });
    co_await db.publish("a", "1");
    const std::optional<message> got = co_await sub.next();
    CHECK(got->payload() == "1");
    const auto refused = co_await as_result(sub.subscribe("secret"));
    CHECK(!refused);
    co_await ask(db, "close");
    while (true) {
        const std::optional<message> news = co_await sub.next();
        if (news->kind() == message_kind::resumed) break;
    }
    co_await ask(db, "mine");
    co_await sub.unsubscribe_all();
    co_await sub.close();
    auto own = co_await subscriber::connect(server.url());
    co_await own.ssubscribe("d");
    co_await own.close();
    co_await db.close();
}

}  // namespace

TEST_CASE("subscribing can be cancelled anywhere") {
    const sweep_report swept = cancel_everywhere(everything);
    CHECK(swept.complaints == "");
    CHECK(swept.points > 20);
}

OURO_TEST("subscribers come and go on one connection while others ask") {
    const auto redis = std::make_shared<imitation>();
    fake_server server(said_by(redis));
    client db = co_await client::connect(server.url());
    auto come_and_go = [](client on, int number) -> task<> {
        auto sub = on.subscriber();
        const std::string name = "c" + std::to_string(number % 3);
        for (int round = 0; round < 10; ++round) {
            co_await sub.subscribe(name, "all");
            co_await ask(on, name);
            if (round % 2 == 0) co_await sub.unsubscribe(name);
            const auto refused = co_await as_result(sub.subscribe("secret"));
            CHECK(refused.error() == redis::errc::no_permission);
            co_await sub.unsubscribe_all();
        }
        CHECK(sub.topics() == 0);
    };
    co_await with_scope([&](scope& tasks) -> task<> {
        for (int i = 0; i < 10; ++i) tasks.spawn(come_and_go, db, i);
        co_return;
    });
    co_await settle();
    auto sub = db.subscriber();
    CHECK(sub.hub()->size() == 0);
    co_await db.close();
}
