// Several servers: where keys are, and what happens when one goes away.
#include <ouro/kv/memcached/client.hpp>
#include <ouro/kv/memcached/md5.hpp>
#include <ouro/kv/memcached/testing/fake_server.hpp>
#include <ouro/net/resolver.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/tests/kv/memcached/dialects.hpp>
#include <ouro/tests/net/names.hpp>

#include <array>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace ouro::memcached {
namespace {

using namespace std::chrono_literals;

std::array<memcached_server, 3>& three_servers() {
    static std::array<memcached_server, 3> all;
    return all;
}

std::string list_of_three() {
    std::string list;
    for (const memcached_server& one : three_servers()) list += one.address() + ", ";
    return list.substr(0, list.size() - 2);
}

std::string key(int i) { return "key:" + std::to_string(i); }

OURO_TEST_DIALECTS("keys live on the servers that the ring says, and nowhere else") {
    for (const distribution how :
         {distribution::ketama, distribution::consistent, distribution::rendezvous}) {
        if (how == distribution::ketama && !has_md5()) continue;
        client_options options;
        options.dialect = speaking;
        options.distribution = how;
        client cache = co_await client::connect(list_of_three(), options);
        co_await cache.flush_all();
        std::set<std::string> used;
        std::vector<std::string> names;
        for (int i = 0; i < 60; ++i) {
            names.push_back(key(i));
            used.insert(cache.server_of(names.back()));
            co_await cache.set(names.back(), "v" + std::to_string(i));
        }
        CHECK(used.size() == 3);
        for (const memcached_server& one : three_servers()) {
            client alone = co_await client::connect(one.address());
            int wrong = 0;
            for (const std::string& name : names) {
                const std::optional<std::string> hit = co_await alone.get(name);
                wrong += hit.has_value() != (cache.server_of(name) == one.address());
            }
            CHECK(wrong == 0);
        }
        const std::vector<std::string_view> keys(names.begin(), names.end());
        const auto values = co_await cache.get_multi(keys);
        int missing = 0;
        for (int i = 0; i < 60; ++i) missing += values[i] != "v" + std::to_string(i);
        CHECK(missing == 0);
        const auto versions = co_await cache.version();
        CHECK(versions.size() == 3);
    }
}

OURO_TEST_REAL("weights draw keys") {
    std::vector<server> servers;
    for (std::size_t i = 0; i < 3; ++i)
        servers.emplace_back(three_servers()[i].address(), i == 0 ? 8 : 1);
    const client_options options{.distribution = distribution::rendezvous};
    client cache = co_await client::connect(servers, options);
    int heavy = 0;
    for (int i = 0; i < 1000; ++i) heavy += cache.server_of(key(i)) == servers[0].at;
    CHECK(heavy > 650);
    CHECK(heavy < 950);
}

OURO_TEST_REAL("when a real server is killed its keys move, and they come home when it is back") {
    memcached_server mortal;
    memcached_server other;
    const client_options options{.distribution = distribution::rendezvous, .probe_interval = 200ms};
    client cache = co_await client::connect(mortal.address() + "," + other.address(), options);
    int i = 0;
    while (cache.server_of(key(i)) != mortal.address()) ++i;
    const std::string mine = key(i);
    co_await cache.set(mine, "at home");
    mortal.kill();
    while (!cache.figures().servers[0].is_down) {
        static_cast<void>(co_await as_result(cache.get(mine)));
        co_await sleep_for(5ms);
    }
    CHECK_FALSE(co_await cache.get(mine));
    co_await cache.set(mine, "away");
    CHECK(co_await cache.get(mine) == "away");
    mortal.restart();
    while (cache.figures().servers[0].is_down) co_await sleep_for(5ms);
    CHECK(cache.server_of(mine) == mortal.address());
    CHECK_FALSE(co_await cache.get(mine));
}

// Servers that go away, in simulation.

std::string honestly(const heard_request& asked, fake_caller&) { return honest(asked); }

OURO_TEST("a server that refuses is marked down, what was asked of it moves on, and it is probed") {
    bool away = false;
    fake_server first(
        [&away](const heard_request& asked, fake_caller& caller) {
            caller.close = away;
            return away ? std::string() : honest(asked);
        },
        false);
    fake_server second(honestly);
    const client_options options{
        .distribution = distribution::rendezvous, .read_repeats = 0, .probe_interval = 2s};
    client cache = co_await client::connect(first.address() + "," + second.address(), options);
    int i = 0;
    while (cache.server_of(key(i)) != first.address()) ++i;
    const std::string mine = key(i);
    co_await cache.set(mine, "x");

    away = true;
    auto lost = co_await as_result(cache.get(mine));
    CHECK_FALSE(lost);
    const std::optional<std::string> moved = co_await cache.get(mine);  // waits, then moves on
    CHECK(moved == mine + "'s");
    CHECK(cache.figures().servers[0].is_down);
    CHECK(cache.server_of(mine) == second.address());
    const std::vector<std::string_view> keys{mine, "other"};
    const auto many = co_await cache.get_multi(keys);
    CHECK(many[0] == mine + "'s");

    away = false;
    co_await sleep_for(3s);
    CHECK_FALSE(cache.figures().servers[0].is_down);
    CHECK(cache.server_of(mine) == first.address());
    const std::optional<std::string> home = co_await cache.get(mine);
    CHECK(home == mine + "'s");
}

OURO_TEST("a read that had been sent follows its key when its server goes down") {
    bool away = false;
    std::string mine;
    fake_server first(
        [&](const heard_request& asked, fake_caller& caller) {
            if (!mine.empty() && asked.key() == mine) away = true;  // it hears it, and dies
            caller.close = away;
            return away ? std::string() : honest(asked);
        },
        false);
    fake_server second(honestly);
    const client_options options{
        .distribution = distribution::rendezvous, .read_repeats = 1, .probe_interval = 2s};
    client cache = co_await client::connect(first.address() + "," + second.address(), options);
    int i = 0;
    while (cache.server_of(key(i)) != first.address()) ++i;
    mine = key(i);
    const std::optional<std::string> moved = co_await cache.get(mine);
    CHECK(moved == mine + "'s");
    CHECK(away);
    CHECK(cache.figures().servers[0].is_down);
    CHECK(cache.server_of(mine) == second.address());
}

OURO_TEST("a server that does not keep its connections is asked less and less often") {
    fake_server server(
        [](const heard_request& asked, fake_caller& caller) {
            caller.close = true;
            return honest(asked);
        },
        false);
    const client_options options{.failures_max = 0, .probe_interval = 10s};
    client cache = co_await client::connect(server.address(), options);
    co_await sleep_for(10s);
    // Waits of 50 ms, 100 ms and so on, each up to half shorter: 9 of them, or 8.
    CHECK(server.connections() >= 8);
    CHECK(server.connections() <= 10);
}

OURO_TEST("a name whose addresses have all failed is looked up again at the next attempt") {
    fake_server server(honestly);
    auto source = std::make_shared<net::test_names>();
    source->known["cache.example"] = {net::endpoint("127.0.0.2:0")};  // nobody is there
    net::resolver names({}, source);
    const std::string port = server.address().substr(server.address().rfind(':'));
    const client_options options{.failures_max = 0, .names = &names};
    const auto refused = co_await as_result(client::connect("cache.example" + port, options));
    CHECK(refused.error() == std::errc::connection_refused);
    std::string what;
    try {
        co_await client::connect("127.0.0.2" + port);
    } catch (const error& failure) {
        what = failure.what();
    }
    const std::string cause = "Connection refused";
    CHECK(what.find(cause) != what.npos);
    CHECK(what.find(cause) == what.rfind(cause));
    source->known["cache.example"] = {net::endpoint("127.0.0.1:0")};
    client cache = co_await client::connect("cache.example" + port, options);
    const std::optional<std::string> got = co_await cache.get("a");
    CHECK(got == "a's");
    CHECK(source->asked == 2);
}

OURO_TEST("without failover the keys of a server that is down fail at once") {
    bool away = false;
    fake_server first(
        [&away](const heard_request& asked, fake_caller& caller) {
            caller.close = away;
            return away ? std::string() : honest(asked);
        },
        false);
    fake_server second(honestly);
    const client_options options{
        .distribution = distribution::rendezvous, .read_repeats = 0, .failover = false};
    client cache = co_await client::connect(first.address() + "," + second.address(), options);
    int i = 0;
    while (cache.server_of(key(i)) != first.address()) ++i;
    away = true;
    auto lost = co_await as_result(cache.get(key(i)));
    CHECK_FALSE(lost);
    co_await sleep_for(2s);
    const time_point before = clock::exact_now();
    auto refused = co_await as_result(cache.get(key(i)));
    CHECK(refused.error() == errc::server_down);
    CHECK(clock::exact_now() == before);
    CHECK(cache.server_of(key(i)) == first.address());
}

OURO_TEST("a server that hangs is given up by its timeout and then marked down") {
    bool hangs = false;
    fake_server first([&hangs](const heard_request& asked,
                               fake_caller&) { return hangs ? std::string() : honest(asked); },
                      false);
    fake_server second(honestly);
    const client_options options{.distribution = distribution::rendezvous,
                                 .connect_timeout = 200ms,
                                 .request_timeout = 500ms};
    client cache = co_await client::connect(first.address() + "," + second.address(), options);
    int i = 0;
    while (cache.server_of(key(i)) != first.address()) ++i;
    hangs = true;
    auto late = co_await as_result(cache.set(key(i), "x"));
    CHECK(late.error() == ouro::errc::timed_out);
    co_await sleep_for(1s);
    CHECK(cache.figures().servers[0].is_down);
    const std::optional<std::string> moved = co_await cache.get(key(i));
    CHECK(moved == key(i) + "'s");
}

OURO_TEST("errors look like misses where that is asked for, and mistakes do not") {
    bool away = false;
    fake_server server(
        [&away](const heard_request& asked, fake_caller& caller) {
            if (asked.key() == "full") return std::string("SERVER_ERROR out of memory\r\n");
            caller.close = away;
            return away ? std::string() : honest(asked);
        },
        false);
    client cache = co_await client::connect(server.address(), {.errors_as_misses = true});
    CHECK_FALSE(co_await cache.get("full"));
    away = true;
    for (int i = 0; i < 3; ++i) {
        CHECK_FALSE(co_await cache.get("a"));
        CHECK_FALSE(co_await cache.increment("a"));
        CHECK_FALSE(co_await cache.add("a", "1"));
        co_await cache.set("a", "1");
        const std::vector<std::string_view> keys{"a", "b"};
        const auto many = co_await cache.get_multi(keys);
        CHECK_FALSE(many[1]);
    }
    CHECK(cache.figures().hidden_errors == 16);
    auto bad = co_await as_result(cache.get("a b"));
    CHECK(bad.error() == errc::bad_key);
}

OURO_TEST("connecting succeeds with one of several servers, and fails with none") {
    fake_server server(honestly);
    const std::string nobody = net::listener(net::endpoint("127.0.0.1:0")).local().to_string();
    const client_options options{.distribution = distribution::rendezvous};
    client cache = co_await client::connect(nobody + "," + server.address(), options);
    for (int i = 0; i < 10; ++i) {
        const std::optional<std::string> got = co_await cache.get(key(i));
        CHECK(got == key(i) + "'s");
    }
    auto none = co_await as_result(client::connect(nobody));
    CHECK(none.error() == std::errc::connection_refused);
    auto empty = co_await as_result(client::connect(""));
    CHECK(empty.error() == errc::bad_argument);
    auto wrong = co_await as_result(client::connect("host:0"));
    CHECK(wrong.error() == ouro::errc::bad_address);
}

}  // namespace
}  // namespace ouro::memcached
