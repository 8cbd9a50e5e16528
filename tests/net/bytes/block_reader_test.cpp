#include <ouro/net/bytes/block_reader.hpp>

#include <ouro/net/bytes/reader.hpp>
#include <ouro/net/stream_pair.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/engine/executor.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/tests/runtime/io/real_reactors.hpp>

#include <string>
#include <vector>

using namespace ouro;
using net::block_pool;
using net::block_reader;
using net::block_reader_options;
using net::chunk;
using net::stream;
using net::stream_pair;

namespace {

using pieces = std::vector<std::string>;

pieces whole(std::string text) { return {std::move(text)}; }

pieces cut(const std::string& text, std::size_t at) {
    at = std::min(at, text.size());
    return {text.substr(0, at), text.substr(at)};
}

task<> feed(stream to, pieces all) {
    for (const std::string& piece : all) {
        co_await to.send_all(piece);
        co_await settle();
    }
    co_await to.close();
}

task<std::string> lines_of(pieces all, block_reader_options options = {}) {
    auto [ours, theirs] = stream_pair();
    auto feeding = spawn(feed(std::move(theirs), std::move(all)));
    block_reader in(ours, options);
    std::string seen;
    for (;;) {
        auto line = co_await as_result(in.read_line());
        if (!line) {
            seen += line.error().message() + ": " + std::string(in.ready_text());
            break;
        }
        if (!*line) break;
        seen += '"' + std::string(net::without_line_end(line->text())) + '"';
    }
    feeding.cancel();
    auto fed = co_await as_result(feeding);
    (void)fed;
    co_return seen;
}

task<std::size_t> fill_once(block_reader& in) { co_return co_await in.fill(); }

OURO_TEST_IO("lines are the same wherever the stream is split") {
    const std::string text = "a\r\n\r\n\nlonger line\nb\r\n";
    const std::string expected = "\"a\"\"\"\"\"\"longer line\"\"b\"";
    const block_reader_options tiny{.first_bytes = 8};
    for (std::size_t i = 0; i <= text.size(); ++i) {
        CAPTURE(i);
        const std::string seen = co_await lines_of(cut(text, i), tiny);
        CHECK(seen == expected);
    }
}

OURO_TEST("a line may be as long as the limit and not one byte longer") {
    const block_reader_options small{.first_bytes = 1, .bytes_max = 8};
    const std::string too_long = make_error_code(errc::limit_exceeded).message();
    const std::string cut = make_error_code(errc::end_of_stream).message();
    CHECK(co_await lines_of(whole("1234567\n123456\r\n"), small) == "\"1234567\"\"123456\"");
    CHECK(co_await lines_of(whole("12345678\n"), small) == too_long + ": 12345678");
    CHECK(co_await lines_of(whole("ok\n1234567"), small) == "\"ok\"" + cut + ": 1234567");
    CHECK(co_await lines_of(pieces(), small) == "");
}

OURO_TEST_IO("a last line without its end is a line where that is asked for, however it is split") {
    const block_reader_options as_in_files{.first_bytes = 4, .unended_last_line = true};
    const std::string text = "one\r\n\ntw";
    for (std::size_t i = 0; i <= text.size(); ++i) {
        CAPTURE(i);
        const std::string seen = co_await lines_of(cut(text, i), as_in_files);
        CHECK(seen == "\"one\"\"\"\"tw\"");
    }
    const std::string nothing = co_await lines_of(pieces(), as_in_files);
    CHECK(nothing == "");
}

OURO_TEST("lines longer than a block are put together") {
    pieces all;
    std::string expected;
    for (std::size_t n : {1000, 20'000, 3, 60'000, 16'384}) {
        all.push_back(std::string(n, 'x') + "\n");
        expected += '"' + std::string(n, 'x') + '"';
    }
    const std::string seen = co_await lines_of(all);
    CHECK(seen == expected);
}

OURO_TEST_IO("lines that arrived together are one chunk, and stay when the reader is gone") {
    const auto live = block_pool::stats().live;
    chunk batch;
    auto [ours, theirs] = stream_pair();
    {
        co_await theirs.send_all("one\ntwo\nthree\nfo");
        block_reader in(ours);
        while (in.ready().size() < 16) co_await in.fill();
        while (chunk line = in.try_line()) CHECK(batch.extend(line));
        CHECK(in.ready_text() == "fo");
    }
    CHECK(batch.text() == "one\ntwo\nthree\n");
    CHECK(block_pool::stats().live == live + 1);
    batch = chunk();
    CHECK(block_pool::stats().live == live);
}

OURO_TEST("what is held stays as it was while the reader goes on") {
    pieces all;
    for (int i = 0; i < 500; ++i) all.push_back("line number " + std::to_string(i) + "\n");
    auto [ours, theirs] = stream_pair();
    auto feeding = spawn(feed(std::move(theirs), all));
    block_reader in(ours, {.first_bytes = 100});
    std::vector<chunk> held;
    for (;;) {
        chunk line = co_await in.read_line();
        if (!line) break;
        held.push_back(std::move(line));
    }
    REQUIRE(held.size() == all.size());
    for (std::size_t i = 0; i < held.size(); ++i) CHECK(held[i].text() == all[i]);
    co_await feeding;
}

OURO_TEST("a block that nobody shares is used again") {
    const auto live = block_pool::stats().live;
    auto [ours, theirs] = stream_pair();
    block_reader in(ours);
    const std::byte* first = nullptr;
    for (int i = 0; i < 300; ++i) {
        co_await theirs.send_all("a line that nobody keeps\n");
        const chunk line = co_await in.read_line();
        if (i == 0) first = line.data();
        CHECK(line.data() == first);
        CHECK(block_pool::stats().live == live + 1);
    }
}

OURO_TEST("a stream that fills its block gets larger ones, and full ones come from the pool") {
    auto [ours, theirs] = stream_pair();
    block_reader in(ours, {.first_bytes = 64});
    for (int i = 0; i < 200; ++i) {
        co_await theirs.send_all(std::string(2000, 'x'));
        for (std::size_t left = 2000; left > 0;) {
            if (in.ready().empty()) co_await in.fill();
            left -= in.take(in.ready().size()).size();
        }
    }
    CHECK(block_pool::stats().live <= 2);
}

/// On a ring, too, what filled the space is followed by a look at whether more is there.
task<> the_rest_comes_in_the_same_turn() {
    auto [ours, theirs] = stream_pair();
    block_reader in(ours, {.first_bytes = 64});
    co_await theirs.send_all(std::string(100, 'x'));
    co_await in.fill();
    const std::size_t first = in.ready().size();
    CHECK(first < 100);
    const auto turns = executor::current().stats().turns;
    co_await in.fill();
    CHECK(in.ready().size() == 100);
    CHECK(executor::current().stats().turns == turns);
    auto waiting = spawn(fill_once(in));  // nothing is there: it waits as ever
    co_await yield();
    co_await theirs.send_all("y");
    CHECK(co_await std::move(waiting) == 1);
}

TEST_CASE("when a receive fills its space, the rest is had in the same turn") {
    testing::on_real(the_rest_comes_in_the_same_turn);
}

OURO_TEST_IO("fill adds to what is ready and answers 0 at the end, again and again") {
    auto [ours, theirs] = stream_pair();
    block_reader in(ours, {.bytes_max = 5});
    co_await theirs.send_all("abcdef");
    while (in.ready().size() < 5) co_await in.fill();
    CHECK(in.ready_text() == "abcde");
    auto refused = co_await as_result(in.fill());
    CHECK(refused.error() == errc::limit_exceeded);
    CHECK(in.take(4).text() == "abcd");
    in.consume(1);
    co_await in.fill();
    CHECK(in.ready_text() == "f");
    co_await theirs.close();
    CHECK(co_await in.fill() == 0);
    CHECK(co_await in.fill() == 0);
    CHECK(in.ended());
    CHECK(in.ready_text() == "f");
}

task<> sweep_scenario() {
    auto [ours, theirs] = stream_pair();
    const pieces all{"on", "e\r", "\ntwo\nexa", "ctly"};
    auto feeding = spawn(feed(std::move(theirs), all));
    block_reader in(ours, {.first_bytes = 4});
    const chunk one = co_await in.read_line();
    const chunk two = co_await in.read_line();
    while (co_await in.fill() != 0) continue;
    const bool right =
        one.text() == "one\r\n" && two.text() == "two\n" && in.ready_text() == "exactly";
    if (!right) throw_error(std::make_error_code(std::errc::bad_message));
    co_await feeding;
}

TEST_CASE("reads into blocks can be cancelled anywhere") {
    const sweep_report report = cancel_everywhere_on_all(sweep_scenario);
    CHECK(report.points > 5);
    CHECK_MESSAGE(report.clean(), report.complaints);
    CHECK(block_pool::stats().live == 0);
}

task<> random_lines(std::uint64_t seed) {
    sim::dice chance(seed);
    std::string text;
    for (std::size_t i = 0, n = 200 + chance.below(5000); i < n; ++i)
        text += chance.one_in(10) ? '\n' : static_cast<char>('a' + chance.below(26));
    text += '\n';
    pieces all;
    for (std::size_t at = 0; at < text.size(); at += all.back().size())
        all.push_back(text.substr(at, 1 + chance.below(chance.one_in(3) ? 900 : 20)));
    auto [ours, theirs] = stream_pair();
    auto feeding = spawn(feed(std::move(theirs), std::move(all)));
    block_reader in(ours, {.first_bytes = 1 + chance.below(300), .bytes_max = 1000});
    std::vector<chunk> held;
    for (;;) {
        chunk line = co_await in.read_line();
        if (!line) break;
        if (held.empty() || !held.back().extend(line)) held.push_back(std::move(line));
        while (chunk more = in.try_line())
            if (!held.back().extend(more)) held.push_back(std::move(more));
    }
    std::string seen;
    for (const chunk& piece : held) seen += piece.text();
    CHECK(seen == text);
    co_await feeding;
}

OURO_TEST("random lines come through whole and in order") {
    const std::uint64_t base = sim::world::current().seed() * 1000;
    for (std::uint64_t i = 0; i < 20; ++i) {
        CAPTURE(i);
        co_await random_lines(base + i);
    }
}

}  // namespace
