// The memcached client cancelled at every step, beside others who must not notice.

#include <ouro/tests/cancel_every_step.hpp>

#include <ouro/kv/memcached/client.hpp>
#include <ouro/kv/memcached/testing/fake_server.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/tests/kv/beside_others.hpp>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

using namespace ouro;
using namespace ouro::testing;
using namespace std::chrono_literals;
using memcached::client;
using memcached::fake_caller;
using memcached::fake_server;
using memcached::heard_request;
using text = std::optional<std::string>;

namespace {

/// Keeps what it is told, in the meta protocol, and lets the first who misses claim a key.
class small_server {
public:
    std::string operator()(const heard_request& asked, fake_caller&) {
        if (asked.verb() == "mn") return "MN\r\n";
        const std::string key(asked.key());
        std::string flags;
        bool vivifies = false;
        for (std::size_t at = 2; at < asked.words.size(); ++at) {
            const std::string& word = asked.words[at];
            if (word[0] == 'O') flags += ' ' + word;
            if (word[0] == 'c' && word.size() == 1) flags += " c1";
            vivifies = vivifies || word[0] == 'N';
        }
        if (asked.verb() == "ms") {
            values_[key] = asked.value;
            return "HD" + flags + "\r\n";
        }
        if (asked.verb() == "md") return (values_.erase(key) ? "HD" : "NF") + flags + "\r\n";
        if (asked.verb() != "mg") return "CLIENT_ERROR unknown\r\n";
        const auto found = values_.find(key);
        if (found == values_.end() && !vivifies) return "EN" + flags + "\r\n";
        if (found == values_.end()) return "VA 0" + flags + " W\r\n\r\n";
        return "VA " + std::to_string(found->second.size()) + flags + "\r\n" + found->second +
               "\r\n";
    }

private:
    std::map<std::string, std::string> values_;
};

fake_server::answer keeping() {
    auto state = std::make_shared<small_server>();
    return [state](const heard_request& asked, fake_caller& who) { return (*state)(asked, who); };
}

using part = task<> (*)(client&);

task<> on_one_server(part make) {
    fake_server server(keeping());
    const std::string where = server.address();
    auto connecting = client::connect(where);
    client cache = co_await shield(std::move(connecting));
    co_await beside_others(cache, make);
}

task<> on_two_servers(part make) {
    fake_server one(keeping()), two(keeping());
    const std::string both = one.address() + ", " + two.address();
    auto connecting = client::connect(both);
    client cache = co_await shield(std::move(connecting));
    co_await beside_others(cache, make);
}

task<> simple(client& cache) { return ask_for(cache, "mine"); }

task<> several(client& cache) {
    for (const char* key : {"a", "b", "c", "d"}) co_await cache.set(key, key);
    const std::vector<std::string_view> keys{"a", "b", "none", "d"};
    const auto many = co_await cache.get_multi(keys);
    expect(many[0] == "a" && many[3] == "d" && !many[2], "other values");
}

task<> compute(client& cache) {
    co_await cache.remove("computed");
    auto make = []() -> task<std::string> {
        co_await yield();
        co_return "made";
    };
    const std::string got = co_await cache.get_or_compute("computed", make);
    expect(got == "made", "another value");
}

task<> commands() { return on_one_server(simple); }
task<> multi_get() { return on_one_server(several); }
task<> commands_of_two() { return on_two_servers(simple); }
task<> multi_get_of_two() { return on_two_servers(several); }
task<> computing() { return on_one_server(compute); }

task<> connect_and_close() {
    fake_server server(keeping());
    const std::string where = server.address();
    client cache = co_await client::connect(where);
    co_await cache.close();
}

const work works[] = {
    {"connect, close", connect_and_close},
    {"get, set", commands},
    {"get_multi", multi_get},
    {"get, set, two servers", commands_of_two},
    {"get_multi, two servers", multi_get_of_two},
    {"get_or_compute", computing},
};

}  // namespace

TEST_CASE("a client can be cancelled at every step, and nobody else notices") {
    check_every_step(works, sweep_on::sim_once);
}
