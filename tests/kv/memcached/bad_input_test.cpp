// What goes wrong with real servers: each time a typed error, and nothing lost for others.
#include <ouro/kv/memcached/client.hpp>
#include <ouro/net/connect.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/tests/kv/memcached/dialects.hpp>

#include <array>
#include <string>
#include <vector>

namespace ouro::memcached {
namespace {

using namespace std::chrono_literals;

memcached_server& guarded_server() {
    static memcached_server one({.users = {"me:secret"}});
    return one;
}

OURO_TEST_REAL("the right password lets in, in both dialects that have it") {
    for (const dialect speaking : {dialect::meta, dialect::text}) {
        const client_options options{.dialect = speaking, .user = "me", .password = "secret"};
        client cache = co_await client::connect(guarded_server().address(), options);
        co_await cache.set("a", "1");
        CHECK(co_await cache.get("a") == "1");
    }
}

OURO_TEST_REAL("a wrong password and none are refused with the server's words") {
    for (const std::string_view password : {"", "wrong"}) {
        const client_options options{.user = password.empty() ? "" : "me", .password = password};
        try {
            co_await client::connect(guarded_server().address(), options);
            CHECK(false);
        } catch (const error& failure) {
            CHECK(failure.code() == errc::not_authenticated);
            CHECK(failure.words().find("auth") != std::string::npos);
            CHECK(failure.how_far() == net::fate::unsent);
        }
    }
}

OURO_TEST_DIALECTS("a Unix socket is a server like any other") {
    static memcached_server local({.unix_socket = true});
    client_options options;
    options.dialect = speaking;
    client cache = co_await client::connect("unix:" + local.unix_path(), options);
    co_await cache.set("a", "1");
    CHECK(co_await cache.get("a") == "1");
    CHECK(cache.server_of("a") == "unix:" + local.unix_path());
}

/// Opens connections and has each one answered, until one is told that there are too many.
task<std::vector<net::stream>> fill_up(memcached_server& server) {
    std::vector<net::stream> all;
    while (all.size() < 200) {
        all.push_back(co_await net::connect(net::endpoint(server.address())));
        static_cast<void>(co_await as_result(all.back().send_all("version\r\n")));
        std::array<std::byte, 64> said;
        const result<std::size_t> got = co_await as_result(all.back().recv(said));
        if (!got || *got == 0 || said[0] == std::byte{'E'}) break;
    }
    co_return all;
}

OURO_TEST_REAL("a server at its limit of connections says so, and takes us when there is room") {
    memcached_server small({.arguments = {"-c", "60", "-t", "1"}});
    std::vector<net::stream> others = co_await fill_up(small);
    CHECK(others.size() < 80);
    auto refused = co_await as_result(client::connect(small.address()));
    CHECK(refused.error() == errc::too_many_connections);
    for (net::stream& each : others) co_await each.close();
    for (;;) {  // the server notices soon
        auto made = co_await as_result(client::connect(small.address()));
        if (made) co_return;
        co_await sleep_for(10ms);
    }
}

OURO_TEST_REAL("a server that dies and comes back is used again, empty") {
    memcached_server mortal;
    client cache = co_await client::connect(mortal.address());
    co_await cache.set("a", "1");
    mortal.kill();
    auto lost = co_await as_result(cache.get("a"));
    CHECK_FALSE(lost);
    CHECK(lost.error().category() != category());
    mortal.restart();
    for (;;) {
        auto got = co_await as_result(cache.get("a"));
        if (got) {
            CHECK_FALSE(*got);
            co_return;
        }
        co_await sleep_for(10ms);
    }
}

OURO_TEST_REAL("an idle connection that the server closes is made again for the next request") {
    memcached_server impatient({.arguments = {"-o", "idle_timeout=1"}});
    client cache = co_await client::connect(impatient.address());
    co_await cache.set("a", "1");
    while (cache.figures().servers[0].connections == 1) co_await sleep_for(10ms);
    CHECK(co_await cache.get("a") == "1");
}

OURO_TEST_REAL("a full server fails stores with its words and keeps serving what it has") {
    memcached_server full({.arguments = {"-m", "8", "-M"}});
    client cache = co_await client::connect(full.address());
    const std::string value(100'000, 'x');
    std::error_code refused;
    int stored = 0;
    for (; !refused && stored < 2000; ++stored) {
        const std::string key = "key" + std::to_string(stored);
        auto set = co_await as_result(cache.set(key, value));
        refused = set.error();
    }
    CHECK(refused == errc::out_of_memory);
    CHECK(co_await cache.get("key0") == value);
    CHECK(cache.figures().servers[0].connections == 1);
}

OURO_TEST_DIALECTS("a megabyte of keys, values with NUL bytes, and everybody else beside it") {
    static memcached_server server;
    client_options options;
    options.dialect = speaking;
    client cache = co_await client::connect(server.address(), options);
    const std::string zeros(1000, '\0');
    co_await cache.set("zeros", zeros);
    std::vector<std::string> names;
    for (int i = 0; i < 5000; ++i) names.push_back(std::string(200, 'k') + std::to_string(i));
    std::vector<std::string_view> keys(names.begin(), names.end());
    keys.push_back("zeros");
    auto many = spawn(cache.get_multi(keys));
    auto one = spawn(cache.get("zeros"));
    const auto values = co_await many;
    CHECK(values.size() == 5001);
    CHECK(values.back() == zeros);
    CHECK(co_await one == zeros);
    CHECK(cache.figures().servers[0].connections == 1);
}

}  // namespace
}  // namespace ouro::memcached
