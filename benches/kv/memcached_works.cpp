// Memcached: callers that share a connection.

#include "callers.hpp"
#include <ouro/kv/memcached/client.hpp>

#include <optional>

namespace kv_load {

namespace {

using ouro::memcached::client;

ouro::task<client> connect(server where) {
    const std::string address = "127.0.0.1:" + std::to_string(where.port);
    ouro::memcached::client_options options;
    options.tls.context = where.trust;
    client cache = co_await client::connect(address, options);
    for (int i = 0; i < entries; ++i) {
        const std::string key = key_of(i);
        const std::string value = value_of(i);
        co_await cache.set(key, value);
    }
    co_return cache;
}

ouro::task<> get_in_a_loop(client& cache, int number, meter& watch) {
    const std::string key = key_of(number);
    const std::string wanted = value_of(number);
    while (goes_on(number, watch)) {
        const std::optional<std::string> got = co_await cache.get(key);
        check_value(number, wanted, got ? std::string_view(*got) : std::string_view());
        watch.count(1);
    }
}

}  // namespace

/// 64 tasks on one shared connection, each of which gets a key of its own, again and again.
ouro::task<> memcached_get_64(server where, meter& watch) {
    client cache = co_await connect(where);
    co_await call_together(get_in_a_loop, cache, watch);
}

/// One task that waits for each reply.
ouro::task<> memcached_get_1(server where, meter& watch) {
    client cache = co_await connect(where);
    co_await get_in_a_loop(cache, 0, watch);
}

}  // namespace kv_load
