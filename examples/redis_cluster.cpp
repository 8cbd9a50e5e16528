// redis_cluster: keys all over a Redis cluster: redis_cluster --seed redis://127.0.0.1:7000

#include "arguments.hpp"
#include <ouro/kv/redis/cluster.hpp>
#include <ouro/runtime/run.hpp>

#include <cstdio>
#include <optional>
#include <string>
#include <vector>

using namespace ouro;

namespace {

task<> keys_of_all_nodes(redis::cluster& db) {
    // Each command goes to the master of its key; a node that has lost a slot says where it is.
    for (const std::string fruit : {"apple", "pear", "plum", "quince"})
        co_await db.set("fruit:" + fruit, static_cast<int>(fruit.size()));
    // One with keys in several slots is split, and its reply is in the order of the keys.
    const std::vector<std::optional<std::string>> sizes =
        co_await db.mget({"fruit:plum", "fruit:none", "fruit:quince"});
    std::printf("plum has %s letters, none has %s, quince has %s\n", sizes[0].value_or("-").c_str(),
                sizes[1].value_or("-").c_str(), sizes[2].value_or("-").c_str());
}

task<> many_at_once(redis::cluster& db) {
    auto batch = db.pipeline();  // one write to each node that is concerned
    std::vector<redis::handle<std::int64_t>> counters;
    for (int n = 0; n < 100; ++n) counters.push_back(batch.incr("counter:" + std::to_string(n)));
    co_await batch.exec();
    std::int64_t sum = 0;
    for (const auto& counter : counters) sum += counter.get();
    std::printf("100 counters add up to %d\n", static_cast<int>(sum));
}

task<> together_or_not_at_all(redis::cluster& db) {
    // Keys with the same {tag} share a slot, and only those can be changed together.
    auto tx = db.transaction();
    tx.set("{purse}left", 10);
    auto right = tx.incrby("{purse}right", 5);
    co_await tx.exec();
    std::printf("right has %d\n", static_cast<int>(right.get()));
    try {
        tx.incr("elsewhere");
    } catch (const redis::error& error) {
        std::printf("refused: %s\n", error.code().message().c_str());
    }
}

task<> tidy_up(redis::cluster& db) {
    std::size_t removed = 0;
    for (const char* pattern : {"fruit:*", "counter:*", "{purse}*"}) {
        std::vector<std::string> found;
        auto keys = redis::scan(db, {.match = pattern});  // of all masters, one after the other
        while (auto key = co_await keys.next()) found.push_back(std::move(*key));
        removed += static_cast<std::size_t>(co_await db.unlink(found));
    }
    std::printf("removed %d keys\n", static_cast<int>(removed));
}

task<int> tour(std::string seed) {
    try {
        redis::cluster db = co_await redis::cluster::connect(seed);
        std::printf("%d masters serve %d slots\n", static_cast<int>(db.slots().shards().size()),
                    static_cast<int>(db.slots().covered()));
        co_await keys_of_all_nodes(db);
        co_await many_at_once(db);
        co_await together_or_not_at_all(db);
        co_await tidy_up(db);
        co_await db.close();
        co_return 0;
    } catch (const std::system_error& error) {
        std::fprintf(stderr, "%s\n", error.what());
        co_return 1;
    }
}

}  // namespace

int main(int argc, char** argv) {
    const examples::arguments given(argc, argv, {"seed"});
    return run(tour(given.text("seed", "redis://127.0.0.1:7000")));
}
