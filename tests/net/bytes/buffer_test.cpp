#include <ouro/net/bytes/buffer.hpp>

#include <ouro/runtime/engine/frame_pool.hpp>
#include <ouro/runtime/sim/seed.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <string>

using namespace ouro;
using net::buffer;

namespace {

TEST_CASE("a buffer holds no memory before it is filled") {
    buffer b(100);
    CHECK(b.capacity() == 0);
    CHECK(b.empty());
    CHECK(b.text().empty());
    b.consume(0);
}

TEST_CASE("bytes come out in the order in which they went in") {
    buffer b(100);
    CHECK(b.append("hello "));
    CHECK(b.append("world"));
    CHECK(b.text() == "hello world");
    b.consume(6);
    CHECK(b.text() == "world");
    b.consume(5);
    CHECK(b.empty());
}

TEST_CASE("a buffer takes its limit and not one byte more") {
    for (std::size_t limit : {1, 2, 511, 512, 513, 5000}) {
        CAPTURE(limit);
        buffer b(limit);
        CHECK(b.append(std::string(limit, 'x')));
        CHECK(b.capacity() == limit);
        CHECK_FALSE(b.append("y"));
        CHECK(b.size() == limit);
        CHECK(b.prepare(1).empty());
        b.consume(1);
        CHECK(b.append("y"));
        CHECK(b.text() == std::string(limit - 1, 'x') + 'y');
        CHECK_FALSE(b.append(std::string(limit, 'z')));
        CHECK(b.prepare(static_cast<std::size_t>(-1)).empty());
    }
}

TEST_CASE("prepare answers all free memory, at least what was asked for") {
    buffer b(10'000);
    CHECK(b.prepare(1).size() >= 1);
    CHECK(b.prepare(3000).size() >= 3000);
    CHECK(b.prepare(3000).size() == b.capacity());
    b.commit(10);
    CHECK(b.prepare(1).size() == b.capacity() - 10);
}

TEST_CASE("what is ready stays in place while nothing is prepared, consumed bytes included") {
    buffer b(1000);
    REQUIRE(b.append("one two three"));
    const std::string_view text = b.text();
    b.consume(4);
    CHECK(b.text().data() == text.data() + 4);
    b.consume(9);
    CHECK(text == "one two three");
}

TEST_CASE("the front is used again instead of growing") {
    buffer b(1 << 20);
    REQUIRE(b.append(std::string(400, 'a')));
    const std::size_t capacity = b.capacity();
    for (int i = 0; i < 1000; ++i) {
        REQUIRE(b.append(std::string(100, 'b')));
        b.consume(100);
    }
    CHECK(b.capacity() == capacity);
    CHECK(b.size() == 400);
}

TEST_CASE("a moved buffer takes its bytes along") {
    const auto live = frame_pool::stats().live;
    {
        buffer a(100);
        REQUIRE(a.append("abc"));
        buffer b(std::move(a));
        CHECK(b.text() == "abc");
        buffer c(5);
        REQUIRE(c.append("x"));
        c = std::move(b);
        CHECK(c.text() == "abc");
        CHECK(c.bytes_max() == 100);
        CHECK(a.empty());
        CHECK(a.append("again"));
        c.release();
        CHECK(c.capacity() == 0);
        CHECK(c.append("fresh"));
    }
    CHECK(frame_pool::stats().live == live);
}

TEST_CASE("a buffer behaves like a string with a front") {
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        CAPTURE(seed);
        sim::dice chance(seed);
        const std::size_t limit = 1 + chance.below(3000);
        buffer b(limit);
        std::string model;
        char next = 0;
        for (int step = 0; step < 300; ++step) {
            if (chance.one_in(2)) {
                const std::size_t wanted = 1 + chance.below(chance.one_in(4) ? limit : 50);
                const auto space = b.prepare(wanted);
                REQUIRE(space.empty() == (model.size() + wanted > limit));
                if (space.empty()) continue;
                REQUIRE(space.size() >= wanted);
                const std::size_t n = chance.below(space.size() + 1);
                for (std::size_t i = 0; i < n; ++i) space[i] = static_cast<std::byte>(next++);
                b.commit(n);
                model.append(reinterpret_cast<const char*>(space.data()), n);
            } else {
                const std::size_t n = chance.below(model.size() + 1);
                b.consume(n);
                model.erase(0, n);
            }
            REQUIRE(b.text() == model);
            REQUIRE(b.capacity() <= limit);
        }
    }
}

}  // namespace
