#include <ouro/net/bytes/chunk.hpp>

#include <ouro/runtime/engine/frame_pool.hpp>

#include <doctest/doctest.h>

#include <string>
#include <thread>
#include <vector>

using namespace ouro;
using net::block_pool;
using net::chunk;
using net::open_block;

namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text));
}

TEST_CASE("a chunk is two words") { CHECK(sizeof(chunk) == 16); }

TEST_CASE("an empty chunk holds nothing") {
    const auto live = block_pool::stats().live;
    chunk none;
    CHECK(none.empty());
    CHECK_FALSE(none);
    CHECK(none.text().empty());
    CHECK(chunk(none).empty());
    CHECK(chunk::copy_of("").empty());
    CHECK(chunk::adopt("").empty());
    CHECK(none.part(0, 0).empty());
    CHECK(block_pool::stats().live == live);
}

TEST_CASE("copies share their bytes, and the last one frees them") {
    const auto live = block_pool::stats().live;
    chunk first = chunk::copy_of("hello");
    CHECK(block_pool::stats().live == live + 1);
    {
        const chunk second = first;
        CHECK(second.data() == first.data());
        first = chunk();
        CHECK(second.text() == "hello");
        CHECK(block_pool::stats().live == live + 1);
    }
    CHECK(block_pool::stats().live == live);
}

TEST_CASE("a chunk survives assignment to itself and from its own part") {
    const auto live = block_pool::stats().live;
    {
        chunk c = chunk::copy_of("hello world");
        chunk& same = c;
        c = same;
        CHECK(c.text() == "hello world");
        c = c.part(6, 5);
        CHECK(c.text() == "world");
        c.remove_prefix(2);
        CHECK(c.text() == "rld");
        const chunk moved = std::move(c);
        CHECK(moved.text() == "rld");
        CHECK(c.empty());
    }
    CHECK(block_pool::stats().live == live);
}

TEST_CASE("an adopted string is not copied") {
    const auto live = block_pool::stats().live;
    std::string text(100'000, 'x');
    const char* const where = text.data();
    {
        const chunk c = chunk::adopt(std::move(text));
        CHECK(c.text().data() == where);
        CHECK(c.size() == 100'000);
        CHECK(chunk::adopt("short").text() == "short");
    }
    CHECK(block_pool::stats().live == live);
}

TEST_CASE("only a chunk that lies just behind extends another") {
    open_block log(100);
    log.append(bytes_of("one two three"));
    chunk one = log.share(0, 4);
    chunk two = log.share(4, 4);
    chunk three = log.share(8, 5);

    SUBCASE("in order they become one") {
        CHECK(one.extend(two));
        CHECK(one.extend(three));
        CHECK(one.text() == "one two three");
    }
    SUBCASE("with a gap they do not") {
        CHECK_FALSE(one.extend(three));
        CHECK(one.text() == "one ");
    }
    SUBCASE("backwards they do not") { CHECK_FALSE(two.extend(one)); }
    SUBCASE("from another block they do not") { CHECK_FALSE(one.extend(chunk::copy_of("two "))); }
    SUBCASE("an empty one takes anything, and anything takes an empty one") {
        chunk none;
        CHECK(none.extend(two));
        CHECK(none.text() == "two ");
        CHECK(two.extend(chunk()));
        CHECK(two.text() == "two ");
    }
}

TEST_CASE("an open block gives out what was appended while more is appended") {
    const auto live = block_pool::stats().live;
    {
        open_block log(50);
        CHECK(log.capacity() >= 50);
        CHECK(log.unshared());
        log.append(bytes_of("abc"));
        chunk abc = log.share(0, 3);
        CHECK_FALSE(log.unshared());
        const auto space = log.free();
        REQUIRE(space.size() == log.capacity() - 3);
        space[0] = std::byte{'d'};
        log.append(1);
        CHECK(log.used() == 4);
        CHECK(log.appended(3).size() == 1);
        CHECK(abc.extend(log.share(3, 1)));
        CHECK(abc.text() == "abcd");
        open_block moved = std::move(log);
        CHECK(log.capacity() == 0);
        CHECK(log.free().empty());
        CHECK(moved.used() == 4);
        abc = chunk();
        CHECK(moved.unshared());
        moved.restart();
        CHECK(moved.used() == 0);
        chunk outlives = [&] {
            moved.append(bytes_of("xyz"));
            return moved.share(0, 3);
        }();
        moved = open_block();
        CHECK(outlives.text() == "xyz");
    }
    CHECK(block_pool::stats().live == live);
}

TEST_CASE("blocks of every size hold what they promise") {
    const auto live = block_pool::stats().live;
    for (std::size_t bytes :
         {std::size_t{1}, std::size_t{4000}, std::size_t{4096}, std::size_t{5000},
          block_pool::full_bytes, block_pool::full_bytes + 1, std::size_t{1} << 20}) {
        CAPTURE(bytes);
        open_block block(bytes);
        CHECK(block.capacity() >= bytes);
        const auto space = block.free();
        space.front() = space.back() = std::byte{1};
    }
    CHECK(block_pool::stats().live == live);
}

TEST_CASE("a freed full block is used again") {
    {
        open_block warm(block_pool::full_bytes);
    }
    const auto before = block_pool::stats();
    for (int i = 0; i < 100; ++i) open_block again(block_pool::full_bytes);
    if (before.cached_bytes > 0) CHECK(block_pool::stats().from_system == before.from_system);
}

TEST_CASE("the free list of full blocks is bounded") {
    {
        std::vector<open_block> many;
        for (int i = 0; i < 2000; ++i) many.emplace_back(block_pool::full_bytes);
    }
    CHECK(block_pool::stats().cached_bytes <= std::size_t{16 << 20});
}

TEST_CASE("each thread has its own blocks") {
    std::uint64_t live = 1;
    std::thread other([&live] {
        const chunk own = chunk::copy_of(std::string(10'000, 'x'));
        live = block_pool::stats().live;
    });
    other.join();
    CHECK(live == 1);
}

}  // namespace
