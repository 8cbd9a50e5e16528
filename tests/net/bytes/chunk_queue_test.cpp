#include <ouro/net/bytes/chunk_queue.hpp>

#include <ouro/runtime/engine/frame_pool.hpp>
#include <ouro/runtime/sim/seed.hpp>

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <string_view>
#include <vector>

using namespace ouro;
using net::chunk;
using net::chunk_queue;
using net::open_block;

namespace {

std::string text_of(const chunk_queue& queue) {
    std::vector<iovec> pieces(queue.size());
    CHECK(queue.gather(pieces) == queue.size());
    std::string text;
    for (const iovec& piece : pieces)
        text.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
    return text;
}

TEST_CASE("what touches becomes one piece") {
    open_block log(100);
    log.append(std::as_bytes(std::span("abcdef", 6)));
    chunk_queue queue;
    queue.push(log.share(0, 2));
    queue.push(log.share(2, 1));
    queue.push(chunk());
    queue.push(log.share(3, 3));
    CHECK(queue.size() == 1);
    CHECK(queue.bytes() == 6);
    CHECK(text_of(queue) == "abcdef");
    queue.push(log.share(0, 1));
    CHECK(queue.size() == 2);
}

TEST_CASE("a piece is extended also after part of it has gone") {
    open_block log(100);
    log.append(std::as_bytes(std::span("abcdef", 6)));
    chunk_queue queue;
    queue.push(log.share(0, 3));
    queue.consume(2);
    queue.push(log.share(3, 3));
    CHECK(queue.size() == 1);
    CHECK(text_of(queue) == "cdef");
}

TEST_CASE("copies that continue the last piece make it longer, and nothing else is taken") {
    const auto bytes = [](std::string_view text) { return std::as_bytes(std::span(text)); };
    open_block log(20), other(20);
    const std::size_t room = log.free().size();
    chunk_queue queue;
    CHECK(!queue.append(log, bytes("nothing to continue")));
    log.append(bytes("ab"));
    queue.push(log.share(0, 2));
    CHECK(queue.append(log, bytes("cd")));
    CHECK(queue.size() == 1);
    CHECK(text_of(queue) == "abcd");
    CHECK(!queue.append(other, bytes("another block")));
    CHECK(!queue.append(log, bytes(std::string(room - 3, 'x'))));  // one too many
    CHECK(queue.append(log, bytes(std::string(room - 4, 'x'))));
    CHECK(queue.bytes() == room);
    queue.consume(queue.bytes());
    CHECK(!queue.append(log, bytes("")));  // there is no last piece
    queue.push(log.share(0, 1));
    CHECK(!queue.append(log, bytes("")));  // what comes next is not behind it
    CHECK(text_of(queue) == "a");
}

TEST_CASE("gather fills what it is given and not more") {
    chunk_queue queue;
    for (int i = 0; i < 10; ++i) queue.push(chunk::copy_of("x"));
    std::array<iovec, 3> few{};
    CHECK(queue.gather(few) == 3);
    CHECK(queue.gather({}) == 0);
}

TEST_CASE("a queue that has run empty gives its ring back, unless it is small") {
    const auto frames = frame_pool::stats().live;
    chunk_queue queue;
    const chunk same = chunk::copy_of("x");
    const auto with_block = frame_pool::stats().live;
    for (int i = 0; i < 4; ++i) queue.push(same);
    CHECK(frame_pool::stats().live == with_block);
    for (int i = 0; i < 20; ++i) queue.push(same);
    queue.consume(queue.bytes());
    CHECK(frame_pool::stats().live == with_block + 1);
    for (int i = 0; i < 1000; ++i) queue.push(same);
    queue.consume(queue.bytes());
    CHECK(frame_pool::stats().live == with_block);
    for (int i = 0; i < 1000; ++i) queue.push(same);
    queue.clear();
    CHECK(frame_pool::stats().live == with_block);
    CHECK(with_block == frames + 1);
}

/// Where the chunks of a model run come from: a few blocks, in order and at random.
struct sources {
    explicit sources(sim::dice& chance) : chance(chance) {
        for (open_block& block : blocks) refill(block);
    }

    void refill(open_block& block) {
        block = open_block(300);
        for (std::byte& at : block.free()) at = static_cast<std::byte>(chance.bits());
        block.append(block.free().size());
    }

    chunk next() {
        const std::size_t which = chance.below(blocks.size());
        open_block& block = blocks[which];
        if (chance.one_in(20)) refill(block), at[which] = 0;
        if (chance.one_in(3)) at[which] = chance.below(block.used());
        const std::size_t n = chance.below(std::min<std::size_t>(40, block.used() - at[which] + 1));
        chunk piece = block.share(at[which], n);
        at[which] += n;
        if (at[which] == block.used()) at[which] = 0;
        return piece;
    }

    sim::dice& chance;
    std::array<open_block, 3> blocks;
    std::array<std::size_t, 3> at{};
};

TEST_CASE("a queue of chunks behaves like a string with a front") {
    const auto live = net::block_pool::stats().live;
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        CAPTURE(seed);
        sim::dice chance(seed);
        sources from(chance);
        chunk_queue queue;
        std::string model;
        for (int step = 0; step < 400; ++step) {
            if (chance.below(10) < (step < 200 ? 8u : 4u)) {
                const chunk piece = from.next();
                queue.push(piece);
                model += piece.text();
            } else {
                const std::size_t n = chance.below(std::min<std::size_t>(model.size(), 100) + 1);
                queue.consume(n);
                model.erase(0, n);
            }
            if (chance.one_in(100)) queue.clear(), model.clear();
            REQUIRE(queue.bytes() == model.size());
            REQUIRE(queue.empty() == model.empty());
            REQUIRE(text_of(queue) == model);
        }
    }
    CHECK(net::block_pool::stats().live == live);
}

}  // namespace
