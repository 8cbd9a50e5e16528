// Many subscribers of one publisher: block_reader and writer as a pub/sub server uses them.
#include <ouro/net/bytes/block_reader.hpp>
#include <ouro/net/bytes/reader.hpp>
#include <ouro/net/bytes/writer.hpp>
#include <ouro/net/stream_pair.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/testing/doctest.hpp>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

using namespace ouro;
using net::block_pool;
using net::block_reader;
using net::chunk;
using net::stream;
using net::stream_pair;
using net::writer;

namespace {

struct channel {
    std::vector<writer*> subscribers;
    std::uint64_t lines = 0;

    void send(const chunk& batch) {
        for (writer* out : subscribers)
            if (!out->write(batch)) CHECK(out->error());
    }
    writer* slow() {
        const auto found =
            std::ranges::find_if(subscribers, [](writer* out) { return out->above_high(); });
        return found == subscribers.end() ? nullptr : *found;
    }
};

task<> publish(stream from, channel& to) {
    block_reader in(from);
    while (chunk batch = co_await in.read_line()) {
        ++to.lines;
        while (chunk line = in.try_line()) {  // whatever came with the same receive
            ++to.lines;
            if (batch.extend(line)) continue;
            to.send(batch);
            batch = std::move(line);
        }
        to.send(batch);
        while (writer* slow = to.slow()) {
            auto waited = co_await as_result(slow->below_low());
            if (waited.error() == errc::cancelled) throw_error(errc::cancelled);
        }
    }
}

task<> subscribe(stream to, channel& at) {
    writer out(to, {.high_bytes = 20'000, .low_bytes = 5'000});
    at.subscribers.push_back(&out);
    std::array<std::byte, 16> ignored;
    auto ended = co_await as_result(to.recv(ignored));
    std::erase(at.subscribers, &out);
    if (ended) co_await out.close();
}

task<> send_lines(stream to, int count) {
    std::string some;
    for (int i = 0; i < count; ++i) {
        some += "message number " + std::to_string(i) + "\r\n";
        if (some.size() < 1000 && i + 1 < count) continue;
        co_await to.send_all(some);
        some.clear();
    }
    co_await to.close();
}

task<std::uint64_t> check_lines(stream& from, int count, sim::dice chance) {
    net::reader in(from);
    int next = 0;
    while (next < count) {
        auto line = co_await in.read_line(100);
        if (!line || *line != "message number " + std::to_string(next)) break;
        ++next;
        while (chance.one_in(5)) co_await yield();
    }
    co_return next;
}

OURO_TEST_IO("every subscriber receives every line in order, and all blocks come back") {
    const auto blocks = block_pool::stats().live;
    constexpr int count = 3000;
    channel topic;
    std::vector<stream> ends;
    std::vector<join_handle<void>> serving;
    std::vector<join_handle<std::uint64_t>> reading;
    for (int i = 0; i < 7; ++i) {
        auto [ours, theirs] = stream_pair();
        serving.push_back(spawn(subscribe(std::move(ours), topic)));
        ends.push_back(std::move(theirs));
    }
    co_await settle();
    for (std::uint64_t i = 0; i < ends.size(); ++i)
        reading.push_back(spawn(check_lines(ends[i], count, sim::dice(i + 1))));
    auto [ours, theirs] = stream_pair();
    auto publishing = spawn(publish(std::move(ours), topic));
    co_await send_lines(std::move(theirs), count);
    co_await publishing;
    CHECK(topic.lines == count);
    for (auto& one : reading) CHECK(co_await one == count);
    ends.clear();
    for (auto& one : serving) co_await one;
    CHECK(topic.subscribers.empty());
    CHECK(block_pool::stats().live == blocks);
}

OURO_TEST_IO("a subscriber that does not read holds the publisher back until it goes") {
    channel topic;
    auto [slow_end, slow] = stream_pair();
    auto [quick_end, quick] = stream_pair();
    auto serving_slow = spawn(subscribe(std::move(slow_end), topic));
    auto serving_quick = spawn(subscribe(std::move(quick_end), topic));
    co_await settle();
    constexpr int count = 40'000;
    auto reading = spawn(check_lines(quick, count, sim::dice(1)));
    auto [ours, theirs] = stream_pair();
    auto publishing = spawn(publish(std::move(ours), topic));
    auto sending = spawn(send_lines(std::move(theirs), count));
    while (!topic.slow()) co_await yield();
    co_await settle();
    const auto held = topic.lines;
    co_await settle();
    CHECK(topic.lines == held);
    CHECK(held < count);
    CHECK(topic.slow()->pending_bytes() < 100'000);
    co_await slow.close();
    co_await sending;
    co_await publishing;
    CHECK(topic.lines == count);
    CHECK(co_await reading == count);
    co_await quick.close();
    co_await serving_slow;
    co_await serving_quick;
}

}  // namespace
