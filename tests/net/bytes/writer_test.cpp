#include <ouro/net/bytes/writer.hpp>

#include <ouro/net/stream_pair.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/engine/frame_pool.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>
#include <ouro/tests/sanitizer.hpp>

#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <vector>

using namespace ouro;
using namespace std::chrono_literals;
using net::block_pool;
using net::chunk;
using net::open_block;
using net::stream;
using net::stream_pair;
using net::writer;
using net::writer_options;

namespace {

/// More than a socket pair takes while nobody reads; a simulated one takes 64 KiB.
std::size_t too_much() { return sim::world::current_or_null() ? 100'000 : 6 << 20; }

task<std::string> receive(stream& from, std::size_t n) {
    std::string all;
    std::array<std::byte, 5000> space;
    while (all.size() < n) {
        const auto into = std::span(space).first(std::min(space.size(), n - all.size()));
        const std::size_t got = co_await from.recv(into);
        if (got == 0) break;
        all.append(reinterpret_cast<const char*>(space.data()), got);
    }
    co_return all;
}

task<std::size_t> count_to_end(stream from) {
    std::size_t n = 0;
    std::array<std::byte, 50'000> space;
    for (;;) {
        auto got = co_await as_result(from.recv(space));
        if (!got || *got == 0) co_return n;
        n += *got;
    }
}

std::uint64_t submissions() { return executor::current().io().stats().submissions; }

std::string numbered(std::size_t n) {
    static std::string longest;
    for (std::size_t i = longest.size(); i < n; ++i) longest += static_cast<char>(i % 251);
    return longest.substr(0, n);
}

OURO_TEST_IO("what is written in one turn leaves in one send at its end") {
    if (auto* world = sim::world::current_or_null()) world->split_by(sim::splitting::whole);
    auto [ours, theirs] = stream_pair();
    writer out(ours);
    const auto before = submissions();
    CHECK(out.write("one "));
    CHECK(out.write(chunk::copy_of("two ")));
    CHECK(out.write(chunk::copy_of("three ")));
    const auto space = out.prepare(100);
    REQUIRE(space.size() >= 100);
    std::memcpy(space.data(), "four", 4);
    out.commit(4);
    CHECK(out.pending_bytes() == 18);
    CHECK(submissions() == before);
    co_await out.flush();
    CHECK(submissions() == before + 1);
    CHECK(out.pending_bytes() == 0);
    CHECK(co_await receive(theirs, 18) == "one two three four");
}

OURO_TEST_IO("a batch of more pieces than one call takes arrives whole") {
    auto [ours, theirs] = stream_pair();
    writer out(ours);
    std::string expected;
    const chunk piece = chunk::copy_of("0123456789");
    for (std::size_t i = 0; i < 3000; ++i) {
        const chunk part = piece.part(i % 7, 1 + i % 3);
        CHECK(out.write(part));
        expected += part.text();
    }
    CHECK(co_await receive(theirs, expected.size()) == expected);
    co_await out.flush();
}

OURO_TEST_IO("writing nothing sends nothing") {
    auto [ours, theirs] = stream_pair();
    writer out(ours);
    const auto before = submissions();
    CHECK(out.write(""));
    CHECK(out.write(chunk()));
    CHECK(out.prepare(10).size() >= 10);
    out.commit(0);
    co_await out.flush();
    co_await out.below_low();
    co_await yield();
    CHECK(submissions() == before);
    CHECK(out.pending_bytes() == 0);
}

OURO_TEST_IO("an idle writer holds no block") {
    const auto blocks = block_pool::stats().live;
    auto [ours, theirs] = stream_pair();
    writer out(ours);
    CHECK(out.write(numbered(40'000)));
    CHECK(block_pool::stats().live > blocks);
    CHECK(co_await receive(theirs, 40'000) == numbered(40'000));
    co_await out.flush();
    CHECK(block_pool::stats().live == blocks);
}

OURO_TEST_IO("the limit of pending bytes is taken to the last byte and not exceeded") {
    auto [ours, theirs] = stream_pair();
    writer out(ours, {.high_bytes = 500, .low_bytes = 100, .pending_bytes_max = 1000});
    CHECK_FALSE(out.write(std::string(1001, 'x')));
    CHECK(out.write(std::string(600, 'a')));
    CHECK(out.above_high());
    CHECK_FALSE(out.write(std::string(401, 'x')));
    CHECK_FALSE(out.write(chunk::copy_of(std::string(401, 'x'))));
    CHECK(out.prepare(401).empty());
    CHECK(out.prepare(1).size() == 400);
    CHECK(out.pending_bytes() == 600);
    CHECK(out.write(std::string(400, 'b')));
    CHECK_FALSE(out.write("x"));
    CHECK_FALSE(out.error());
    CHECK(co_await receive(theirs, 1000) == std::string(600, 'a') + std::string(400, 'b'));
    co_await out.flush();
    CHECK(out.write("x"));
}

OURO_TEST_IO("a producer that waits below the low mark is held back by a slow peer") {
    auto [ours, theirs] = stream_pair();
    writer out(ours,
               {.high_bytes = too_much() / 2, .low_bytes = 1000, .pending_bytes_max = too_much()});
    CHECK(out.write(std::string(too_much(), 'x')));
    CHECK(out.above_high());
    co_await settle();
    CHECK(out.pending_bytes() > 1000);
    auto late = co_await as_result(timeout(1ms, out.below_low()));
    CHECK(late.error() == errc::timed_out);
    CHECK(out.pending_bytes() > 1000);
    auto reading = spawn(receive(theirs, too_much()));
    co_await out.below_low();
    CHECK(out.pending_bytes() <= 1000);
    co_await out.flush();
    CHECK(out.pending_bytes() == 0);
    const std::string all = co_await reading;
    CHECK(all.size() == too_much());
}

task<> note_flush(writer& out, std::string& order, char what) {
    co_await out.flush();
    order += what;
}

OURO_TEST("a flush waits for what was written before it and not for more") {
    auto [ours, theirs] = stream_pair();
    writer out(ours);
    std::string order;
    CHECK(out.write(std::string(too_much(), 'x')));
    auto a = spawn(note_flush, std::ref(out), std::ref(order), 'a');
    co_await settle();
    CHECK(out.write(std::string(too_much(), 'y')));
    auto b = spawn(note_flush, std::ref(out), std::ref(order), 'b');
    co_await settle();
    CHECK(order.empty());
    const std::string first = co_await receive(theirs, too_much());
    co_await settle();
    CHECK(order == "a");
    const std::string second = co_await receive(theirs, too_much());
    co_await settle();
    CHECK(order == "ab");
    CHECK(first + second == std::string(too_much(), 'x') + std::string(too_much(), 'y'));
    co_await a;
    co_await b;
}

OURO_TEST_IO("what is written while a send is in flight leaves with the next one") {
    if (auto* world = sim::world::current_or_null()) world->split_by(sim::splitting::whole);
    auto [ours, theirs] = stream_pair();
    writer out(ours);
    CHECK(out.write(std::string(too_much(), 'x')));
    co_await settle();
    const auto before = submissions();
    for (int i = 0; i < 10; ++i) {
        CHECK(out.write("more"));
        co_await yield();
    }
    CHECK(submissions() == before);
    const std::string all = co_await receive(theirs, too_much() + 40);
    CHECK(all.size() == too_much() + 40);
    CHECK(all.ends_with("moremore"));
}

// Errors.

OURO_TEST_IO("a peer that is gone ends the writer, and everybody is told") {
    auto [ours, theirs] = stream_pair();
    writer out(ours);
    CHECK(out.write(std::string(too_much(), 'x')));
    std::string order;
    auto waiting = spawn(note_flush, std::ref(out), std::ref(order), 'a');
    co_await settle();
    co_await theirs.close();
    auto flushed = co_await as_result(out.flush());
    CHECK(flushed.error());
    CHECK(out.error() == flushed.error());
    CHECK(out.pending_bytes() == 0);
    auto other = co_await as_result(waiting);
    CHECK(other.error() == out.error());
    CHECK_FALSE(out.write("x"));
    CHECK_FALSE(out.write(chunk::copy_of("x")));
    CHECK(out.prepare(1).empty());
    auto low = co_await as_result(out.below_low());
    CHECK(low.error() == out.error());
    auto closed = co_await as_result(out.close());
    CHECK(closed.error() == out.error());
    CHECK(order.empty());
}

OURO_TEST_IO("a peer that was gone before is found out by the first send") {
    auto [ours, theirs] = stream_pair();
    co_await theirs.close();
    co_await settle();
    writer out(ours);
    CHECK(out.write("x"));
    auto flushed = co_await as_result(out.flush());
    CHECK(flushed.error() == std::errc::broken_pipe);
}

OURO_TEST("a send that the system interrupts is repeated") {
    auto [ours, theirs] = stream_pair();
    writer out(ours);
    sim::world::current().fail_next(sim::act::send, EINTR, 3);
    CHECK(out.write("once"));
    co_await out.close();
    co_await ours.close();
    CHECK(co_await receive(theirs, 100) == "once");
}

// Closing.

OURO_TEST_IO("close sends what is pending, refuses more and leaves the stream open") {
    auto [ours, theirs] = stream_pair();
    writer out(ours);
    CHECK(out.write(numbered(300'000)));
    auto reading = spawn(receive(theirs, 300'000));
    co_await out.close();
    CHECK_FALSE(out.write("x"));
    CHECK_FALSE(out.error());
    CHECK(co_await reading == numbered(300'000));
    co_await ours.send_all("by hand");
    CHECK(co_await receive(theirs, 7) == "by hand");
    co_await out.close();
}

OURO_TEST_IO("a stream that is closed under a writer ends it") {
    auto [ours, theirs] = stream_pair();
    writer out(ours);

    CHECK(out.write(std::string(too_much(), 'x')));
    std::string order;
    auto waiting = spawn(note_flush, std::ref(out), std::ref(order), 'a');
    co_await settle();
    co_await ours.close();
    auto told = co_await as_result(waiting);
    CHECK(told.error() == errc::closed);
    CHECK(out.error() == errc::closed);
}

OURO_TEST_IO("a stream that was closed before a writer had its turn ends it") {
    auto [ours, theirs] = stream_pair();
    writer out(ours);
    CHECK(out.write("too late"));
    co_await ours.close();
    auto flushed = co_await as_result(out.flush());
    CHECK(flushed.error() == errc::closed);
}

// Dying.

OURO_TEST_IO("a writer that dies idle leaves nothing behind") {
    const auto frames = frame_pool::stats().live;
    auto [ours, theirs] = stream_pair();
    {
        writer unused(ours);
    }
    {
        writer out(ours);
        CHECK(out.write("sent"));
        co_await out.flush();
    }
    {
        writer out(ours);
        CHECK(out.write("never sent: its turn has not ended"));
    }
    CHECK(frame_pool::stats().live == frames);
    co_await ours.send_all(" and on");
    CHECK(co_await receive(theirs, 11) == "sent and on");
}

OURO_TEST_IO("writer and stream may die with a send in flight") {
    const auto blocks = block_pool::stats().live;
    auto pair = std::make_unique<std::pair<stream, stream>>(stream_pair());
    stream theirs = std::move(pair->second);
    auto out = std::make_unique<writer>(pair->first);
    CHECK(out->write(std::string(too_much(), 'x')));
    co_await settle();
    CHECK(out->pending_bytes() > 0);
    out.reset();
    pair.reset();
    // A kernel's ring may still read them; elsewhere a send ends when its cancellation is asked.
    if (executor::current().io().name() == "uring") CHECK(block_pool::stats().live > blocks);
    const std::size_t got = co_await count_to_end(std::move(theirs));
    CHECK(got > 0);
    CHECK(got < too_much());
    co_await settle();
    CHECK(block_pool::stats().live == blocks);
}

OURO_TEST_IO("a writer may die with a send in flight long before its stream") {
    const auto blocks = block_pool::stats().live;
    auto [ours, theirs] = stream_pair();
    auto out = std::make_unique<writer>(ours);
    CHECK(out->write(std::string(too_much(), 'x')));
    co_await settle();
    out.reset();
    co_await settle();
    CHECK(block_pool::stats().live == blocks);
    CHECK(ours.is_open());
    co_await ours.close();
    const std::size_t got = co_await count_to_end(std::move(theirs));
    CHECK(got < too_much());
}

OURO_TEST_IO("a stream whose writer has just died in flight can be closed by hand") {
    auto [ours, theirs] = stream_pair();
    auto out = std::make_unique<writer>(ours);
    CHECK(out->write(std::string(too_much(), 'x')));
    co_await settle();
    out.reset();
    co_await ours.close();
    CHECK_FALSE(ours.is_open());
    const std::size_t got = co_await count_to_end(std::move(theirs));
    CHECK(got < too_much());
}

OURO_TEST_IO("a writer may die in the turn in which its send is submitted") {
    auto pair = std::make_unique<std::pair<stream, stream>>(stream_pair());
    auto out = std::make_unique<writer>(pair->first);
    CHECK(out->write(std::string(too_much(), 'x')));
    co_await yield();
    out.reset();
    pair.reset();
    co_await yield();
}

OURO_TEST_IO("who waits for a writer that dies is told that it is closed") {
    auto [ours, theirs] = stream_pair();
    auto out = std::make_unique<writer>(ours);
    CHECK(out->write(std::string(too_much(), 'x')));
    std::string order;
    auto waiting = spawn(note_flush, std::ref(*out), std::ref(order), 'a');
    co_await settle();
    out.reset();
    auto told = co_await as_result(waiting);
    CHECK(told.error() == errc::closed);
}

OURO_TEST_IO("a wait that is cancelled does not disturb the sending") {
    auto [ours, theirs] = stream_pair();
    writer out(ours);
    CHECK(out.write(numbered(too_much())));
    std::string order;
    auto waiting = spawn(note_flush, std::ref(out), std::ref(order), 'a');
    co_await settle();
    waiting.cancel();
    auto cancelled = co_await as_result(waiting);
    CHECK(cancelled.error() == errc::cancelled);
    const std::string all = co_await receive(theirs, too_much());
    CHECK(all == numbered(too_much()));
    co_await out.close();
}

OURO_TEST("a writer can be moved while a send is in flight") {
    auto [ours, theirs] = stream_pair();
    writer first(ours);
    CHECK(first.write(std::string(too_much(), 'x')));
    co_await settle();
    writer second(std::move(first));
    CHECK(second.write("end"));
    const std::string all = co_await receive(theirs, too_much() + 3);
    CHECK(all.ends_with("xend"));
    co_await second.close();
}

// Fan-out.

OURO_TEST_IO("one chunk for many is one block, in one send each") {
    if (auto* world = sim::world::current_or_null()) world->split_by(sim::splitting::whole);
    constexpr int subscribers = 50;
    std::vector<std::pair<stream, stream>> pairs;
    std::vector<writer> writers;
    for (int i = 0; i < subscribers; ++i) pairs.push_back(stream_pair());
    for (auto& pair : pairs) writers.emplace_back(pair.first);
    const auto blocks = block_pool::stats().live;
    open_block log(10'000);
    std::string expected;
    const auto before = submissions();
    for (int message = 0; message < 64; ++message) {
        const std::string line = "message " + std::to_string(message) + "\r\n";
        const std::size_t begin = log.used();
        log.append(std::as_bytes(std::span(line)));
        for (writer& out : writers) CHECK(out.write(log.share(begin, line.size())));
        expected += line;
    }
    for (writer& out : writers) co_await out.flush();
    CHECK(submissions() == before + subscribers);
    CHECK(block_pool::stats().live == blocks + 1);
    for (auto& pair : pairs) {
        const std::string seen = co_await receive(pair.second, expected.size());
        CHECK(seen == expected);
    }
    CHECK(log.unshared());
}

// Everything at once.

task<> random_writes(writer& out, std::string& model, sim::dice& chance) {
    open_block log(3000);
    std::size_t shared = 0;
    for (int step = 0; step < 150; ++step) {
        const std::size_t n = chance.one_in(10) ? chance.below(9000) : chance.below(60);
        const std::string text = numbered(n);
        switch (chance.below(8)) {
            case 0:
            case 1:
                CHECK(out.write(text));
                model += text;
                break;
            case 2:
            case 3: {  // a piece of a shared log, which often continues the last one
                if (log.free().size() < n) log = open_block(3000 + n), shared = 0;
                log.append(std::as_bytes(std::span(text)));
                if (chance.one_in(5)) shared = chance.below(log.used() + 1);
                const chunk piece = log.share(shared, log.used() - shared);
                shared = log.used();
                CHECK(out.write(piece));
                model += piece.text();
                break;
            }
            case 4: {
                const auto space = out.prepare(n + 1);
                REQUIRE(space.size() > n);
                std::memcpy(space.data(), text.data(), n);
                out.commit(n);
                model += text;
                break;
            }
            case 5: co_await yield(); break;
            case 6: co_await out.below_low(); break;
            case 7:
                if (chance.one_in(4)) co_await out.flush();
                break;
        }
    }
    co_await out.close();
}

task<std::string> read_at_random(stream& from, sim::dice& chance) {
    std::string all;
    std::vector<std::byte> space(1000);
    for (;;) {
        const std::size_t got =
            co_await from.recv(std::span(space).first(1 + chance.below(space.size())));
        if (got == 0) co_return all;
        all.append(reinterpret_cast<const char*>(space.data()), got);
        while (chance.one_in(3)) co_await yield();
    }
}

task<> random_story(std::uint64_t seed) {
    sim::dice writes(seed);
    sim::dice reads(seed + 1'000'000);
    auto [ours, theirs] = stream_pair();
    writer out(ours, {.high_bytes = 20'000, .low_bytes = writes.below(10'000)});
    std::string model;
    auto reading = spawn(read_at_random, std::ref(theirs), std::ref(reads));
    co_await random_writes(out, model, writes);
    co_await ours.close();
    const std::string seen = co_await reading;
    CHECK(seen == model);
}

OURO_TEST_IO("random writes of every kind arrive byte by byte as they were written") {
    const auto* world = sim::world::current_or_null();
    const std::uint64_t base = world ? world->seed() * 1000 : 1;
    const std::uint64_t stories = world ? 5 : 20;  // more of them with every seed
    for (std::uint64_t i = 0; i < stories; ++i) {
        CAPTURE(i);
        co_await random_story(base + i);
    }
    CHECK(block_pool::stats().live == 0);
}

task<> connection_torn_down() {
    auto [ours, theirs] = stream_pair();
    auto reading = spawn(count_to_end(std::move(theirs)));
    {
        stream own = std::move(ours);
        writer out(own, {.high_bytes = 10'000, .low_bytes = 1000});
        for (int i = 0; i < 10; ++i) {
            if (!out.write(chunk::copy_of(numbered(30'000)))) throw_error(errc::limit_exceeded);
            if (!out.write("and more")) throw_error(errc::limit_exceeded);
            co_await out.below_low();
        }
        co_await out.close();
    }
    if (co_await reading != 10 * 30'008) throw_error(errc::end_of_stream);
}

TEST_CASE("a connection with a writer can be cancelled anywhere") {
    const sweep_report report = cancel_everywhere_on_all(connection_torn_down);
    CHECK(report.points > 10);
    CHECK_MESSAGE(report.clean(), report.complaints);
    CHECK(block_pool::stats().live == 0);
}

struct counting_source final : net::writer_source {
    bool fill() noexcept override { return out->write(std::to_string(++count)) && count < 5; }
    writer* out = nullptr;
    int count = 0;
};

OURO_TEST_IO("a source is asked at the turn's end, and again behind each send while it has more") {
    auto [ours, theirs] = stream_pair();
    writer out(ours);
    counting_source source;
    source.out = &out;
    out.pull(source);
    CHECK(source.count == 0);
    const std::string got = co_await receive(theirs, 5);
    CHECK(got == "12345");
}

// Allocations.

std::uint64_t allocations = 0;

task<> fan_out_rounds(std::vector<writer>& writers, std::vector<std::pair<stream, stream>>& pairs,
                      int rounds) {
    std::array<std::byte, 1024> space;
    for (int round = 0; round < rounds; ++round) {
        const chunk message = chunk::copy_of("a message for everybody, and some more of it\r\n");
        for (writer& out : writers) {
            if (!out.write(message)) throw_error(out.error());
            if (!out.write("with a copy of this")) throw_error(out.error());
            for (int i = 0; i < 3; ++i)
                if (!out.write(message)) throw_error(out.error());
        }
        for (auto& pair : pairs) co_await pair.second.recv(space);
    }
}

OURO_TEST_IO("fan-out allocates nothing once it is warm") {
    std::vector<std::pair<stream, stream>> pairs;
    std::vector<writer> writers;
    for (int i = 0; i < 20; ++i) pairs.push_back(stream_pair());
    for (auto& pair : pairs) writers.emplace_back(pair.first);
    co_await fan_out_rounds(writers, pairs, 10);
    const auto before = allocations;
    // Whether a simulation allocates is not asked, so there it need not go on for long.
    co_await fan_out_rounds(writers, pairs, sim::world::current_or_null() ? 5 : 100);
    const auto made = allocations - before;
    if (!address_sanitizer && !sim::world::current_or_null()) CHECK(made == 0);
}

}  // namespace

[[gnu::noinline]] void* operator new(std::size_t size) {
    ++allocations;
    if (void* memory = std::malloc(size)) return memory;
    throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
