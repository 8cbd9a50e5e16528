#include <ouro/net/session/session.hpp>

#include <ouro/net/stream_pair.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>
#include <ouro/tests/net/line_session.hpp>

#include <new>
#include <optional>
#include <string>
#include <vector>

using namespace ouro;
using namespace ouro::line_protocol;
using namespace std::chrono_literals;

namespace {

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

/// Its protocol cannot be read, for want of memory or worse.
class failing_session final : public net::session {
public:
    explicit failing_session(bool memory) : session({}), memory_(memory) {}
    ~failing_session() { stop(errc::closed); }
    using session::serve;

private:
    result<std::size_t> take(std::span<const std::byte> ready) override {
        if (ready.empty()) return std::size_t{0};
        if (memory_) throw std::bad_alloc();
        throw 7;
    }
    bool memory_;
};

task<std::error_code> fail_once(failing_session& on, int number) {
    ask one(on, number);
    const result<int> got = co_await as_result(one);
    co_return got.error();
}

OURO_TEST("who alone can count its replies ends the connection when it leaves early") {
    for (const bool cancels : {true, false}) {
        line_session on({.request_timeout = 2s});
        auto [ours, theirs] = net::stream_pair();
        net::reader in(ours);
        auto serving = spawn(on.serve(ours, in));
        auto patient = spawn(
            [](line_session& to) -> task<> {
                ask first(to, 1);
                first.be_patient();
                static_cast<void>(co_await as_result(first));
            },
            std::ref(on));
        auto counting = spawn(
            [](line_session& to) -> task<> {
                ask second(to, 2);
                second.be_indispensable();
                static_cast<void>(co_await as_result(second));
            },
            std::ref(on));
        co_await settle();
        if (cancels) counting.cancel();
        CHECK(co_await serving == (cancels ? errc::cancelled : errc::timed_out));
        co_await patient;
    }
}

OURO_TEST("when replies cannot be taken for an exception, everybody is told") {
    for (const bool memory : {true, false}) {
        failing_session on(memory);
        auto [ours, theirs] = net::stream_pair();
        net::reader in(ours);
        auto serving = spawn(on.serve(ours, in));
        auto first = spawn(fail_once, std::ref(on), 1);
        auto second = spawn(fail_once, std::ref(on), 2);
        co_await settle();
        co_await theirs.send_all("1\n");
        const std::error_code why = co_await serving;
        CHECK(why == (memory ? std::errc::not_enough_memory : std::errc::state_not_recoverable));
        const std::error_code of_first = co_await first;
        const std::error_code of_second = co_await second;
        CHECK(of_first == why);
        CHECK(of_second == why);
    }
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
