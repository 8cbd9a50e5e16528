#include <ouro/kv/memcached/ring.hpp>

#include <ouro/kv/memcached/error.hpp>
#include <ouro/kv/memcached/md5.hpp>
#include <ouro/tests/kv/memcached/allocations.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <ostream>
#include <string>
#include <vector>

namespace ouro::memcached {
namespace {

constexpr distribution all_of_them[] = {distribution::ketama, distribution::consistent,
                                        distribution::rendezvous};

/// The distributions that this build has.
std::vector<distribution> known() {
    std::vector<distribution> all;
    for (const distribution how : all_of_them)
        if (how != distribution::ketama || has_md5()) all.push_back(how);
    return all;
}

std::vector<ring_server> servers(std::size_t n) {
    std::vector<ring_server> all;
    for (std::size_t i = 0; i < n; ++i)
        all.push_back({"10.0.0." + std::to_string(i + 1), 11211, 1});
    return all;
}

std::string key(int i) { return "user:" + std::to_string(i) + ":profile"; }

TEST_CASE("one server has every key") {
    for (const distribution how : known()) {
        ring one(how, servers(1));
        for (int i = 0; i < 100; ++i) CHECK(one.server_of(key(i)) == 0);
        one.set_present(0, false);
        CHECK(one.server_of(key(0)) == 1);
        one.set_present(0, true);
        CHECK(one.server_of(key(0)) == 0);
    }
}

TEST_CASE("keys are spread about evenly, and by weight") {
    constexpr int keys = 20'000;
    for (const distribution how : known()) {
        ring even(how, servers(4));
        std::vector<int> counts(4);
        for (int i = 0; i < keys; ++i) ++counts[even.server_of(key(i))];
        for (const int count : counts) CHECK(std::abs(count - keys / 4) < keys / 10);
        if (how == distribution::consistent) continue;
        std::vector<ring_server> uneven = servers(2);
        uneven[1].weight = 3;
        ring weighted(how, uneven);
        int heavy = 0;
        for (int i = 0; i < keys; ++i) heavy += weighted.server_of(key(i)) == 1;
        CHECK(std::abs(heavy - keys * 3 / 4) < keys / 10);
    }
}

TEST_CASE("a server that leaves takes its keys alone, and gets them back") {
    for (const distribution how : known()) {
        ring all(how, servers(5));
        std::vector<std::size_t> before;
        for (int i = 0; i < 2000; ++i) before.push_back(all.server_of(key(i)));
        all.set_present(2, false);
        CHECK_FALSE(all.is_present(2));
        int moved = 0;
        for (int i = 0; i < 2000; ++i) {
            const std::size_t now = all.server_of(key(i));
            CHECK(now != 2);
            moved += before[i] != 2 && now != before[i];
        }
        CHECK(moved == 0);
        all.set_present(2, true);
        for (int i = 0; i < 2000; ++i) CHECK(all.server_of(key(i)) == before[i]);
    }
}

TEST_CASE("the order in which servers are named does not count") {
    for (const distribution how : known()) {
        std::vector<ring_server> forth = servers(4);
        const std::vector<ring_server> back(forth.rbegin(), forth.rend());
        ring a(how, forth);
        ring b(how, back);
        for (int i = 0; i < 2000; ++i) CHECK(a.server_of(key(i)) == 3 - b.server_of(key(i)));
    }
}

TEST_CASE("where keys are never changes: other programs rely on it") {
    // Computed once; whoever changes these loses everybody's cache.
    const char* const keys[] = {"a", "user:1", "\xc3\xa4", "the quick brown fox"};
    ring rendezvous(distribution::rendezvous, servers(4));
    ring consistent(distribution::consistent, servers(4));
    std::string places;
    for (const char* each : keys) {
        places += std::to_string(rendezvous.server_of(each));
        places += std::to_string(consistent.server_of(each));
    }
    CHECK(places == "30033323");
}

TEST_CASE("looking up allocates nothing") {
    for (const distribution how : known()) {
        ring all(how, servers(8));
        std::size_t sum = all.server_of(key(0));
        const std::string one = key(1);
        const std::uint64_t before = allocations();
        for (int i = 0; i < 1000; ++i) sum += all.server_of(one);
        CHECK(allocations() == before);
        CHECK(sum > 0);
    }
}

std::string hex_md5(std::string_view text) {
    std::string out;
    for (const std::uint8_t byte : md5(text)) {
        out += "0123456789abcdef"[byte >> 4];
        out += "0123456789abcdef"[byte & 15];
    }
    return out;
}

TEST_CASE("ketama without MD5 says which option is missing") {
    if (has_md5()) return;
    try {
        ring refused(distribution::ketama, servers(2));
        CHECK(false);
    } catch (const error& failure) {
        CHECK(failure.code() == errc::unsupported);
        CHECK(std::string_view(failure.what()).find("-Dmd5") != std::string_view::npos);
    }
}

TEST_CASE("MD5 gives the vectors of RFC 1321") {
    if (!has_md5()) return;
    CHECK(hex_md5("") == "d41d8cd98f00b204e9800998ecf8427e");
    CHECK(hex_md5("a") == "0cc175b9c0f1b6a831c399e269772661");
    CHECK(hex_md5("message digest") == "f96b697d7cb7938d525a2f31aaf161d0");
}

}  // namespace
}  // namespace ouro::memcached
