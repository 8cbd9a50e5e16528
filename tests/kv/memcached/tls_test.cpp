// memcached under TLS.
#include <ouro/tests/kv/tls.hpp>

#include <ouro/kv/memcached/client.hpp>
#include <ouro/net/tls/error.hpp>
#include <ouro/net/tls/info.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/tests/kv/memcached/dialects.hpp>

#include <stdexcept>
#include <string>
#include <vector>

namespace ouro::memcached {
namespace {

using namespace std::chrono_literals;
using testing::trusting;
using testing::under;

memcached_options speaking_tls(const net::tls::identity& who, const std::string& more = {}) {
    memcached_options made;
    made.arguments = {"-Z", "-o",
                      "ssl_chain_cert=" + who.certificate_file + ",ssl_key=" + who.key_file + more};
    return made;
}

memcached_server& shared_server() {
    static memcached_server server(speaking_tls(testing::server_identity()));
    return server;
}

client_options with(const net::tls::client_context& context, std::string_view server_name = {}) {
    client_options made;
    made.tls = under(context, server_name);
    made.connect_timeout = 20s;  // not about time
    return made;
}

/// How connecting fails, in all its words.
task<error> refusal(std::string servers, client_options options) {
    try {
        co_await client::connect(servers, options);
    } catch (const error& failure) {
        co_return failure;
    }
    FAIL("it did not throw");
    throw std::logic_error("it did not throw");
}

bool contains(const std::string& text, std::string_view part) {
    return text.find(part) != text.npos;
}

OURO_TEST_DIALECTS("values go to and fro under TLS") {
    client_options options = with(trusting());
    options.dialect = speaking;
    client cache = co_await client::connect(shared_server().address(), options);
    co_await cache.set("k", "value");
    CHECK(co_await cache.get("k") == "value");
    const std::string large(500'000, 'x');  // many records
    co_await cache.set("large", large);
    const std::optional<std::string> back = co_await cache.get("large");
    CHECK(back == large);
    std::vector<std::string> names;
    for (int n = 0; n < 200; ++n) names.push_back("key:" + std::to_string(n));
    for (const std::string& name : names) co_await cache.set(name, name);
    const std::vector<std::string_view> keys(names.begin(), names.end());
    const auto values = co_await cache.get_multi(keys);
    for (std::size_t n = 0; n < names.size(); ++n) CHECK(values[n] == names[n]);
    co_await cache.close();
}

OURO_TEST_REAL("several servers of a list are all under TLS, each by its own name") {
    static memcached_server other(speaking_tls(testing::server_identity()));
    const std::string both = shared_server().address() + ", " + other.address();
    client cache = co_await client::connect(both, with(trusting()));
    for (int n = 0; n < 50; ++n) {
        const std::string key = "spread:" + std::to_string(n);
        co_await cache.set(key, "v");
        CHECK(co_await cache.get(key) == "v");
    }
    const client_figures now = cache.figures();
    CHECK(now.servers.size() == 2);
    for (const server_figures& each : now.servers) CHECK(each.is_connected);
    co_await cache.close();
}

OURO_TEST_REAL("a memcached that is not to be trusted is refused, and why is told") {
    const std::string at = shared_server().address();
    client_options systems;
    systems.tls.on = true;
    systems.connect_timeout = 20s;
    const error stranger = co_await refusal(at, systems);
    CHECK(stranger.code() == net::tls::errc::certificate);
    CHECK(stranger.how_far() == net::fate::unsent);
    CHECK_MESSAGE(contains(stranger.what(), "certificate of 127.0.0.1"), stranger.what());
    const error wrong = co_await refusal(at, with(trusting(), "other.test"));
    CHECK(wrong.code() == net::tls::errc::certificate);
    CHECK_MESSAGE(contains(wrong.what(), "certificate of other.test: wrong_host"), wrong.what());
    client cache = co_await client::connect(at, with(trusting(), "db.test"));
    co_await cache.close();
}

OURO_TEST_REAL("one server of several that is not to be trusted is a mistake in the options") {
    static const net::tls::identity expired = shared_tls_ca().issue(
        {.common_name = "expired", .names = {"IP:127.0.0.1"}, .expired = true});
    static memcached_server old(speaking_tls(expired));
    const std::string both = shared_server().address() + ", " + old.address();
    const error told = co_await refusal(both, with(trusting()));
    CHECK(told.code() == net::tls::errc::certificate);
    CHECK_MESSAGE(contains(told.what(), "expired"), told.what());
}

OURO_TEST_REAL("a memcached that asks for a certificate gets ours, and refuses those without") {
    static memcached_server asking(speaking_tls(
        testing::server_identity(), ",ssl_verify_mode=2,ssl_ca_cert=" + shared_tls_ca().ca_file()));
    const error told = co_await refusal(asking.address(), with(trusting()));
    CHECK(told.code() == net::tls::errc::alert_received);
    CHECK_MESSAGE(contains(told.what(), "certificate_required"), told.what());
    const std::string what = told.what();
    CHECK_MESSAGE(what.find("alert") == what.rfind("alert"), what);
    net::tls::client_options knows = testing::trusting_options();
    knows.certificate = shared_tls_ca().issue({.common_name = "memcached-client"});
    const net::tls::client_context known(knows);
    for (int times = 0; times < 4; ++times) {
        client cache = co_await client::connect(asking.address(), with(known));
        co_await cache.set("k", "v");
        CHECK(co_await cache.get("k") == "v");
        co_await cache.close();
    }
    // It answers the resumption of a session with internal_error; nobody sees that but here.
    CHECK(known.stats().full == 4);
    CHECK(known.stats().failed == 1);
    CHECK(known.stats().failed_for(net::tls::errc::alert_received) == 1);
}

OURO_TEST_REAL("a connection under TLS is made again when memcached comes back") {
    memcached_server server(speaking_tls(testing::server_identity()));
    client_options options = with(trusting());
    options.failures_max = 0;
    client cache = co_await client::connect(server.address(), options);
    co_await cache.set("k", "v");
    server.kill();
    server.restart();
    for (const time_point begin = clock::exact_now(); clock::exact_now() < begin + 20s;) {
        const auto got = co_await as_result(cache.get("k"));
        if (got) {
            CHECK(*got == std::nullopt);  // it forgets
            break;
        }
    }
    co_await cache.set("k", "again");
    CHECK(co_await cache.get("k") == "again");
    co_await cache.close();
}

OURO_TEST_DIALECTS("who speaks in the clear to a memcached under TLS is told what it may be") {
    client_options clear;
    clear.dialect = speaking;
    const error told = co_await refusal(shared_server().address(), clear);
    CHECK_MESSAGE(contains(told.what(), "client_options::tls"), told.what());
}

OURO_TEST_REAL("who speaks TLS to a memcached that does not is told so") {
    static memcached_server plain;
    client_options options = with(trusting());
    options.connect_timeout = 2s;
    const error told = co_await refusal(plain.address(), options);
    const bool known =
        told.code() == net::tls::errc::not_tls || told.code() == net::tls::errc::truncated ||
        (told.code() == ouro::errc::timed_out && contains(told.what(), "TLS handshake"));
    CHECK_MESSAGE(known, told.what());
}

}  // namespace
}  // namespace ouro::memcached
