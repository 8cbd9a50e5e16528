// redis_basics: a few keys in a Redis server: redis_basics --server redis://127.0.0.1:6379

#include "arguments.hpp"
#include <ouro/kv/redis/client.hpp>
#include <ouro/kv/redis/watch.hpp>
#include <ouro/runtime/combine.hpp>
#include <ouro/runtime/run.hpp>

#include <cstdio>
#include <optional>
#include <string>

using namespace ouro;

namespace {

task<> single_commands(redis::client& db) {
    co_await db.set("greeting", "hello");
    const std::optional<std::string> greeting = co_await db.get("greeting");
    std::printf("the greeting is %s\n", greeting.value_or("missing").c_str());

    // What is asked in one turn of the loop leaves in one packet.
    co_await db.set("visits", 41);
    auto both = co_await all_of(db.incr("visits"), db.get("nothing"));
    std::printf("%d visits, and %s\n", static_cast<int>(std::get<0>(both)),
                std::get<1>(both) ? "something" : "nothing");
}

task<> many_at_once(redis::client& db) {
    auto batch = db.pipeline();
    batch.hset("user:1", {{"name", "Ada"}, {"born", 1815}});
    auto name = batch.hget("user:1", "name");
    auto wrong = batch.incr("greeting");  // no number: its own error, not the others'
    co_await batch.exec();
    std::printf("the user is called %s\n", name.get().value_or("").c_str());
    try {
        wrong.get();
    } catch (const redis::error& error) {
        std::printf("the server said: %s\n", std::string(error.words()).c_str());
    }
}

task<> together_or_not_at_all(redis::client& db) {
    auto tx = db.transaction();
    tx.set("left", 10);
    auto right = tx.incrby("right", 5);
    co_await tx.exec();
    std::printf("right has %d\n", static_cast<int>(right.get()));

    // What depends on what was read begins again when somebody else was faster.
    auto move_half = [](redis::connection& mine, redis::transaction& tx) -> task<int> {
        const std::optional<int> left = co_await mine.get<int>("left");
        const int half = left.value_or(0) / 2;
        tx.decrby("left", half);
        tx.incrby("right", half);
        co_return half;
    };
    const int moved = co_await redis::with_watch(db, {"left", "right"}, move_half);
    const std::optional<int> now = co_await db.get<int>("right");
    std::printf("moved %d, right has %d\n", moved, now.value_or(0));
}

task<int> tour(std::string where) {
    try {
        redis::client db = co_await redis::client::connect(where);
        co_await single_commands(db);
        co_await many_at_once(db);
        co_await together_or_not_at_all(db);
        co_await db.del({"greeting", "visits", "user:1", "left", "right"});
        co_await db.close();
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
