// Redis: callers that share a connection, and an explicit pipeline.

#include "callers.hpp"
#include <ouro/kv/redis/client.hpp>

#include <optional>
#include <vector>

namespace kv_load {

namespace {

using ouro::redis::client;

ouro::task<client> connect(server where) {
    const std::string scheme = where.trust ? "rediss" : "redis";
    const std::string url = scheme + "://127.0.0.1:" + std::to_string(where.port);
    ouro::redis::client_options options;
    options.link.tls.context = where.trust;
    client db = co_await client::connect(url, options);
    for (int i = 0; i < entries; ++i) {
        const std::string key = key_of(i);
        const std::string value = value_of(i);
        co_await db.set(key, value);
    }
    co_return db;
}

/// Keys and values, made beforehand.
struct texts {
    std::vector<std::string> keys;
    std::vector<std::string> values;

    texts() {
        for (int i = 0; i < entries; ++i) {
            keys.push_back(key_of(i));
            values.push_back(value_of(i));
        }
    }
};

/// GET, of which the value is looked at where it lies.
ouro::redis::handle<std::string_view> view_of(ouro::redis::pipeline& batch, std::string_view key) {
    return batch.run<std::string_view>(ouro::redis::verb::get, {key});
}

ouro::task<> get_in_a_loop(client& db, int number, meter& watch) {
    const std::string key = key_of(number);
    const std::string wanted = value_of(number);
    while (goes_on(number, watch)) {
        const std::optional<std::string> got = co_await db.get(key);
        check_value(number, wanted, got ? std::string_view(*got) : std::string_view());
        watch.count(1);
    }
}

ouro::task<> set_in_a_loop(client& db, int number, meter& watch) {
    const std::string key = key_of(number);
    const std::string value = value_of(number);
    while (goes_on(number, watch)) {
        co_await db.set(key, value);
        watch.count(1);
    }
}

}  // namespace

/// 64 tasks on one shared connection, each of which gets a key of its own, again and again.
ouro::task<> redis_get_64(server where, meter& watch) {
    client db = co_await connect(where);
    co_await call_together(get_in_a_loop, db, watch);
}

/// One task that waits for each reply.
ouro::task<> redis_get_1(server where, meter& watch) {
    client db = co_await connect(where);
    co_await get_in_a_loop(db, 0, watch);
}

/// 64 tasks on one shared connection, each of which sets a key of its own.
ouro::task<> redis_set_64(server where, meter& watch) {
    client db = co_await connect(where);
    co_await call_together(set_in_a_loop, db, watch);
}

/// An explicit pipeline of 1000 GETs, put together, sent and read, again and again.
ouro::task<> redis_pipeline_1000(server where, meter& watch) {
    constexpr std::size_t commands = 1000;
    client db = co_await connect(where);
    const texts all;
    ouro::redis::pipeline batch = db.pipeline();
    std::vector<ouro::redis::handle<std::string_view>> replies;
    replies.reserve(commands);
    while (watch.goes_on()) {
        replies.clear();
        batch.clear();
        for (std::size_t i = 0; i < commands; ++i)
            replies.push_back(view_of(batch, all.keys[i % entries]));
        co_await batch.exec();
        for (std::size_t i = 0; i < commands; ++i)
            check_value(static_cast<int>(i % entries), all.values[i % entries], replies[i].get());
        watch.count(commands);
    }
}

}  // namespace kv_load
