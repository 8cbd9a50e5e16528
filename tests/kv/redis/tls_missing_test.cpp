#include <ouro/kv/redis/client.hpp>
#include <ouro/net/listener.hpp>
#include <ouro/net/session/tls_options.hpp>
#include <ouro/net/tls/error.hpp>
#include <ouro/runtime/testing/doctest.hpp>

#include <string>

using namespace ouro;

OURO_TEST("without OpenSSL rediss: is refused, and what to do about it is said") {
    net::listener at(net::endpoint("127.0.0.1:0"));
    std::string what;
    std::error_code code;
    try {
        co_await redis::client::connect("rediss://" + at.local().to_string());
    } catch (const redis::error& failure) {
        code = failure.code();
        what = failure.what();
    }
    CHECK(code == net::tls::errc::not_built);
    CHECK(net::is_tls_refusal(code));
    CHECK_MESSAGE(what.find("-Dtls=enabled") != std::string::npos, what);
}
