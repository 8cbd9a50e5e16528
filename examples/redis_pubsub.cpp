// redis_pubsub: a subscriber and a publisher: redis_pubsub --server redis://127.0.0.1:6379

#include "arguments.hpp"
#include <ouro/kv/redis/client.hpp>
#include <ouro/kv/redis/pubsub/pubsub.hpp>
#include <ouro/runtime/run.hpp>
#include <ouro/runtime/scope.hpp>

#include <cstdio>
#include <string>

using namespace ouro;

namespace {

/// Prints what comes until the news are over.
task<> listen(redis::subscriber& sub) {
    while (auto message = co_await sub.next()) {
        if (!message->is_published()) {
            // The connection was lost, or we were too slow: something may be missing here.
            std::printf("(%s)\n", to_string(message->kind()));
            continue;
        }
        std::printf("%s: %s\n", std::string(message->channel()).c_str(),
                    std::string(message->payload()).c_str());
        if (message->payload() == "good night") co_return;
    }
}

task<> show(std::string server) {
    auto db = co_await redis::client::connect(server);
    // It shares the connection of the client; redis::subscriber::connect makes one of its own.
    auto sub = db.subscriber();
    co_await sub.subscribe("news");
    co_await sub.psubscribe("weather.*");

    auto body = [&](scope& tasks) -> task<> {
        tasks.spawn(listen(sub));
        co_await db.publish("weather.north", "rain");
        co_await db.publish("traffic", "nobody hears that");
        const auto heard_by = co_await db.publish("news", "good morning");
        std::printf("heard by %d\n", static_cast<int>(heard_by));
        co_await sub.punsubscribe("weather.*");
        co_await db.publish("weather.north", "sun");
        co_await db.publish("news", "good night");
    };
    co_await with_scope(body);
    co_await sub.close();
    co_await db.close();
}

}  // namespace

int main(int argc, char** argv) {
    const examples::arguments given(argc, argv, {"server"});
    return run(show(given.text("server", "redis://127.0.0.1:6379")));
}
