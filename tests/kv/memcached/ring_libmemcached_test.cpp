// What libmemcached does with the same servers and keys is what we do.
#include <ouro/kv/memcached/ring.hpp>

#include <doctest/doctest.h>

#include <libmemcached/memcached.h>

#include <random>
#include <string>
#include <vector>

namespace ouro::memcached {
namespace {

/// A libmemcached client that never connects.
class other_ring {
public:
    other_ring(distribution how, const std::vector<ring_server>& servers)
        : handle_(memcached_create(nullptr)) {
        if (how == distribution::ketama)
            set(MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED, 1);
        else
            set(MEMCACHED_BEHAVIOR_DISTRIBUTION, MEMCACHED_DISTRIBUTION_CONSISTENT);
        for (const ring_server& one : servers) add(one);
    }
    other_ring(other_ring&&) = delete;
    ~other_ring() { memcached_free(handle_); }

    std::size_t server_of(std::string_view key) const {
        return memcached_generate_hash(handle_, key.data(), key.size());
    }

private:
    void set(memcached_behavior_t what, std::uint64_t value) {
        REQUIRE(memcached_behavior_set(handle_, what, value) == MEMCACHED_SUCCESS);
    }
    void add(const ring_server& one) {
        const bool is_unix = one.port == 0;
        const memcached_return_t added =
            is_unix
                ? memcached_server_add_unix_socket_with_weight(handle_, one.host.c_str(),
                                                               one.weight)
                : memcached_server_add_with_weight(handle_, one.host.c_str(), one.port, one.weight);
        REQUIRE(added == MEMCACHED_SUCCESS);
    }

    memcached_st* handle_;
};

void compare(distribution how, const std::vector<ring_server>& servers, unsigned seed) {
    ring ours(how, servers);
    const other_ring theirs(how, servers);
    std::mt19937 random(seed);
    int different = 0;
    for (int i = 0; i < 5000; ++i) {
        std::string key = "key:" + std::to_string(i);
        if (i % 2 == 1) {
            key.clear();
            for (std::size_t n = 1 + random() % 60; n > 0; --n)
                key += static_cast<char>(0x21 + random() % 222);
        }
        different += ours.server_of(key) != theirs.server_of(key);
    }
    CHECK(different == 0);
}

std::vector<ring_server> random_servers(unsigned seed, bool weighted) {
    std::mt19937 random(seed);
    std::vector<ring_server> all;
    const std::size_t count = 2 + random() % 9;
    for (std::size_t i = 0; i < count; ++i) {
        ring_server one;
        one.host = random() % 2 ? "10.1." + std::to_string(random() % 256) + "." + std::to_string(i)
                                : "cache" + std::to_string(i) + ".example.org";
        one.port = static_cast<std::uint16_t>(random() % 2 ? 11211 : 11000 + random() % 1000);
        one.weight = weighted ? 1 + random() % 7 : 1;
        all.push_back(one);
    }
    return all;
}

TEST_CASE("ketama with equal weights, with and without the usual port") {
    for (unsigned seed = 1; seed <= 20; ++seed)
        compare(distribution::ketama, random_servers(seed, false), seed);
}

TEST_CASE("ketama with weights") {
    for (unsigned seed = 1; seed <= 20; ++seed)
        compare(distribution::ketama, random_servers(seed, true), seed);
}

TEST_CASE("the consistent distribution with its default hash") {
    for (unsigned seed = 1; seed <= 20; ++seed)
        compare(distribution::consistent, random_servers(seed, false), seed);
}

TEST_CASE("Unix sockets beside ports") {
    compare(distribution::ketama,
            {{"/run/memcached.sock", 0, 1}, {"10.0.0.1", 11211, 1}, {"10.0.0.2", 11300, 1}}, 1);
}

TEST_CASE("an IPv6 server counts by its address without brackets") {
    compare(distribution::ketama, {{"::1", 11211, 1}, {"2001:db8::7", 11300, 2}}, 1);
}

TEST_CASE("many servers") {
    std::vector<ring_server> all;
    for (int i = 0; i < 100; ++i) all.push_back({"10.2.0." + std::to_string(i), 11211, 1});
    compare(distribution::ketama, all, 1);
}

}  // namespace
}  // namespace ouro::memcached
