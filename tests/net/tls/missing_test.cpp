#include <ouro/net/tls/context.hpp>

#include <doctest/doctest.h>

#include <string>

using namespace ouro::net;

TEST_CASE("without OpenSSL a context says what to do about it") {
    CHECK(!tls::available());
    try {
        const tls::client_context none;
        FAIL("it was made");
    } catch (const tls::error& problem) {
        CHECK(problem.code() == tls::errc::not_built);
        CHECK(std::string(problem.what()).find("-Dtls=enabled") != std::string::npos);
    }
    CHECK_THROWS_AS(tls::server_context({}), tls::error);
}
