// memcached_basics: a cache in front of something slow.
//
//   memcached_basics --server 127.0.0.1:11211
#include "arguments.hpp"
#include <ouro/kv/memcached/client.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/combine.hpp>
#include <ouro/runtime/run.hpp>
#include <ouro/runtime/time/sleep.hpp>

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

void say(std::string_view what, const std::optional<std::string>& value) {
    std::printf("%.*s: %s\n", static_cast<int>(what.size()), what.data(),
                value ? value->c_str() : "(nothing)");
}

task<> keep_and_get(memcached::client& cache) {
    co_await cache.set("example:greeting", "hello", {.ttl = 60s});
    say("greeting", co_await cache.get("example:greeting"));
    co_await cache.append("example:greeting", ", world");
    say("longer", co_await cache.get("example:greeting"));
    co_await cache.remove("example:greeting");
    say("removed", co_await cache.get("example:greeting"));

    // Two requests, one segment, two replies.
    co_await cache.set("example:hits", "41");
    const auto both = co_await all_of(cache.increment("example:hits"), cache.get("example:hits"));
    std::printf("hits: %d\n", static_cast<int>(std::get<0>(both).value_or(0)));

    const std::vector<std::string_view> keys{"example:hits", "example:none"};
    const auto many = co_await cache.get_multi(keys);
    say("first of two", many[0]);
    say("second of two", many[1]);
}

/// Changes a value that others may change, too: tries until nobody came in between.
task<> change(memcached::client& cache) {
    co_await cache.set("example:list", "a");
    for (;;) {
        const auto seen = co_await cache.gets("example:list");
        if (!seen) co_return;
        const std::string longer = seen->value + " b";
        const auto done = co_await cache.cas("example:list", longer, seen->cas);
        if (done == memcached::cas_result::stored) break;
    }
    say("list", co_await cache.get("example:list"));
}

task<std::string> slow_answer(int& computed) {
    ++computed;
    co_await sleep_for(20ms);
    co_return "42";
}

/// Ten ask at once for what is not there; one of them computes it.
task<> compute_once(memcached::client& cache) {
    co_await cache.remove("example:answer");
    int computed = 0;
    auto compute = [&computed] { return slow_answer(computed); };
    std::vector<task<std::string>> askers;
    for (int i = 0; i < 10; ++i)
        askers.push_back(cache.get_or_compute("example:answer", compute, {.ttl = 60s}));
    const std::vector<std::string> answers = co_await all_of(std::move(askers));
    std::printf("10 askers, answer %s, computed %d time\n", answers.back().c_str(), computed);
}

task<> everything(std::string server) {
    auto cache = co_await memcached::client::connect(server);
    co_await keep_and_get(cache);
    co_await change(cache);
    co_await compute_once(cache);
    const auto refused = co_await as_result(cache.get("a key with blanks"));
    std::printf("a key with blanks: %s\n", refused.error().message().c_str());
    co_await cache.close();
}

}  // namespace

int main(int argc, char** argv) {
    const examples::arguments given(argc, argv, {"server"});
    return run(everything(given.text("server", "127.0.0.1:11211")));
}
