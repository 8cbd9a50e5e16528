#include <ouro/kv/memcached/format.hpp>

#include <ouro/runtime/testing/doctest.hpp>

using namespace ouro;

TEST_CASE("errors, codes, addresses and outcomes are printed as words") {
    const memcached::error failure(memcached::errc::server_error, net::fate::answered,
                                   "10.0.0.1:11211", "SERVER_ERROR no");
    CHECK(fmt::format("{}", failure) == failure.what());
    CHECK(fmt::format("{}", memcached::errc::bad_key) ==
          make_error_code(memcached::errc::bad_key).message());
    CHECK(fmt::format("{:.<17}", memcached::parse_address("10.0.0.1")) == "10.0.0.1:11211...");
    CHECK(fmt::format("{:>10}", memcached::cas_result::not_found) == " not found");
}
