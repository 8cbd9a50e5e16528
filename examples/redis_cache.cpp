// redis_cache: reads of what nobody has changed: redis_cache --server redis://127.0.0.1:6379

#include "arguments.hpp"
#include <ouro/kv/redis/cache.hpp>
#include <ouro/kv/redis/client.hpp>
#include <ouro/runtime/combine.hpp>
#include <ouro/runtime/run.hpp>

#include <chrono>
#include <cstdio>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

struct user {
    std::string name;
    int born = 0;
    static constexpr auto redis_fields() {
        return std::tuple(redis::field("name", &user::name), redis::field("born", &user::born));
    }
};

task<> many_reads(redis::cache& near) {
    std::string colour;
    for (int i = 0; i < 1000; ++i) {
        const std::optional<std::string> read = co_await near.get("colour", 10s);
        colour = read.value_or("unknown");
    }
    const redis::cache_figures figures = near.figures();
    std::printf("1000 reads: %s; %d came from memory\n", colour.c_str(),
                static_cast<int>(figures.hits));
}

task<> one_request_for_all(redis::cache& near) {
    const auto before = near.figures();
    std::vector<task<user>> readers;
    const auto read = [&near]() -> task<user> { co_return co_await near.hgetall<user>("user:1"); };
    for (int i = 0; i < 10; ++i) readers.push_back(read());
    const std::vector<user> all = co_await all_of(std::move(readers));
    std::printf("10 readers of %s, born %d: %d request\n", all.back().name.c_str(), all.back().born,
                static_cast<int>(near.figures().misses - before.misses));
}

/// What the server has said until now has been heard when it has answered something else.
task<> hear(redis::client& db) { co_await db.ping(); }

task<int> tour(std::string where) {
    try {
        redis::client somebody = co_await redis::client::connect(where);
        redis::client db = co_await redis::client::connect(where);
        co_await somebody.set("colour", "red");
        co_await somebody.hset("user:1", {{"name", "Ada"}, {"born", 1815}});

        redis::cache near = co_await redis::cache::on(db, {.entries_max = 10'000});
        co_await many_reads(near);
        co_await one_request_for_all(near);

        co_await somebody.set("colour", "blue");
        co_await hear(db);
        const std::optional<std::string> now = co_await near.get("colour", 10s);
        std::printf("somebody has changed it: %s\n", now.value_or("unknown").c_str());

        // A reply that is held needs no copy, and stays as it was read.
        const redis::cached_reply held = co_await near.share("colour");
        co_await somebody.del({"colour", "user:1"});
        co_await hear(db);
        std::printf("gone, but we have read %.*s\n", static_cast<int>(held.text().size()),
                    held.text().data());

        co_await near.close();
        co_await db.close();
        co_await somebody.close();
        co_return 0;
    } catch (const std::system_error& error) {
        std::fprintf(stderr, "%s\n", error.what());
        co_return 1;
    }
}

}  // namespace

int main(int argc, char** argv) {
    const examples::arguments given(argc, argv, {"server"});
    return run(tour(given.text("server", "redis://127.0.0.1:6379")));
}
