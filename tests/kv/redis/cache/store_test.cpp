#include <ouro/kv/redis/cache/store.hpp>

#include <doctest/doctest.h>

#include <string>

using namespace ouro;
using namespace std::chrono_literals;
using redis::cache_entry;
using redis::cache_store;
using redis::cached_reply;

namespace {

constexpr time_point now{100s};

/// "GET k", as short as it goes: the store does not read commands.
std::string command_for(std::string_view verb, std::string_view key) {
    return std::string(verb) + " " + std::string(key);
}

cached_reply make(std::string_view verb, std::string_view key) {
    std::string sent = command_for(verb, key);
    const std::size_t size = sent.size();
    return cached_reply(
        *new cache_entry(std::move(sent), {0, size}, {size - key.size(), key.size()}));
}

void fill(cached_reply& entry, std::string text) {
    const redis::node node{.kind = redis::type::string,
                           .text = {0, static_cast<std::uint32_t>(text.size())}};
    entry.entry().value.assign(redis::value(node, text.data()));
}

cached_reply put(cache_store& into, std::string_view verb, std::string_view key,
                 std::string text = "v") {
    cached_reply made = make(verb, key);
    made.entry().asked_at = now;
    into.begin(made.entry(), true);
    fill(made, std::move(text));
    into.land(made.entry(), true);
    return made;
}

bool has(cache_store& in, std::string_view verb, std::string_view key) {
    return static_cast<bool>(in.peek(key, command_for(verb, key), now));
}

TEST_CASE("entries are found by their command and dropped by their key") {
    cache_store store(100, 1 << 20);
    put(store, "GET", "k");
    put(store, "TYPE", "k");
    put(store, "GET", "k2");
    put(store, "GET", "");
    CHECK(store.size() == 4);
    CHECK(store.find("k", "GET k", now, now));
    CHECK(!store.find("k", "HGETALL k", now, now));
    CHECK(!store.find("GET", "GET k", now, now));
    CHECK(store.drop_key("k") == 2);
    CHECK(store.drop_key("k") == 0);
    CHECK(has(store, "GET", "k2"));
    CHECK(store.drop_key("") == 1);
    store.drop_all();
    CHECK(store.size() == 0);
    CHECK(store.bytes() == 0);
}

TEST_CASE("what is under way is found and can be dropped, and then it is not kept") {
    cache_store store(100, 1 << 20);
    cached_reply flying = make("GET", "k");
    store.begin(flying.entry(), true);
    CHECK(&store.find("k", "GET k", now, now).entry() == &flying.entry());
    CHECK(!store.peek("k", "GET k", now));
    CHECK(store.drop_key("k") == 1);
    CHECK(!cache_store::is_fresh(flying.entry()));
    CHECK(!store.find("k", "GET k", now, now));
    cached_reply second = make("GET", "k");
    store.begin(second.entry(), true);
    store.land(flying.entry(), true);
    CHECK(&store.find("k", "GET k", now, now).entry() == &second.entry());
    store.land(second.entry(), false);
    CHECK(store.size() == 0);

    cached_reply untracked = make("GET", "k");
    store.begin(untracked.entry(), false);
    CHECK(!store.find("k", "GET k", now, now));
    store.land(untracked.entry(), true);
    CHECK(store.size() == 0);
}

TEST_CASE("an entry is too old for one caller and good for another, until it expires") {
    cache_store store(100, 1 << 20);
    cached_reply entry = put(store, "GET", "k");
    entry.entry().expires_at = now + 10s;
    CHECK(store.find("k", "GET k", now + 5s, now));
    CHECK(!store.find("k", "GET k", now + 5s, now + 1ns));
    CHECK(store.find("k", "GET k", now + 9s, now));
    CHECK(!store.peek("k", "GET k", now + 10s));
    CHECK(!store.find("k", "GET k", now + 10s, now));
    CHECK(store.size() == 0);
    CHECK(entry.text() == "v");
}

TEST_CASE("bytes have a limit, too, and one that is too large for it alone is not kept") {
    cache_store store(100, 4000);
    put(store, "GET", "a", std::string(1000, 'a'));
    put(store, "GET", "b", std::string(1000, 'b'));
    CHECK(store.size() == 2);
    CHECK(store.bytes() > 2000);
    CHECK(store.bytes() < 4000);
    put(store, "GET", "c", std::string(1500, 'c'));
    CHECK(!has(store, "GET", "a"));
    CHECK(has(store, "GET", "c"));
    const cached_reply huge = put(store, "GET", "d", std::string(5000, 'd'));
    CHECK(!has(store, "GET", "d"));
    CHECK(has(store, "GET", "c"));
    CHECK(store.evictions() == 1);
    CHECK(huge.text().size() == 5000);
}

TEST_CASE("what was read on one connection is dropped with it") {
    cache_store store(100, 1 << 20);
    const int one = 1;
    const int two = 2;
    put(store, "GET", "a").entry().origin = &one;
    put(store, "GET", "b").entry().origin = &two;
    put(store, "GET", "c").entry().origin = &one;
    store.drop_origin(&one);
    CHECK(store.size() == 1);
    CHECK(has(store, "GET", "b"));
}

TEST_CASE("with no room at all nothing is kept") {
    cache_store store(0, 0);
    CHECK(put(store, "GET", "k").text() == "v");
    CHECK(store.size() == 0);
}

}  // namespace
