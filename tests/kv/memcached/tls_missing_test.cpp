#include <ouro/kv/memcached/client.hpp>
#include <ouro/net/listener.hpp>
#include <ouro/net/tls/error.hpp>
#include <ouro/runtime/testing/doctest.hpp>

#include <string>
#include <system_error>

using namespace ouro;

OURO_TEST("without OpenSSL a client that is to speak TLS is refused, and what to do is said") {
    net::listener at(net::endpoint("127.0.0.1:0"));
    memcached::client_options encrypted;
    encrypted.tls.on = true;
    std::error_code code;
    std::string what;
    try {
        co_await memcached::client::connect(at.local().to_string(), encrypted);
    } catch (const memcached::error& failure) {
        code = failure.code();
        what = failure.what();
    }
    CHECK(code == net::tls::errc::not_built);
    CHECK_MESSAGE(what.find("-Dtls=enabled") != what.npos, what);
}
