#include <ouro/net/bytes/reader.hpp>

#include <ouro/net/stream_pair.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>
#include <ouro/tests/sanitizer.hpp>

#include <optional>
#include <string>
#include <vector>

using namespace ouro;
using namespace std::chrono_literals;
using net::reader;
using net::reader_options;
using net::stream;
using net::stream_pair;

namespace {

using pieces = std::vector<std::string>;

pieces whole(std::string text) { return {std::move(text)}; }

pieces cut(const std::string& text, std::size_t at) {
    at = std::min(at, text.size());
    return {text.substr(0, at), text.substr(at)};
}

pieces bytes(const std::string& text) {
    pieces all;
    for (char c : text) all.emplace_back(1, c);
    return all;
}

/// Sends the pieces one by one, each after the one before has been digested, and closes.
task<> feed(stream to, pieces all) {
    for (const std::string& piece : all) {
        co_await to.send_all(piece);
        co_await settle();
    }
    co_await to.close();
}

/// Every line in quotes, then how it ended.
task<std::string> read_lines(stream from, reader_options options, std::size_t bytes_max) {
    reader in(from, options);
    std::string seen;
    for (;;) {
        auto line = co_await as_result(in.read_line(bytes_max));
        if (!line) {
            seen += line.error().message() + ": " + std::string(in.ready_text());
            break;
        }
        if (!*line) break;
        seen += '"' + std::string(**line) + '"';
    }
    co_return seen;
}

task<std::string> lines_of(pieces all, reader_options options = {},
                           std::size_t bytes_max = net::no_limit) {
    auto [ours, theirs] = stream_pair();
    auto feeding = spawn(feed(std::move(theirs), std::move(all)));
    std::string seen = co_await read_lines(std::move(ours), options, bytes_max);
    feeding.cancel();  // after an error it may find nobody who reads
    auto fed = co_await as_result(feeding);
    (void)fed;
    co_return seen;
}

task<std::string> limited_lines_of(pieces all, std::size_t bytes_max) {
    return lines_of(std::move(all), reader_options(), bytes_max);
}

OURO_TEST_IO("lines come without their ends, and nothing comes after the last") {
    CHECK(co_await lines_of(whole("one\r\ntwo\n\r\n\nfive\r\r\n")) ==
          "\"one\"\"two\"\"\"\"\"\"five\r\"");
    CHECK(co_await lines_of(pieces()) == "");
}

OURO_TEST("lines are the same wherever the stream is split") {
    const std::string text = "a\r\n\r\n\nlonger line\nb\r\n";
    const std::string expected = "\"a\"\"\"\"\"\"longer line\"\"b\"";
    for (std::size_t i = 0; i <= text.size(); ++i) {
        CAPTURE(i);
        const std::string seen = co_await lines_of(cut(text, i));
        CHECK(seen == expected);
    }
    CHECK(co_await lines_of(bytes(text)) == expected);
}

OURO_TEST("a line that arrives byte by byte resumes its reader once") {
    sim::world::current().split_by(sim::splitting::single_bytes);
    const std::string line(3000, 'x');
    const std::string seen = co_await lines_of(whole(line + "\r\n"));
    CHECK(seen == '"' + line + '"');
}

OURO_TEST("a stream that ends in the middle of a line leaves it readable") {
    CHECK(co_await lines_of(whole("one\r\ntw")) ==
          "\"one\"" + make_error_code(errc::end_of_stream).message() + ": tw");
    CHECK(co_await lines_of(whole("\r")) ==
          make_error_code(errc::end_of_stream).message() + ": \r");
}

OURO_TEST_IO("a last line without its end is a line where that is asked for, however it is split") {
    const reader_options as_in_files{.first_bytes = 4, .unended_last_line = true};
    const std::string text = "one\r\n\ntw";
    for (std::size_t i = 0; i <= text.size(); ++i) {
        CAPTURE(i);
        const std::string seen = co_await lines_of(cut(text, i), as_in_files);
        CHECK(seen == "\"one\"\"\"\"tw\"");
    }
    const std::string nothing = co_await lines_of(pieces(), as_in_files);
    CHECK(nothing == "");
    const std::string ended = co_await lines_of(whole("one\n"), as_in_files);
    CHECK(ended == "\"one\"");
    const std::string bare = co_await lines_of(whole("one\r"), as_in_files);
    CHECK(bare == "\"one\r\"");
}

OURO_TEST("a last line without its end has the same limits") {
    const std::string too_long = make_error_code(errc::limit_exceeded).message();
    const reader_options small{.first_bytes = 1, .bytes_max = 6, .unended_last_line = true};
    const std::string fits = co_await lines_of(whole("abcde"), small, 5);
    CHECK(fits == "\"abcde\"");
    const std::string longer = co_await lines_of(whole("abcdef"), small, 5);
    CHECK(longer == too_long + ": abcdef");
}

OURO_TEST("a line may be as long as its limit and not one byte longer, however it is split") {
    const std::string too_long = make_error_code(errc::limit_exceeded).message();
    for (const char* end : {"\n", "\r\n"}) {
        for (std::size_t split = 0; split <= 7; ++split) {
            CAPTURE(split);
            const std::string fits = std::string("abcde") + end;
            const std::string longer = std::string("abcdef") + end;
            const std::string first = co_await limited_lines_of(cut(fits, split), 5);
            CHECK(first == "\"abcde\"");
            const std::string second = co_await limited_lines_of(cut(longer, split), 5);
            CHECK(second.starts_with(too_long + ": abcdef"));
        }
    }
}

OURO_TEST("a line must fit into the buffer") {
    const reader_options small{.first_bytes = 1, .bytes_max = 8};
    const std::string too_long = make_error_code(errc::limit_exceeded).message();
    CHECK(co_await lines_of(whole("1234567\n123456\r\n"), small) == "\"1234567\"\"123456\"");
    CHECK(co_await lines_of(whole("12345678\n"), small) == too_long + ": 12345678");
}

OURO_TEST("after a line that is too long the same answer comes again, and it can be skipped") {
    auto [ours, theirs] = stream_pair();
    co_await theirs.send_all("much too long\nok\n");
    reader in(ours);
    for (int i = 0; i < 3; ++i) {
        auto line = co_await as_result(in.read_line(4));
        CHECK(line.error() == errc::limit_exceeded);
        CHECK_FALSE(in.try_line(4).has_value());
    }
    co_await in.read_until("\n");
    CHECK(co_await in.read_line(4) == "ok");
}

OURO_TEST("all lines that arrived together can be taken without awaiting") {
    auto [ours, theirs] = stream_pair();
    reader in(ours);
    CHECK_FALSE(in.try_line().has_value());
    co_await theirs.send_all("one\ntwo\nthree\nfo");
    while (in.ready().size() < 16) co_await in.read_some();
    CHECK(in.try_line() == "one");
    const auto two = in.try_line();
    const auto three = in.try_line();
    CHECK_FALSE(in.try_line().has_value());
    CHECK_FALSE(in.try_line().has_value());
    CHECK(two == "two");  // still valid: nothing was received
    CHECK(three == "three");
    CHECK(in.ready_text() == "fo");
    co_await theirs.send_all("ur\n");
    CHECK(co_await in.read_line() == "four");
}

OURO_TEST("a delimiter is found wherever the stream is split") {
    const std::string text = "head: 1\r\r\n\r\nbody\r\n\r\n";
    for (std::size_t i = 0; i <= text.size(); ++i) {
        CAPTURE(i);
        auto [ours, theirs] = stream_pair();
        auto feeding = spawn(feed(std::move(theirs), cut(text, i)));
        reader in(ours);
        const std::string head(co_await in.read_until("\r\n\r\n"));
        CHECK(head == "head: 1\r\r\n\r\n");
        const std::string body(co_await in.read_until("\r\n\r\n"));
        CHECK(body == "body\r\n\r\n");
        auto end = co_await as_result(in.read_until("\r\n\r\n"));
        CHECK(end.error() == errc::end_of_stream);
        CHECK(in.ready().empty());
        co_await feeding;
    }
}

OURO_TEST("the limit of read_until counts the delimiter") {
    for (std::size_t split = 0; split <= 6; ++split) {
        CAPTURE(split);
        const std::string text = "abcd\r\n";
        auto [ours, theirs] = stream_pair();
        auto feeding = spawn(feed(std::move(theirs), cut(text, split)));
        reader in(ours);
        auto refused = co_await as_result(in.read_until("\r\n", 5));
        CHECK(refused.error() == errc::limit_exceeded);
        const std::string taken(co_await in.read_until("\r\n", 6));
        CHECK(taken == text);
        co_await feeding;
    }
}

OURO_TEST("exactly so many bytes are taken, however they arrive") {
    const std::string text = "0123456789";
    for (std::size_t i = 0; i <= text.size(); ++i) {
        CAPTURE(i);
        auto [ours, theirs] = stream_pair();
        auto feeding = spawn(feed(std::move(theirs), cut(text, i)));
        reader in(ours);
        const auto none = co_await in.read_exactly(0);
        CHECK(none.empty());
        const auto four = co_await in.read_exactly(4);
        CHECK(std::string(reinterpret_cast<const char*>(four.data()), 4) == "0123");
        const auto six = co_await in.read_exactly(6);
        CHECK(std::string(reinterpret_cast<const char*>(six.data()), 6) == "456789");
        auto more = co_await as_result(in.read_exactly(1));
        CHECK(more.error() == errc::end_of_stream);
        co_await feeding;
    }
}

OURO_TEST("more than the buffer may hold is refused before anything is awaited") {
    auto [ours, theirs] = stream_pair();
    reader in(ours, {.first_bytes = 16, .bytes_max = 100});
    auto refused = co_await as_result(in.read_exactly(101));
    CHECK(refused.error() == errc::limit_exceeded);
    co_await theirs.send_all(std::string(100, 'x'));
    const auto all = co_await in.read_exactly(100);
    CHECK(all.size() == 100);
}

OURO_TEST_IO("read_some adds to what is ready and answers 0 at the end, again and again") {
    auto [ours, theirs] = stream_pair();
    reader in(ours);
    co_await theirs.send_all("abc");
    std::size_t got = 0;
    while (got < 3) got += co_await in.read_some();
    co_await theirs.send_all("de");
    while (got < 5) got += co_await in.read_some();
    CHECK(in.ready_text() == "abcde");
    in.consume(2);
    CHECK_FALSE(in.ended());
    co_await theirs.close();
    CHECK(co_await in.read_some() == 0);
    CHECK(co_await in.read_some() == 0);
    CHECK(in.ended());
    CHECK(in.ready_text() == "cde");
}

OURO_TEST("read_some refuses when the buffer is full") {
    auto [ours, theirs] = stream_pair();
    reader in(ours, {.first_bytes = 4, .bytes_max = 4});
    co_await theirs.send_all("abcdef");
    while (in.ready().size() < 4) co_await in.read_some();
    auto refused = co_await as_result(in.read_some());
    CHECK(refused.error() == errc::limit_exceeded);
    in.consume(4);
    co_await in.read_exactly(2);
}

task<std::string> one_line(reader& in) {
    auto line = co_await in.read_line();
    co_return std::string(line.value_or("end"));
}

OURO_TEST_IO("a read that is cancelled or timed out loses nothing") {
    auto [ours, theirs] = stream_pair();
    reader in(ours);
    co_await theirs.send_all("half a ");
    auto reading = spawn(one_line(in));
    co_await settle();
    reading.cancel();
    auto cancelled = co_await as_result(reading);
    CHECK(cancelled.error() == errc::cancelled);
    auto late = co_await as_result(timeout(1ms, in.read_line()));
    CHECK(late.error() == errc::timed_out);
    co_await theirs.send_all("line\n");
    CHECK(co_await one_line(in) == "half a line");
}

task<> read_in_cancelled_chain(reader& in, std::string& seen) {
    auto slept = co_await as_result(sleep_for(1h));
    auto line = co_await as_result(in.read_line());
    seen = line.error().message();
    if (auto taken = in.try_line()) seen += ": " + std::string(*taken);
    (void)slept;
}

OURO_TEST("a cancelled chain is refused even what is there, and leaves it") {
    auto [ours, theirs] = stream_pair();
    reader in(ours);
    co_await theirs.send_all("one\n");
    while (in.ready().size() < 4) co_await in.read_some();
    std::string seen;
    auto reading = spawn(read_in_cancelled_chain, std::ref(in), std::ref(seen));
    co_await settle();
    reading.cancel();
    co_await reading;
    CHECK(seen == make_error_code(errc::cancelled).message() + ": one");
}

task<> touch(stream& ours, std::string& seen) {
    reader in(ours);
    auto line = co_await as_result(in.read_line());
    seen = line ? "a line" : line.error().message();
}

OURO_TEST_IO("closing the stream ends the read") {
    auto [ours, theirs] = stream_pair();
    std::string seen;
    auto reading = spawn(touch, std::ref(ours), std::ref(seen));
    co_await theirs.send_all("unfinished");
    co_await settle();
    co_await ours.close();
    co_await reading;
    CHECK(seen == make_error_code(errc::cancelled).message());
}

task<> count_yields(bool& stop, int& turns) {
    while (!stop) {
        ++turns;
        co_await yield();
    }
}

OURO_TEST("a task that finds line after line in the buffer yields now and then") {
    auto [ours, theirs] = stream_pair();
    reader in(ours);
    std::string text;
    for (int i = 0; i < 1000; ++i) text += "x\n";
    co_await theirs.send_all(text);
    while (in.ready().size() < text.size()) co_await in.read_some();
    bool stop = false;
    int turns = 0;
    auto other = spawn(count_yields, std::ref(stop), std::ref(turns));
    for (int i = 0; i < 1000; ++i) co_await in.read_line();
    stop = true;
    CHECK(turns > 2);
    CHECK(turns < 1000);
    co_await other;
}

OURO_TEST("a busy stream makes the buffer grow, and an idle one costs nothing after warm-up") {
    auto [ours, theirs] = stream_pair();
    reader in(ours, {.first_bytes = 16, .bytes_max = 4096});
    const auto round = [&]() -> task<> {
        for (int i = 0; i < 100; ++i) {
            co_await theirs.send_all("a line of some length\r\n");
            co_await in.read_line();
        }
    };
    co_await round();
    const auto asked = frame_pool::stats().from_system;
    co_await round();
    if (!address_sanitizer) CHECK(frame_pool::stats().from_system == asked);
}

task<> sweep_scenario() {
    auto [ours, theirs] = stream_pair();
    const pieces all{"on", "e\r", "\ntwo\nexa", "ctly"};
    auto feeding = spawn(feed(std::move(theirs), all));
    reader in(ours);
    auto one = co_await in.read_line();
    if (one != "one") throw_error(std::make_error_code(std::errc::bad_message));
    auto two = co_await in.read_until("\n");
    if (two != "two\n") throw_error(std::make_error_code(std::errc::bad_message));
    co_await in.read_exactly(7);
    if (co_await in.read_some() != 0) throw_error(std::make_error_code(std::errc::bad_message));
    co_await feeding;
}

TEST_CASE("reads can be cancelled anywhere") {
    const sweep_report report = cancel_everywhere_on_all(sweep_scenario);
    CHECK(report.points > 5);
    CHECK_MESSAGE(report.clean(), report.complaints);
}

/// Random reads of random bytes, against a model that is a string.
task<> random_reads(std::uint64_t seed) {
    sim::dice chance(seed);
    std::string text;
    for (std::size_t i = 0, n = 200 + chance.below(3000); i < n; ++i)
        text += "ab\r\n\n"[chance.below(5)];
    pieces all;
    for (std::size_t at = 0; at < text.size(); at += all.back().size())
        all.push_back(text.substr(at, 1 + chance.below(chance.one_in(3) ? 400 : 20)));
    auto [ours, theirs] = stream_pair();
    auto feeding = spawn(feed(std::move(theirs), std::move(all)));
    reader in(ours, {.first_bytes = 1 + chance.below(100), .bytes_max = 50 + chance.below(400)});
    std::size_t at = 0;
    for (bool going = true; going;) {
        const std::string_view left = std::string_view(text).substr(at);
        switch (chance.below(4)) {
            case 0: {
                auto line = co_await as_result(in.read_line());
                if (line && *line) {
                    const std::size_t end = left.find('\n');
                    REQUIRE(end != std::string_view::npos);
                    REQUIRE(net::without_line_end(left.substr(0, end + 1)) == **line);
                    at += end + 1;
                } else if (line) {
                    going = false;
                } else {
                    const bool cut = line.error() == errc::end_of_stream;
                    if (cut) REQUIRE(left.find('\n') == std::string_view::npos);
                    going = !cut;
                }
                break;
            }
            case 1: {
                auto part = co_await as_result(in.read_until("\r\n"));
                if (part) {
                    const std::size_t end = left.find("\r\n");
                    REQUIRE(left.substr(0, end + 2) == *part);
                    at += end + 2;
                } else if (part.error() == errc::end_of_stream) {
                    REQUIRE(left.find("\r\n") == std::string_view::npos);
                    REQUIRE(in.ready_text() == left);
                    going = false;
                }
                break;
            }
            case 2: {
                const std::size_t n = chance.below(40);
                auto part = co_await as_result(in.read_exactly(n));
                if (part) {
                    REQUIRE(left.substr(0, n) ==
                            std::string_view(reinterpret_cast<const char*>(part->data()), n));
                    at += n;
                } else {
                    REQUIRE(part.error() == errc::end_of_stream);
                    REQUIRE(left.size() < n);
                    going = false;
                }
                break;
            }
            case 3: {
                auto some = co_await as_result(in.read_some());
                REQUIRE(left.starts_with(in.ready_text()));
                if (some.error() == errc::limit_exceeded) {
                    const std::size_t n = in.ready().size();
                    in.consume(n);
                    at += n;
                }
                break;
            }
        }
    }
    co_await ours.close();
    feeding.cancel();
    auto fed = co_await as_result(feeding);
    (void)fed;
}

OURO_TEST("random reads take every byte once and in order") {
    const std::uint64_t base = sim::world::current().seed() * 1000;
    for (std::uint64_t i = 0; i < 30; ++i) {
        CAPTURE(i);
        co_await random_reads(base + i);
    }
}

OURO_TEST("the memory of a huge piece is given back when it has been taken") {
    auto [ours, theirs] = net::stream_pair();
    net::reader in(ours, {.bytes_max = 8 << 20});
    const std::string huge(4 << 20, 'x');
    auto sending = spawn(
        [](net::stream& to, const std::string& bytes) -> task<> { co_await to.send_all(bytes); },
        std::ref(theirs), std::cref(huge));
    const auto got = co_await in.read_exactly(huge.size());
    CHECK(got.size() == huge.size());
    CHECK(in.memory_bytes() >= huge.size());
    co_await sending;
    auto next = spawn([](net::reader& from) -> task<> { co_await from.read_some(); }, std::ref(in));
    co_await settle();
    CHECK(in.memory_bytes() <= 512 * 1024);
    co_await theirs.send_all("y");
    co_await next;
}

}  // namespace
