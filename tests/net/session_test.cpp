#include <ouro/net/session.hpp>

#include <ouro/net/stream_pair.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/sim/doctest.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>

#include <charconv>
#include <optional>
#include <string>
#include <vector>

using namespace ouro;
using namespace std::chrono_literals;
using net::fate;
using net::session_options;
using net::stream;

namespace {

// A protocol of lines: "7\n" is a request, and "7\n" its reply; "7 3\n" has three of them.
class ask : public net::exchange {
public:
    ask(net::session& on, int number, std::uint32_t replies = 1)
        : exchange(on, replies), number_(number) {
        line_ = std::to_string(number);
        if (replies > 1) line_ += ' ' + std::to_string(replies);
        line_ += '\n';
    }
    using exchange::be_patient;
    using exchange::repeat;

    result<int> await_result() const {
        if (error_) return error_;
        return got_;
    }
    int await_resume() const { return await_result().value(); }

    void take(int number) {
        CHECK(number == number_);  // nobody ever sees another one's reply
        got_ += 1;
    }
    fate how_far = fate::answered;

private:
    std::span<const std::byte> encoded() const noexcept override {
        return std::as_bytes(std::span(line_));
    }
    void failed(std::error_code why, fate far) noexcept override {
        CHECK(!error_);
        error_ = why;
        how_far = far;
    }

    int number_;
    std::string line_;
    int got_ = 0;
    std::error_code error_;
};

class line_session final : public net::session {
public:
    explicit line_session(const session_options& options = {}) : session(options) {}
    ~line_session() { stop(errc::closed); }
    using session::fail_queued;
    using session::give_up;
    using session::serve;
    using session::set_trouble;
    using session::stop;

private:
    result<std::size_t> take(std::span<const std::byte> ready) override {
        const std::string_view text(reinterpret_cast<const char*>(ready.data()), ready.size());
        std::size_t used = 0;
        for (;;) {
            const std::size_t end = text.find('\n', used);
            if (end == std::string_view::npos) return used;
            if (!expecting()) return make_error_code(std::errc::protocol_error);
            int number = 0;
            std::from_chars(text.data() + used, text.data() + end, number);
            if (auto* const who = static_cast<ask*>(next())) who->take(number);
            took_reply();
            used = end + 1;
        }
    }
};

/// Answers requests until the connection ends, or `limit` bytes have been sent; then it closes.
task<int> answer(stream client, std::size_t limit = ~std::size_t{0}) {
    net::reader in(client);
    int requests = 0;
    for (;;) {
        auto line = co_await as_result(in.read_line());
        if (!line || !*line) break;
        ++requests;
        const std::string text(**line);
        const std::size_t blank = text.find(' ');
        const int times = blank == text.npos ? 1 : std::stoi(text.substr(blank));
        std::string reply;
        for (int i = 0; i < times; ++i) reply += text.substr(0, blank) + "\n";
        reply.resize(std::min(reply.size(), limit));
        limit -= reply.size();
        auto sent = co_await as_result(client.send_all(reply));
        if (!sent || limit == 0) break;
    }
    co_await client.close();
    co_return requests;
}

/// Serves one connection whose other end answers; returns what ended it.
task<std::error_code> serve_once(line_session& on, std::size_t limit = ~std::size_t{0}) {
    auto [ours, theirs] = net::stream_pair();
    auto server = spawn(answer(std::move(theirs), limit));
    net::reader in(ours);
    const std::error_code why = co_await on.serve(ours, in);
    co_await ours.close();
    static_cast<void>(co_await as_result(server));
    co_return why;
}

struct outcome {
    result<int> got;
    fate how_far;
};
task<outcome> ask_once(line_session& on, int number, std::uint32_t replies = 1,
                       std::uint8_t repeats = 0) {
    ask one(on, number, replies);
    one.repeat(repeats);
    auto got = co_await as_result(one);
    co_return outcome{got, one.how_far};
}

OURO_TEST_IO("what is asked in one turn leaves in one send, and each gets its reply") {
    line_session on;
    auto serving = spawn(serve_once(on));
    std::vector<join_handle<outcome>> asked;
    for (int i = 0; i < 100; ++i)
        asked.push_back(spawn(ask_once(on, i, static_cast<std::uint32_t>(1 + i % 3))));
    for (int i = 0; i < 100; ++i) {
        const outcome each = co_await asked[static_cast<std::size_t>(i)];
        CHECK(each.got.value_or(-1) == 1 + i % 3);
    }
    // A turn has a limit in time, which only a simulated one cannot reach.
    if (sim::world::current_or_null()) CHECK(on.figures().batches == 1);
    CHECK(on.figures().requests == 100);
    CHECK(on.in_flight() == 0);
    on.give_up(errc::closed);
    CHECK(co_await serving == errc::closed);
}

OURO_TEST("a request that is cancelled before it is sent never leaves") {
    line_session on;
    auto first = spawn(ask_once(on, 1));
    auto second = spawn(ask_once(on, 2));
    co_await settle();
    CHECK(on.queued() == 2);
    first.cancel();
    const outcome gone = co_await first;
    CHECK(gone.got.error() == errc::cancelled);
    CHECK(gone.how_far == fate::unsent);
    CHECK(on.queued() == 1);
    auto serving = spawn(serve_once(on));
    const outcome there = co_await second;
    CHECK(there.got.value_or(0) == 1);
    CHECK(on.figures().requests == 1);
    on.give_up(errc::closed);
    co_await serving;
}

OURO_TEST("the reply of a request that was cancelled after sending is dropped") {
    line_session on;
    auto [ours, theirs] = net::stream_pair();
    net::reader in(ours);
    auto serving = spawn(on.serve(ours, in));
    auto first = spawn(ask_once(on, 1, 2));
    co_await settle();
    auto second = spawn(ask_once(on, 2));
    co_await settle();
    CHECK(on.in_flight() == 2);
    first.cancel();
    const outcome gone = co_await first;
    CHECK(gone.got.error() == errc::cancelled);
    CHECK(gone.how_far == fate::unanswered);
    CHECK(on.in_flight() == 2);  // the slot stays
    co_await theirs.send_all("1\n1\n2\n");
    const outcome there = co_await second;
    CHECK(there.got.value_or(0) == 1);
    CHECK(on.figures().dropped == 2);
    on.give_up(errc::closed);
    co_await serving;
}

OURO_TEST("an unexpected reply ends the connection") {
    line_session on;
    auto [ours, theirs] = net::stream_pair();
    net::reader in(ours);
    co_await theirs.send_all("5\n");
    CHECK(co_await on.serve(ours, in) == std::errc::protocol_error);
}

OURO_TEST("when a connection ends, each learns how far its request had come") {
    // Three requests with replies of two bytes each; the server stops at every byte.
    for (std::size_t limit = 1; limit <= 6; ++limit) {
        line_session on;
        std::vector<join_handle<outcome>> asked;
        for (int i = 1; i <= 3; ++i) asked.push_back(spawn(ask_once(on, i)));
        co_await settle();
        const std::error_code why = co_await serve_once(on, limit);
        CHECK(why);
        CHECK(on.in_flight() == 0);
        on.stop(errc::closed);
        for (std::size_t i = 0; i < 3; ++i) {
            const outcome each = co_await asked[i];
            CAPTURE(limit);
            CAPTURE(i);
            if (limit >= 2 * (i + 1)) {
                CHECK(each.got.value_or(0) == 1);
            } else {
                CHECK(!each.got);
            }
        }
    }
}

OURO_TEST("what may be repeated and what was not sent goes out on the next connection, in order") {
    line_session on;
    std::string order;
    auto [ours, theirs] = net::stream_pair();
    net::reader in(ours);
    auto serving = spawn(on.serve(ours, in));
    auto read = spawn(ask_once(on, 1, 1, 1));  // may be repeated
    auto write = spawn(ask_once(on, 2));       // may not
    auto read_again = spawn(ask_once(on, 3, 1, 1));
    co_await settle();
    CHECK(on.in_flight() == 3);
    co_await theirs.close();
    CHECK(co_await serving);
    const outcome lost = co_await write;
    CHECK(!lost.got);
    CHECK(lost.how_far == fate::unanswered);
    CHECK(on.queued() == 2);
    auto late = spawn(ask_once(on, 4));
    co_await settle();

    auto [again, peer] = net::stream_pair();
    net::reader in_again(again);
    auto serving_again = spawn(on.serve(again, in_again));
    net::reader requests(peer);
    for (const char* expected : {"1", "3", "4"}) {
        const auto line = co_await requests.read_line();
        REQUIRE(line);
        CHECK(*line == expected);
        const std::string reply = std::string(*line) + "\n";
        co_await peer.send_all(reply);
    }
    const outcome first = co_await read;
    const outcome third = co_await read_again;
    const outcome fourth = co_await late;
    CHECK(first.got.value_or(0) == 1);
    CHECK(third.got.value_or(0) == 1);
    CHECK(fourth.got.value_or(0) == 1);
    CHECK(on.figures().repeated == 2);
    on.give_up(errc::closed);
    co_await serving_again;
}

OURO_TEST("a request is repeated once and then told that it got no answer") {
    line_session on;
    auto read = spawn(ask_once(on, 1, 1, 1));
    co_await settle();
    for (int connection = 0; connection < 2; ++connection) {
        auto [ours, theirs] = net::stream_pair();
        net::reader in(ours);
        auto serving = spawn(on.serve(ours, in));
        co_await settle();
        CHECK(on.in_flight() == 1);
        co_await theirs.close();
        co_await serving;
    }
    const outcome given_up = co_await read;
    CHECK(!given_up.got);
    CHECK(given_up.how_far == fate::unanswered);
}

OURO_TEST("a reply that had begun is not asked for again") {
    line_session on;
    auto read = spawn(ask_once(on, 1, 2, 1));
    co_await settle();
    CHECK(co_await serve_once(on, 2) == errc::end_of_stream);  // one of two
    const outcome half = co_await read;
    CHECK(!half.got);
    CHECK(half.how_far == fate::unanswered);
}

OURO_TEST("the queue has a limit, and one more is refused") {
    line_session on({.queued_max = 3});
    std::vector<join_handle<outcome>> asked;
    for (int i = 0; i < 3; ++i) asked.push_back(spawn(ask_once(on, i)));
    co_await settle();
    const outcome refused = co_await ask_once(on, 3);
    CHECK(refused.got.error() == errc::overloaded);
    CHECK(refused.how_far == fate::unsent);
    auto serving = spawn(serve_once(on));
    for (auto& each : asked) {
        const outcome answered = co_await each;
        CHECK(answered.got.has_value());
    }
    on.give_up(errc::closed);
    co_await serving;
}

OURO_TEST("no more than in_flight_max requests are on their way") {
    line_session on({.in_flight_max = 4});
    auto [ours, theirs] = net::stream_pair();
    net::reader in(ours);
    auto serving = spawn(on.serve(ours, in));
    std::vector<join_handle<outcome>> asked;
    for (int i = 0; i < 20; ++i) asked.push_back(spawn(ask_once(on, i)));
    co_await settle();
    CHECK(on.in_flight() == 4);
    CHECK(on.queued() == 16);
    auto server = spawn(answer(std::move(theirs)));
    for (auto& each : asked) {
        const outcome answered = co_await each;
        CHECK(answered.got.has_value());
    }
    on.give_up(errc::closed);
    co_await serving;
    co_await ours.close();
    CHECK(co_await server == 20);
}

OURO_TEST("requests of many batches all come through, whatever the size of a batch") {
    line_session on({.batch_bytes = 7});
    auto serving = spawn(serve_once(on));
    std::vector<join_handle<outcome>> asked;
    for (int i = 0; i < 300; ++i) asked.push_back(spawn(ask_once(on, i)));
    for (auto& each : asked) {
        const outcome answered = co_await each;
        CHECK(answered.got.has_value());
    }
    CHECK(on.figures().batches > 10);
    on.give_up(errc::closed);
    co_await serving;
}

OURO_TEST("a request_timeout of for ever never comes, in any unit") {
    for (const duration limit : {duration::max(), duration(std::chrono::hours::max())}) {
        line_session on({.request_timeout = limit});
        auto [ours, theirs] = net::stream_pair();
        net::reader in(ours);
        auto serving = spawn(on.serve(ours, in));
        auto asked = spawn(ask_once(on, 1));
        co_await sleep_for(1h);
        CHECK_FALSE(asked.finished());
        on.give_up(errc::closed);
        co_await serving;
        const outcome lost = co_await asked;
        CHECK(lost.got.error() == errc::closed);
    }
}

OURO_TEST("a silent peer is given up when the oldest request is too old") {
    line_session on({.request_timeout = 2s});
    auto [ours, theirs] = net::stream_pair();
    net::reader in(ours);
    auto serving = spawn(on.serve(ours, in));
    const time_point begin = clock::now();
    auto first = spawn(ask_once(on, 1));
    co_await settle();
    co_await sleep_for(1s);
    auto second = spawn(ask_once(on, 2));
    CHECK(co_await serving == errc::timed_out);
    CHECK(clock::now() - begin >= 2s);
    CHECK(clock::now() - begin < 2100ms);
    const outcome lost = co_await first;
    CHECK(lost.got.error() == errc::timed_out);
    CHECK(lost.how_far == fate::unanswered);
    const outcome behind = co_await second;
    CHECK(behind.got.error() == errc::timed_out);
}

OURO_TEST("a request that waits for a connection is told what the trouble is when its time is up") {
    line_session on({.request_timeout = 2s});
    const time_point begin = clock::now();
    on.set_trouble(make_error_code(std::errc::connection_refused));
    const outcome late = co_await ask_once(on, 1);
    CHECK(late.got.error() == std::errc::connection_refused);
    CHECK(late.how_far == fate::unsent);
    CHECK(clock::now() - begin >= 2s);
}

OURO_TEST("a patient request outlives the timeout") {
    line_session on({.request_timeout = 1s});
    auto [ours, theirs] = net::stream_pair();
    net::reader in(ours);
    auto serving = spawn(on.serve(ours, in));
    ask patient(on, 1);
    patient.be_patient();
    auto reply = spawn(
        [](stream& peer) -> task<> {
            co_await sleep_for(1min);
            co_await peer.send_all("1\n");
        },
        std::ref(theirs));
    CHECK(co_await patient == 1);
    co_await reply;
    on.give_up(errc::closed);
    co_await serving;
}

OURO_TEST("stopping tells everybody, and whoever comes later") {
    line_session on;
    auto [ours, theirs] = net::stream_pair();
    net::reader in(ours);
    auto serving = spawn(on.serve(ours, in));
    auto sent = spawn(ask_once(on, 1));
    co_await settle();
    auto queued = spawn(ask_once(on, 2));
    on.stop(errc::closed);
    CHECK(co_await serving == errc::closed);
    const outcome of_sent = co_await sent;
    CHECK(of_sent.got.error() == errc::closed);
    CHECK(of_sent.how_far == fate::unanswered);
    const outcome of_queued = co_await queued;
    CHECK(of_queued.got.error() == errc::closed);
    CHECK(of_queued.how_far == fate::unsent);
    const outcome late = co_await ask_once(on, 3);
    CHECK(late.got.error() == errc::closed);
}

task<> callers(line_session& on) {
    co_await with_scope([&](scope& tasks) -> task<> {
        for (int i = 0; i < 5; ++i) tasks.spawn(ask_once(on, i, static_cast<std::uint32_t>(i + 1)));
        const outcome mine = co_await ask_once(on, 10);
        mine.got.value();
    });
    on.give_up(errc::closed);
}

task<> callers_and_a_server() {
    line_session on;
    co_await with_scope([&](scope& tasks) -> task<> {
        tasks.spawn(serve_once(on));
        co_await callers(on);
    });
}

TEST_CASE("cancelling anywhere loses and confuses nothing") {
    const auto report = cancel_everywhere_on_all(callers_and_a_server);
    CHECK_MESSAGE(report.clean(), report.complaints);
    CHECK(report.points > 10);
}

}  // namespace
