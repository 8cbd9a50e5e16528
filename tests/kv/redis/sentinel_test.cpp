#include <ouro/kv/redis/sentinel.hpp>

#include <ouro/kv/redis/cache.hpp>
#include <ouro/kv/redis/testing/fake_server.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

using namespace ouro;
using namespace ouro::testing;
using namespace std::chrono_literals;
using redis::sentinel_client;

namespace {

/// A server that says of itself what the test wants.
struct node {
    explicit node(std::string role)
        : role(std::move(role)),
          server([this](const words_said& said, fake_caller& who) { return answer(said, who); }) {}

    std::string answer(const words_said& said, fake_caller& who) {
        if (said[0] == "ROLE") return "*1\r\n" + bulk(role);
        if (said[0] == "PING") return said.size() > 1 ? bulk(said[1]) : "+PONG\r\n";
        if (said[0] == "SUBSCRIBE") {
            subscriber = who.number;
            return ">3\r\n" + bulk("subscribe") + bulk(said[1]) + ":1\r\n";
        }
        ++asked;
        who.close = hang_up;
        if (silent) return {};
        if (said[0] == "GET") return bulk(name() + "'s " + said[1]);
        if (role != "master" || read_only)
            return "-READONLY You can't write against a replica.\r\n";
        if (said[0] == "SET") values[said[1]] = said[2];
        return "+OK\r\n";
    }
    std::string name() const { return std::to_string(server.port()); }

    std::string role;
    bool read_only = false;
    bool silent = false;
    bool hang_up = false;
    int asked = 0;
    int subscriber = -1;
    std::map<std::string, std::string> values;
    fake_server server;
};

std::string endpoint_fields(std::uint16_t port, std::string_view more = {}) {
    std::string text = "%" + std::to_string(2 + (more.empty() ? 0 : 1)) + "\r\n" + bulk("ip") +
                       bulk("127.0.0.1") + bulk("port") + bulk(std::to_string(port));
    if (!more.empty()) text += bulk("flags") + bulk(more);
    return text;
}

/// A sentinel that says what the test wants.
struct witness {
    explicit witness(std::uint16_t master = 0)
        : master(master),
          server([this](const words_said& said, fake_caller& who) { return answer(said, who); }) {}

    std::string answer(const words_said& said, fake_caller& who) {
        if (said[0] == "SUBSCRIBE") {
            listener = who.number;
            return ">3\r\n" + bulk("subscribe") + bulk(said[1]) + ":1\r\n";
        }
        if (said[0] == "PING") return said.size() > 1 ? bulk(said[1]) : "+PONG\r\n";
        CHECK(said[0] == "SENTINEL");
        ++asked;
        if (silent) return {};
        if (said[2] != "mymaster" || master == 0)
            return said[1] == "GET-MASTER-ADDR-BY-NAME" ? "*-1\r\n" : "-ERR No such master\r\n";
        if (said[1] == "GET-MASTER-ADDR-BY-NAME")
            return "*2\r\n" + bulk("127.0.0.1") + bulk(std::to_string(master));
        if (said[1] == "MASTER")
            return "%1\r\n" + bulk("config-epoch") + bulk(std::to_string(epoch));
        const auto& list = said[1] == "SENTINELS" ? others : replicas;
        std::string text = "*" + std::to_string(list.size()) + "\r\n";
        for (const std::uint16_t port : list)
            text += endpoint_fields(port, port == down ? "slave,s_down" : "");
        return text;
    }
    std::string name() const { return "127.0.0.1:" + std::to_string(server.port()); }

    task<> announce(const node& from, const node& to) {
        const std::string text = "mymaster 127.0.0.1 " + from.name() + " 127.0.0.1 " + to.name();
        co_await server.say(listener,
                            ">3\r\n" + bulk("message") + bulk("+switch-master") + bulk(text));
    }

    std::uint16_t master;
    std::uint64_t epoch = 1;
    std::vector<std::uint16_t> others;
    std::vector<std::uint16_t> replicas;
    std::uint16_t down = 0;
    bool silent = false;
    int asked = 0;
    int listener = -1;
    fake_server server;
};

/// Two servers and two sentinels; the first server is the master.
struct group {
    node one{"master"};
    node two{"slave"};
    witness first{one.server.port()};
    witness second{one.server.port()};

    void promote_two() {
        one.role = "slave";
        two.role = "master";
        tell_of_two();
    }
    void tell_of_two() {
        for (witness* each : {&first, &second}) {
            each->master = two.server.port();
            each->epoch = 2;
        }
    }
    task<sentinel_client> connect(redis::sentinel_options options = {}) {
        const std::string first_name = first.name();
        const std::string second_name = second.name();
        auto made =
            co_await sentinel_client::connect({first_name, second_name}, "mymaster", options);
        co_await settle();  // until the sentinels are listened to
        co_return made;
    }
};

std::uint16_t port_of(const sentinel_client& db) { return db.where() ? db.where()->port : 0; }

OURO_TEST_IO("the sentinels' master is found, and is used like any server") {
    group all;
    sentinel_client db = co_await all.connect();
    CHECK(port_of(db) == all.one.server.port());
    co_await db.set("k", "v");
    CHECK(all.one.values["k"] == "v");
    std::optional<std::string> got = co_await db.get("a");
    CHECK(got == all.one.name() + "'s a");
    auto batch = db.pipeline();
    auto handle = batch.get("b");
    co_await batch.exec();
    CHECK(handle.get() == all.one.name() + "'s b");
    auto mine = co_await db.lease();
    got = co_await mine->get("c");
    CHECK(got == all.one.name() + "'s c");
    CHECK(db.figures().moves == 1);
    mine.release();
    co_await db.close();
}

OURO_TEST("one sentinel is enough, and the others are learned from it") {
    group all;
    all.first.others = {all.second.server.port()};
    const std::string only = all.first.name();
    sentinel_client db = co_await sentinel_client::connect({only}, "mymaster");
    CHECK(db.sentinels().size() == 2);
    co_await settle();
    CHECK(all.second.listener >= 0);
    co_await db.close();
}

OURO_TEST("a sentinel whose master says that it is none is not believed") {
    group all;
    all.first.master = all.two.server.port();
    sentinel_client db = co_await all.connect();
    CHECK(port_of(db) == all.one.server.port());
    co_await db.set("k", "v");
    CHECK(all.two.asked == 0);
    co_await db.close();
}

OURO_TEST("without a master that agrees nothing is connected, and everyone's story is told") {
    group all;
    all.one.role = "slave";
    all.second.master = 0;
    try {
        co_await all.connect();
        FAIL("it did not throw");
    } catch (const redis::error& error) {
        CHECK(error.code() == redis::errc::unhealthy);
        CHECK(error.how_far() == net::fate::unsent);
        const std::string what = error.what();
        CAPTURE(what);
        CHECK(what.find("its role is slave") != what.npos);
        CHECK(what.find("knows no such master") != what.npos);
        CHECK(what.find(all.second.name()) != what.npos);
    }
    CHECK(all.one.asked == 0);
    CHECK(all.first.asked > 4);  // it was asked several times
}

OURO_TEST("sentinels that are not there, or say nothing, are passed over") {
    group all;
    all.first.silent = true;
    sentinel_client db = co_await all.connect();
    CHECK(port_of(db) == all.one.server.port());
    co_await db.close();

    all.first.server.stop();
    db = co_await all.connect();
    CHECK(port_of(db) == all.one.server.port());
    co_await db.close();

    all.second.server.stop();
    const auto none = co_await as_result(all.connect());
    CHECK(none.error() == redis::errc::unhealthy);
    const auto wrong = co_await as_result(sentinel_client::connect({"http://x"}, "mymaster"));
    CHECK(wrong.error() == redis::errc::bad_url);
    const auto nobody = co_await as_result(sentinel_client::connect({}, "mymaster"));
    CHECK(nobody.error() == redis::errc::bad_url);
}

/// What connecting to these sentinels is told.
task<redis::error> refusal(std::string sentinel) {
    try {
        co_await sentinel_client::connect({sentinel}, "mymaster", {.rounds_max = 1});
    } catch (const redis::error& error) {
        co_return error;
    }
    FAIL("it did not throw");
    throw std::logic_error("it did not throw");
}

OURO_TEST("a sentinel's URL that is refused says why, and nothing of it is shown") {
    for (const std::string url :
         {"redis://:se%same@127.0.0.1:1", "redis://alice:sesame@127.0.0.1:1/1",
          "redis://:ses/ame@127.0.0.1:1", "unix://:sesame@/sentinel.sock", "http://sesame",
          "rediss://:ses/ame@127.0.0.1:1", "redis://127.0.0.1:1?password=sesame&x=1"}) {
        CAPTURE(url);
        const redis::error told = co_await refusal(url);
        CHECK(told.code() == redis::errc::bad_url);
        CHECK(!told.words().empty());
        const std::string shown = std::string(told.what()) + std::string(told.words());
        for (const char* part : {"same", "/ame", "ses"}) CHECK(shown.find(part) == shown.npos);
        CHECK(shown.find("127.0.0.1") == std::string::npos);
    }
}

OURO_TEST("a sentinel without a port is asked at 26379") {
    for (const std::string url : {"redis://127.0.0.1", "127.0.0.1", "redis://:a:b@127.0.0.1"}) {
        const redis::error told = co_await refusal(url);
        CHECK(told.code() == redis::errc::unhealthy);
        CHECK(std::string(told.what()).find("127.0.0.1:26379") != std::string::npos);
    }
}

/// What was said in HELLO and AUTH, by connection.
std::vector<std::string> logins_of(const fake_server& server) {
    std::vector<std::string> all;
    for (const words_said& said : server.heard())
        if (said[0] == "HELLO" && said.size() > 4) all.push_back(said[3] + ":" + said[4]);
    return all;
}

OURO_TEST("the user and the password of a sentinel's URL are used, and for those learned, too") {
    group all;
    const auto strict = [&](witness& of) {
        return [&of](const words_said& said, fake_caller& who) {
            if (said[0] == "HELLO") return std::string("%1\r\n+id\r\n:7\r\n");
            if (said[0] == "CLIENT") return std::string("+OK\r\n");
            return of.answer(said, who);
        };
    };
    fake_server second(strict(all.second), false);
    all.first.others = {second.port()};
    fake_server first(strict(all.first), false);
    const std::string where = "127.0.0.1:" + std::to_string(first.port());
    const std::string url = "redis://alice:s%65same@" + where;
    sentinel_client db = co_await sentinel_client::connect({url}, "mymaster");
    co_await settle();
    const std::vector<std::string> told = logins_of(first);
    CHECK(told.size() >= 2);  // the question, and the announcements
    for (const std::string& login : told) CHECK(login == "alice:sesame");
    CHECK(logins_of(second) == std::vector<std::string>{"alice:sesame"});
    co_await db.close();

    // What the URL says goes before the options.
    db = co_await sentinel_client::connect({url}, "mymaster", {.sentinel_password = "other"});
    co_await settle();
    CHECK(logins_of(first).back() == "alice:sesame");
    CHECK(logins_of(second).back() == "default:other");
    co_await db.close();
}

OURO_TEST("a password that the master refuses is told in its words") {
    fake_server strict(
        [](const words_said&, fake_caller&) {
            return std::string("-WRONGPASS invalid username-password pair\r\n");
        },
        false);
    witness sentinel(strict.port());
    const std::string name = sentinel.name();
    try {
        co_await sentinel_client::connect({name}, "mymaster", {.password = "wrong"});
        FAIL("it did not throw");
    } catch (const redis::error& error) {
        CHECK(error.code() == redis::errc::wrong_password);
        CHECK(std::string(error.what()).find("WRONGPASS") != std::string::npos);
    }
}

OURO_TEST("when another master is announced, everything moves there") {
    group all;
    sentinel_client db = co_await all.connect({.client = {.connections = 2}});
    auto mine = co_await db.lease();
    co_await mine->get("a");
    all.one.silent = true;
    auto write = spawn(
        [](sentinel_client& db) -> task<std::error_code> {
            const auto done = co_await as_result(db.set("k", "old"));
            co_return done.error();
        },
        std::ref(db));
    auto read = spawn(
        [](sentinel_client& db) -> task<std::string> {
            const auto got = co_await db.get("k");
            co_return got.value_or("nothing");
        },
        std::ref(db));
    co_await settle();
    CHECK(all.one.asked == 3);

    all.promote_two();
    co_await all.first.announce(all.one, all.two);
    co_await all.second.announce(all.one, all.two);
    CHECK(co_await write == errc::closed);  // it may have been done
    CHECK(co_await read == all.two.name() + "'s k");
    CHECK(!mine->usable());
    mine.release();
    CHECK(co_await db.set("k", "new"));
    CHECK(all.two.values["k"] == "new");
    auto other = co_await db.lease();
    const auto got = co_await other->get("a");
    CHECK(got == all.two.name() + "'s a");
    other.release();
    CHECK(port_of(db) == all.two.server.port());
    CHECK(db.figures().moves == 2);
    CHECK(db.figures().announcements == 1);
    CHECK(all.one.asked == 3);
    co_await db.close();
}

OURO_TEST(
    "between an announcement and the new master requests wait, and the old one hears nothing") {
    group all;
    sentinel_client db = co_await all.connect();
    // The old one still takes itself for the master, and the new one does not know yet.
    co_await all.first.announce(all.one, all.two);
    co_await settle();
    auto write =
        spawn([](sentinel_client& db) -> task<> { co_await db.set("k", "v"); }, std::ref(db));
    co_await settle();
    CHECK(!write.finished());
    CHECK(!db.where());
    CHECK(all.one.asked == 0);
    all.two.role = "master";
    all.first.master = all.two.server.port();
    all.first.epoch = 2;
    co_await write;
    CHECK(all.two.values["k"] == "v");
    CHECK(all.one.values.empty());
    co_await db.close();
}

OURO_TEST("announcements that are none of ours move nothing") {
    group all;
    sentinel_client db = co_await all.connect();
    const std::string to = all.two.name();
    for (const std::string& text :
         {"other 127.0.0.1 " + all.one.name() + " 127.0.0.1 " + to, std::string("mymaster"),
          std::string(), "mymaster 127.0.0.1 x 127.0.0.1 " + to,
          "mymaster 127.0.0.1 1 127.0.0.1 " + to,  // from one where we are not: a late one
          "mymaster 127.0.0.1 " + to + " 127.0.0.1 " + all.one.name()}) {
        co_await all.first.server.say(
            all.first.listener, ">3\r\n" + bulk("message") + bulk("+switch-master") + bulk(text));
        co_await settle();
        CHECK(port_of(db) == all.one.server.port());
    }
    co_await db.set("k", "v");
    CHECK(db.figures().moves == 1);
    co_await db.close();
}

OURO_TEST("READONLY makes it ask again, and it leaves a master that is none any more") {
    group all;
    sentinel_client db = co_await all.connect();
    all.promote_two();
    const auto refused = co_await as_result(db.set("k", "v"));
    CHECK(refused.error() == redis::errc::read_only);
    co_await settle();
    co_await sleep_for(100ms);
    co_await db.set("k", "v");
    CHECK(all.two.values["k"] == "v");
    co_await db.close();
}

OURO_TEST("an older configuration is not believed, until nobody knows a newer one") {
    group all;
    sentinel_client db = co_await all.connect();
    all.promote_two();
    co_await all.first.announce(all.one, all.two);
    co_await settle();
    co_await db.set("k", "v");
    // One sentinel has slept through it; the old master came back and believes that it is one.
    all.one.role = "master";
    all.second.master = all.one.server.port();
    all.second.epoch = 1;
    all.first.silent = true;
    all.two.server.hang_up();
    co_await settle();
    const time_point begin = clock::now();
    auto write = co_await as_result(db.set("k", "w"));
    if (write) {
        CHECK(all.one.values.empty());
    } else {
        CHECK(write.error() == redis::errc::unhealthy);
        CHECK(clock::now() - begin > 2s);  // several rounds
    }
    all.first.silent = false;
    co_await db.close();
}

OURO_TEST("a lost connection to the same master comes back") {
    group all;
    sentinel_client db = co_await all.connect();
    all.one.server.hang_up();
    co_await settle();
    co_await db.set("k", "v");
    CHECK(all.one.values["k"] == "v");
    CHECK(db.figures().moves == 1);
    CHECK(db.figures().rounds == 2);
    co_await db.close();
}

OURO_TEST("without a master requests are told so, and go on when there is one again") {
    group all;
    sentinel_client db = co_await all.connect();
    all.one.role = "slave";
    all.one.server.hang_up();
    co_await settle();
    const auto refused = co_await as_result(db.set("k", "v"));
    CHECK(refused.error() == redis::errc::unhealthy);
    CHECK(!db.where());
    const auto leased = co_await as_result(db.lease());
    CHECK(leased.error() == redis::errc::unhealthy);
    all.one.role = "master";
    co_await sleep_for(2s);
    co_await db.set("k", "v");
    CHECK(all.one.values["k"] == "v");
    co_await db.close();
}

OURO_TEST("sentinels that are gone do no harm while the master is there") {
    group all;
    sentinel_client db = co_await all.connect();
    all.first.server.stop();
    all.second.server.stop();
    co_await sleep_for(1min);
    co_await db.set("k", "v");
    CHECK(all.one.values["k"] == "v");
    CHECK(db.figures().failed_rounds > 3);
    co_await db.close();
}

OURO_TEST("an announcement that was missed is noticed by asking now and then") {
    group all;
    sentinel_client db = co_await all.connect();
    all.promote_two();
    co_await sleep_for(11s);
    co_await db.set("k", "v");
    CHECK(all.two.values["k"] == "v");
    CHECK(db.figures().announcements == 0);
    co_await db.close();
}

OURO_TEST("reads go to the replicas in turn, and to the master while there is none") {
    group all;
    node three("slave");
    node gone("slave");
    for (witness* each : {&all.first, &all.second}) {
        each->replicas = {all.two.server.port(), three.server.port(), gone.server.port()};
        each->down = gone.server.port();
    }
    sentinel_client db = co_await all.connect({.replicas = true});
    co_await settle();
    CHECK(db.replicas().size() == 2);
    for (int i = 0; i < 4; ++i) {
        auto near = db.replica();
        co_await near.get("k");
        const auto refused = co_await as_result(near.set("k", "v"));
        CHECK(refused.error() == redis::errc::read_only);
    }
    CHECK(all.two.asked == 4);
    CHECK(three.asked == 4);
    CHECK(gone.asked == 0);
    CHECK(all.one.asked == 0);

    for (witness* each : {&all.first, &all.second}) each->replicas.clear();
    co_await sleep_for(11s);
    CHECK(db.replicas().empty());
    const auto rounds = db.figures().rounds;
    for (int i = 0; i < 10; ++i) {
        auto near = db.replica();
        co_await near.get("k");
    }
    CHECK(all.one.asked == 10);
    CHECK(db.figures().rounds == rounds);  // no replica is no reason to ask anybody
    co_await db.close();
}

OURO_TEST("subscribers move, too, and are told of the gap") {
    for (const redis::slow_policy policy :
         {redis::slow_policy::drop_oldest, redis::slow_policy::block}) {
        group all;
        sentinel_client db = co_await all.connect();
        auto sub = db.subscriber({.when_full = policy});
        co_await sub.subscribe("news");
        CHECK(all.one.subscriber >= 0);
        all.promote_two();
        co_await all.first.announce(all.one, all.two);
        auto message = co_await sub.next();
        CHECK(message->kind() == redis::message_kind::interrupted);
        message = co_await sub.next();
        CHECK(message->kind() == redis::message_kind::resumed);
        co_await settle();
        co_await all.two.server.say(all.two.subscriber, ">3\r\n+message\r\n+news\r\n+from two\r\n");
        message = co_await sub.next();
        CHECK(message->payload() == "from two");
        co_await sub.close();
        co_await db.close();
    }
}

OURO_TEST("a cache on it forgets what it knew of the old master") {
    group all;
    sentinel_client db = co_await all.connect();
    redis::cache near = co_await redis::cache::on(db);
    auto got = co_await near.get("k");
    all.promote_two();
    co_await all.first.announce(all.one, all.two);
    co_await settle();
    got = co_await near.get("k");
    CHECK(got == all.two.name() + "'s k");
    co_await db.close();
}

task<> everything() {
    group all;
    sentinel_client db = co_await all.connect({.replicas = true});
    co_await db.set("k", "v");
    all.promote_two();
    co_await all.first.announce(all.one, all.two);
    co_await db.get("k");
    co_await db.replica().get("k");
    co_await db.close();
}

TEST_CASE("it can be cancelled anywhere") {
    const auto report = cancel_everywhere_on_all(everything);
    CHECK_MESSAGE(report.clean(), report.complaints);
    CHECK(report.points > 20);
}

}  // namespace
