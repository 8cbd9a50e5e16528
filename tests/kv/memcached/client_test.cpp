#include <ouro/kv/memcached/client.hpp>

#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/tests/kv/memcached/dialects.hpp>
#include <ouro/tests/kv/options_of_sockets.hpp>
#include <ouro/tests/kv/real.hpp>
#include <ouro/tests/kv/servers.hpp>

#include <array>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace ouro::memcached {
namespace {

using namespace std::chrono_literals;

memcached_server& shared_server() {
    static memcached_server one;
    return one;
}

/// A client of the shared server, which is empty.
task<client> fresh(dialect how, client_options options = {}) {
    options.dialect = how;
    client made = co_await client::connect(shared_server().address(), options);
    co_await made.flush_all();
    co_return made;
}

// In every dialect.

OURO_TEST_DIALECTS("what is set can be got, with its flags") {
    client cache = co_await fresh(speaking);
    CHECK_FALSE(co_await cache.get("a"));
    co_await cache.set("a", "value", {.flags = 4294967295});
    CHECK(co_await cache.get("a") == "value");
    const std::optional<item> with_all = co_await cache.gets("a");
    CHECK(with_all);
    CHECK(with_all->value == "value");
    CHECK(with_all->flags == 4294967295);
    CHECK(with_all->cas != 0);
    CHECK_FALSE(co_await cache.gets("b"));
}

OURO_TEST_DIALECTS("any bytes and no bytes are values") {
    client cache = co_await fresh(speaking);
    std::string every;
    for (int c = 0; c < 256; ++c) every += static_cast<char>(c);
    const std::string tricky = "END\r\nVALUE x 0 1\r\nEN\r\nHD O1\r\n" + every + "\r\n";
    co_await cache.set("tricky", tricky);
    CHECK(co_await cache.get("tricky") == tricky);
    co_await cache.set("empty", "");
    CHECK(co_await cache.get("empty") == "");
}

OURO_TEST_DIALECTS("add, replace, append and prepend say whether they stored") {
    client cache = co_await fresh(speaking);
    CHECK_FALSE(co_await cache.replace("a", "x"));
    CHECK_FALSE(co_await cache.append("a", "x"));
    CHECK_FALSE(co_await cache.prepend("a", "x"));
    CHECK(co_await cache.add("a", "2"));
    CHECK_FALSE(co_await cache.add("a", "9"));
    CHECK(co_await cache.append("a", "3"));
    CHECK(co_await cache.prepend("a", "1"));
    CHECK(co_await cache.get("a") == "123");
    CHECK(co_await cache.replace("a", "new"));
    CHECK(co_await cache.get("a") == "new");
}

OURO_TEST_DIALECTS("a cas stores only what nobody has changed") {
    client cache = co_await fresh(speaking);
    CHECK(co_await cache.cas("a", "x", 12345) == cas_result::not_found);
    co_await cache.set("a", "1");
    const std::optional<item> before = co_await cache.gets("a");
    CHECK(co_await cache.cas("a", "2", before->cas) == cas_result::stored);
    CHECK(co_await cache.cas("a", "3", before->cas) == cas_result::exists);
    CHECK(co_await cache.get("a") == "2");
    auto none = co_await as_result(cache.cas("a", "3", 0));
    CHECK(none.error() == errc::bad_argument);
}

OURO_TEST_DIALECTS("numbers wrap at the top and stop at zero") {
    client cache = co_await fresh(speaking);
    CHECK_FALSE(co_await cache.increment("n"));
    CHECK_FALSE(co_await cache.decrement("n"));
    co_await cache.set("n", "10");
    CHECK(co_await cache.increment("n", 5) == 15);
    CHECK(co_await cache.decrement("n", 6) == 9);  // the server pads it: "9 "
    CHECK(co_await cache.increment("n") == 10);
    CHECK(co_await cache.decrement("n", 100) == 0);
    CHECK(co_await cache.increment("n", 18446744073709551615u) == 18446744073709551615u);
    CHECK(co_await cache.increment("n", 2) == 1);
    co_await cache.set("word", "abc");
    auto counted = co_await as_result(cache.increment("word"));
    CHECK(counted.error() == errc::not_a_number);
    CHECK(co_await cache.increment_from(7, "new", 3, 60s) == 7);
    CHECK(co_await cache.increment_from(7, "new", 3, 60s) == 10);
}

OURO_TEST_DIALECTS("delete, touch and get_and_touch") {
    client cache = co_await fresh(speaking);
    CHECK_FALSE(co_await cache.remove("a"));
    CHECK_FALSE(co_await cache.touch("a", 10s));
    CHECK_FALSE(co_await cache.get_and_touch("a", 10s));
    co_await cache.set("a", "1");
    CHECK(co_await cache.touch("a", 60s));
    CHECK(co_await cache.get_and_touch("a", 60s) == "1");
    CHECK(co_await cache.touch("a", -1s));
    CHECK_FALSE(co_await cache.get("a"));
    co_await cache.set("a", "1");
    CHECK(co_await cache.remove("a"));
    CHECK_FALSE(co_await cache.get("a"));
}

OURO_TEST_DIALECTS("times to live: expired ones, short ones, dates, more than thirty days") {
    client cache = co_await fresh(speaking);
    const auto now = std::chrono::system_clock::now();
    co_await cache.set("negative", "x", {.ttl = -1s});
    CHECK_FALSE(co_await cache.get("negative"));
    co_await cache.set("past", "x", {.ttl = expiry::at(now - 60s)});
    CHECK_FALSE(co_await cache.get("past"));
    co_await cache.set("future", "x", {.ttl = expiry::at(now + 600s)});
    CHECK(co_await cache.get("future"));
    co_await cache.set("month", "x", {.ttl = std::chrono::hours(24 * 30)});
    CHECK(co_await cache.get("month"));
    co_await cache.set("longer", "x", {.ttl = std::chrono::hours(24 * 30) + 1s});
    CHECK(co_await cache.get("longer"));
    co_await cache.set("years", "x", {.ttl = std::chrono::hours(24 * 365 * 30)});
    CHECK(co_await cache.get("years"));
}

OURO_TEST_DIALECTS("keys of 1 to 250 bytes pass, others are refused before they are sent") {
    client cache = co_await fresh(speaking);
    const std::string longest(250, 'k');
    co_await cache.set(longest, "long");
    co_await cache.set("\xc3\xa4\xff", "bytes");
    CHECK(co_await cache.get(longest) == "long");
    CHECK(co_await cache.get("\xc3\xa4\xff") == "bytes");
    const std::string too_long(251, 'k');
    for (const std::string_view bad :
         {std::string_view(), std::string_view(too_long), std::string_view("a b"),
          std::string_view("a\r\nflush_all\r\n"), std::string_view("a\0b", 3),
          std::string_view("a\x7f"), std::string_view("\t")}) {
        auto got = co_await as_result(cache.get(bad));
        CHECK(got.error() == errc::bad_key);
        auto set = co_await as_result(cache.set(bad, "x"));
        CHECK(set.error() == errc::bad_key);
        auto counted = co_await as_result(cache.increment(bad));
        CHECK(counted.error() == errc::bad_key);
        auto removed = co_await as_result(cache.remove(bad));
        CHECK(removed.error() == errc::bad_key);
        std::vector<std::string_view> keys{"a", bad};
        auto many = co_await as_result(cache.get_multi(keys));
        CHECK(many.error() == errc::bad_key);
    }
    CHECK(co_await cache.get(longest) == "long");
}

OURO_TEST_DIALECTS("many keys come back in their order, missing ones and repeated ones too") {
    client cache = co_await fresh(speaking);
    std::vector<std::string> names;
    for (int i = 0; i < 3000; ++i) names.push_back("key:" + std::to_string(i));
    for (int i = 0; i < 3000; i += 3) co_await cache.set(names[i], "v" + std::to_string(i));
    std::vector<std::string_view> keys(names.begin(), names.end());
    keys.push_back("key:0");
    keys.push_back("key:0");
    const auto values = co_await cache.get_multi(keys);
    CHECK(values.size() == 3002);
    bool all_right = true;
    for (int i = 0; i < 3000; ++i)
        all_right &= i % 3 == 0 ? values[i] == "v" + std::to_string(i) : !values[i];
    CHECK(all_right);
    CHECK(values[3000] == "v0");
    CHECK(values[3001] == "v0");
    const auto items = co_await cache.gets_multi({keys.begin(), keys.begin() + 4});
    CHECK(items[0]->cas != 0);
    CHECK(items[3]->value == "v3");
    CHECK_FALSE(items[1]);
    const auto none = co_await cache.get_multi({});
    CHECK(none.empty());
}

OURO_TEST_DIALECTS("values up to the limit pass, one byte more is refused here") {
    client cache = co_await fresh(speaking, {.value_bytes_max = 100'000});
    co_await cache.set("a", std::string(100'000, 'x'));
    CHECK(co_await cache.get("a") == std::string(100'000, 'x'));
    auto more = co_await as_result(cache.set("a", std::string(100'001, 'x')));
    CHECK(more.error() == errc::value_too_large);
    CHECK(co_await cache.get("a") == std::string(100'000, 'x'));
}

OURO_TEST_DIALECTS("a value the server finds too large is an error, and nothing else is lost") {
    client cache = co_await fresh(speaking, {.value_bytes_max = 8 * 1024 * 1024});
    co_await cache.set("before", "1");
    try {
        co_await cache.set("large", std::string(2 * 1024 * 1024, 'x'));
        CHECK(false);
    } catch (const error& failure) {
        CHECK(failure.code() == errc::value_too_large);
        CHECK(failure.how_far() == net::fate::answered);
        CHECK(failure.words().find("arge") != std::string::npos);
    }
    CHECK(co_await cache.get("before") == "1");
    CHECK(cache.figures().servers[0].connections == 1);
}

OURO_TEST_DIALECTS("a value too large for this client passes by its connection") {
    client writer = co_await fresh(speaking);
    co_await writer.set("large", std::string(500'000, 'x'));
    co_await writer.set("small", "1");
    client cache =
        co_await fresh_of(shared_server(), {.dialect = speaking, .value_bytes_max = 1000});
    auto large = spawn(cache.get("large"));
    auto small = spawn(cache.get("small"));
    auto refused = co_await as_result(large);
    CHECK(refused.error() == errc::value_too_large);
    const std::optional<std::string> taken = co_await small;
    CHECK(taken == "1");
    CHECK(cache.figures().servers[0].connections == 1);
}

OURO_TEST_DIALECTS("a value goes into the caller's string, or into the caller's memory") {
    client cache = co_await fresh(speaking);
    co_await cache.set("a", "12345");
    std::string text = "before";
    CHECK_FALSE(co_await cache.get("b", text));
    CHECK(text == "before");
    CHECK(co_await cache.get("a", text));
    CHECK(text == "12345");
    std::array<std::byte, 5> room;
    CHECK(co_await cache.get("a", std::span(room)) == 5);
    CHECK(std::memcmp(room.data(), "12345", 5) == 0);
    CHECK_FALSE(co_await cache.get("b", std::span(room)));
    auto tight = co_await as_result(cache.get("a", std::span(room).first(4)));
    CHECK(tight.error() == errc::value_too_large);
}

OURO_TEST_DIALECTS("statistics, version and flush are asked of the server") {
    client cache = co_await fresh(speaking);
    co_await cache.set("a", "1");
    const auto all = co_await cache.stats();
    CHECK(all.size() == 1);
    CHECK(all[0].first == shared_server().address());
    const std::map<std::string, std::string> general(all[0].second.begin(), all[0].second.end());
    CHECK(general.at("pid") == std::to_string(shared_server().pid()));
    const auto settings = co_await cache.stats("settings");
    CHECK(settings[0].second.size() > 10);
    auto bad = co_await as_result(cache.stats("a\r\nflush_all"));
    CHECK(bad.error() == errc::bad_argument);
    const auto version = co_await cache.version();
    CHECK(version[0].second.starts_with("1."));
    co_await cache.flush_all(3600s);
    CHECK(co_await cache.get("a"));
    co_await cache.flush_all();
    CHECK_FALSE(co_await cache.get("a"));
}

task<> ask_often(client& cache, int who, int& wrong) {
    const std::string key = "task:" + std::to_string(who);
    for (int i = 0; i < 50; ++i) {
        const std::string value = key + "=" + std::to_string(i);
        co_await cache.set(key, value);
        const std::optional<std::string> got = co_await cache.get(key);
        wrong += got != value;
    }
}

OURO_TEST_DIALECTS("64 tasks share one connection, and each gets its own replies") {
    client cache = co_await fresh(speaking);
    int wrong = 0;
    std::vector<join_handle<void>> tasks;
    for (int i = 0; i < 64; ++i)
        tasks.push_back(spawn(ask_often, std::ref(cache), i, std::ref(wrong)));
    for (auto& each : tasks) co_await each;
    CHECK(wrong == 0);
    const server_figures figures = cache.figures().servers[0];
    CHECK(figures.connections == 1);
    CHECK(figures.requests.replies == 6401);
}

// In the meta dialect alone.

OURO_TEST_REAL("every connection notices a peer that has vanished, as soon as is asked for") {
    using testing::options_of_sockets;
    const std::uint16_t port = shared_server().port();
    client cache = co_await fresh(dialect::meta);
    CHECK(options_of_sockets(port, SOL_SOCKET, SO_KEEPALIVE) == std::vector<int>{1});
    CHECK(options_of_sockets(port, IPPROTO_TCP, TCP_KEEPIDLE) == std::vector<int>{15});
    CHECK(options_of_sockets(port, IPPROTO_TCP, TCP_USER_TIMEOUT) == std::vector<int>{30000});
    CHECK(options_of_sockets(port, IPPROTO_TCP, TCP_NODELAY) == std::vector<int>{1});
    co_await cache.close();

    client_options options;
    options.stream.keep_alive.reset();
    options.stream.user_timeout = 7s;
    cache = co_await fresh(dialect::meta, options);
    CHECK(options_of_sockets(port, SOL_SOCKET, SO_KEEPALIVE) == std::vector<int>{0});
    CHECK(options_of_sockets(port, IPPROTO_TCP, TCP_USER_TIMEOUT) == std::vector<int>{7000});
    co_await cache.close();
}

OURO_TEST_REAL("keys of any bytes travel in base64") {
    client cache = co_await fresh(dialect::meta, {.base64_keys = true});
    const std::string key("a b\r\n\0c", 7);
    co_await cache.set(key, "odd");
    CHECK(co_await cache.get(key) == "odd");
    const std::vector<std::string_view> keys{key, "b"};
    const auto many = co_await cache.get_multi(keys);
    CHECK(many[0] == "odd");
    CHECK(co_await cache.remove(key));
    const std::string longest(186, '\n');
    co_await cache.set(longest, "x");
    auto longer = co_await as_result(cache.set(longest + "\n", "x"));
    CHECK(longer.error() == errc::bad_key);
}

OURO_TEST_REAL("what a dialect cannot say is refused before it is sent") {
    client cache = co_await fresh(dialect::text, {.base64_keys = true});
    auto key = co_await as_result(cache.get("a"));
    CHECK(key.error() == errc::unsupported);
    client binary = co_await fresh(dialect::binary);
    auto stale = co_await as_result(binary.mark_stale("a"));
    CHECK(stale.error() == errc::unsupported);
}

}  // namespace
}  // namespace ouro::memcached
