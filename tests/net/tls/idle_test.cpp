// What an idle connection costs.
#include "engines.hpp"
#include <ouro/net/bytes/chunk.hpp>

#include <doctest/doctest.h>

#include <malloc.h>

#include <vector>

using namespace ouro;
using namespace ouro::net;
using namespace ouro::net::tls;

namespace {

std::size_t bytes_in_use() { return ::mallinfo2().uordblks; }

}  // namespace

TEST_CASE(
    "idle connections hold no record buffers: both ends no more than 48 KB, most of it OpenSSL's") {
    client_options options = trusting();
    options.sessions_max = 0;
    const client_context asks(options);
    const server_context with(serving());
    std::vector<engine_pair> all;
    constexpr std::size_t count = 300;
    all.reserve(count + 20);
    auto one_more = [&] {
        all.emplace_back(asks, with);
        all.back().talk();
        all.back().server.feed(all.back().client.put("x"));
        all.back().client.feed(all.back().server.put("y"));
        // Where a receive waits.
        CHECK(!all.back().server->space().empty());
        CHECK(!all.back().client->space().empty());
    };
    for (int i = 0; i < 20; ++i) one_more();
    const std::size_t before = bytes_in_use();
    for (std::size_t i = 0; i < count; ++i) one_more();
    const std::size_t each = (bytes_in_use() - before) / count;
    MESSAGE(each << " bytes for a client and a server");
    CHECK(each < 48 * 1024);
}
