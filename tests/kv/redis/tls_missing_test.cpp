#include <ouro/kv/redis/cluster.hpp>
#include <ouro/kv/redis/pubsub/pubsub.hpp>
#include <ouro/kv/redis/sentinel.hpp>
#include <ouro/net/listener.hpp>
#include <ouro/net/session/tls_options.hpp>
#include <ouro/net/tls/error.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/tests/kv/redis/real_client.hpp>

#include <string>
#include <utility>

using namespace ouro;

namespace {

/// Connecting fails at once, and its words name the option.
template <class Client>
task<> check_refused(task<Client> connecting) {
    const testing::failure told = co_await testing::failure_of(std::move(connecting));
    CHECK(told.code == net::tls::errc::not_built);
    CHECK(net::is_tls_refusal(told.code));
    CHECK(told.how_far == net::fate::unsent);
    const std::string said = told.code.message() + told.words;
    CHECK_MESSAGE(said.find("-Dtls=enabled") != said.npos, said);
}

OURO_TEST("without OpenSSL rediss: is refused, and what to do about it is said") {
    net::listener at(net::endpoint("127.0.0.1:0"));
    const std::string where = "rediss://" + at.local().to_string();
    co_await check_refused(redis::client::connect(where));
    co_await check_refused(redis::subscriber::connect(where));
    co_await check_refused(redis::cluster::connect(where));
    std::string what;
    try {
        co_await redis::client::connect(where);
    } catch (const redis::error& failure) {
        what = failure.what();
    }
    CHECK_MESSAGE(what.find("-Dtls=enabled") != what.npos, what);
}

OURO_TEST("without OpenSSL sentinels under TLS are refused, and what to do about it is said") {
    net::listener at(net::endpoint("127.0.0.1:0"));
    const std::string where = "rediss://" + at.local().to_string();
    redis::sentinel_options once;
    once.rounds_max = 1;
    co_await check_refused(redis::sentinel_client::connect({where}, "mymaster", once));
}

OURO_TEST("without OpenSSL options that ask for TLS are refused as a URL is") {
    net::listener at(net::endpoint("127.0.0.1:0"));
    redis::client_options encrypted;
    encrypted.link.tls.on = true;
    const std::string where = "redis://" + at.local().to_string();
    co_await check_refused(redis::client::connect(where, encrypted));
}

}  // namespace
