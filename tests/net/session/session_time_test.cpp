#include <ouro/net/session/session.hpp>
#include <ouro/net/stream_pair.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>
#include <ouro/tests/net/line_session.hpp>

#include <optional>
#include <string>
#include <vector>

using namespace ouro;
using namespace ouro::line_protocol;
using namespace std::chrono_literals;

namespace {

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

/// Answers one request after another, each after a while.
task<> answer_slowly(stream& peer, duration each, int count) {
    net::reader in(peer);
    for (int i = 0; i < count; ++i) {
        const auto line = co_await in.read_line();
        const std::string reply(*line);
        co_await sleep_for(each);
        co_await peer.send_all(reply + "\n");
    }
}

OURO_TEST("while replies flow, who is too late fails alone, and the connection lives") {
    line_session on({.request_timeout = 2s});
    auto [ours, theirs] = net::stream_pair();
    net::reader in(ours);
    auto serving = spawn(on.serve(ours, in));
    auto server = spawn(answer_slowly(theirs, 700ms, 6));
    std::vector<join_handle<outcome>> asked;
    for (int i = 0; i < 5; ++i) asked.push_back(spawn(ask_once(on, i, 1, 1)));
    co_await sleep_for(2900ms);
    auto young = spawn(ask_once(on, 5));
    for (int i = 0; i < 5; ++i) {
        const outcome each = co_await asked[static_cast<std::size_t>(i)];
        if (i < 2) CHECK(each.got.value_or(0) == 1);
        if (i < 2) continue;
        CHECK(each.got.error() == errc::timed_out);
        CHECK(each.how_far == fate::unanswered);
    }
    CHECK(!young.finished());
    const outcome last = co_await young;
    CHECK(last.got.value_or(0) == 1);
    co_await server;
    CHECK(on.figures().dropped == 3);
    CHECK(!serving.finished());
    on.give_up(errc::closed);
    co_await serving;
}

task<> send_in_pieces(stream& peer, std::string reply, duration each) {
    for (const char byte : reply) {
        co_await sleep_for(each);
        const std::string_view piece(&byte, 1);
        co_await peer.send_all(piece);
    }
}

OURO_TEST("a reply that takes longer than the timeout succeeds as long as its bytes come") {
    line_session on({.request_timeout = 2s});
    auto [ours, theirs] = net::stream_pair();
    net::reader in(ours);
    auto serving = spawn(on.serve(ours, in));
    auto first = spawn(ask_once(on, 1234, 2));
    auto sending = spawn(send_in_pieces(theirs, "1234\n1234\n", 1500ms));
    const outcome slow = co_await first;
    CHECK(slow.got.value_or(0) == 2);
    co_await sending;
    on.give_up(errc::closed);
    co_await serving;
}

OURO_TEST("when bytes stop in the middle of a reply, the peer is dead") {
    line_session on({.request_timeout = 2s});
    auto [ours, theirs] = net::stream_pair();
    net::reader in(ours);
    auto serving = spawn(on.serve(ours, in));
    const time_point begin = clock::now();
    auto first = spawn(ask_once(on, 1234));
    auto sending = spawn(send_in_pieces(theirs, "12", 1500ms));
    CHECK(co_await serving == errc::timed_out);
    CHECK(clock::now() - begin >= 5s);
    CHECK(clock::now() - begin < 5100ms);
    co_await sending;
    const outcome lost = co_await first;
    CHECK(lost.how_far == fate::unanswered);
}

OURO_TEST("behind a patient request the others have their own time") {
    line_session on({.request_timeout = 2s});
    auto [ours, theirs] = net::stream_pair();
    net::reader in(ours);
    auto serving = spawn(on.serve(ours, in));
    ask patient(on, 1);
    patient.be_patient();
    auto waiting = spawn([](ask& one) -> task<int> { co_return co_await one; }, std::ref(patient));
    co_await settle();
    const outcome late = co_await ask_once(on, 2);
    CHECK(late.got.error() == errc::timed_out);
    CHECK(!serving.finished());
    co_await theirs.send_all("1\n");
    CHECK(co_await waiting == 1);
    CHECK(co_await serving == errc::timed_out);  // the reply to the second is still expected
}

OURO_TEST("what was sent once is never told to be unsent") {
    line_session on({.request_timeout = 2s});
    auto late = spawn(ask_once(on, 1, 1, 1));
    auto cancelled = spawn(ask_once(on, 2, 1, 1));
    auto failed = spawn(ask_once(on, 3, 1, 1));
    auto never = spawn(ask_once(on, 4));
    {
        auto [ours, theirs] = net::stream_pair();
        net::reader in(ours);
        auto serving = spawn(on.serve(ours, in));
        co_await settle();
        CHECK(on.in_flight() == 4);
        co_await theirs.close();
        co_await serving;
    }
    const outcome write = co_await never;
    CHECK(write.how_far == fate::unanswered);
    CHECK(on.queued() == 3);
    cancelled.cancel();
    const outcome second = co_await cancelled;
    CHECK(second.how_far == fate::unanswered);
    const outcome first = co_await late;
    CHECK(first.got.error() == errc::timed_out);
    CHECK(first.how_far == fate::unanswered);
    const outcome third = co_await failed;
    CHECK(third.how_far == fate::unanswered);
}

OURO_TEST("a timeout without an end is none") {
    line_session on({.request_timeout = duration::max()});
    auto [ours, theirs] = net::stream_pair();
    net::reader in(ours);
    auto serving = spawn(on.serve(ours, in));
    auto asked = spawn(ask_once(on, 1));
    co_await sleep_for(std::chrono::hours(24));
    CHECK(!asked.finished());
    co_await theirs.send_all("1\n");
    const outcome answered = co_await asked;
    CHECK(answered.got.value_or(0) == 1);
    on.give_up(errc::closed);
    co_await serving;
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

OURO_TEST("a request with a shorter expiry of its own fails alone") {
    line_session on({.request_timeout = 5s});
    auto [ours, theirs] = net::stream_pair();
    net::reader in(ours);
    auto serving = spawn(on.serve(ours, in));
    const time_point begin = clock::now();
    auto before = spawn(ask_once(on, 1));
    auto short_one = spawn(ask_within(on, 2, 300ms));
    auto behind = spawn(ask_once(on, 3));
    const outcome late = co_await short_one;
    CHECK(late.got.error() == errc::timed_out);
    CHECK(late.how_far == fate::unanswered);
    CHECK(clock::now() - begin >= 300ms);
    CHECK(clock::now() - begin < 310ms);
    CHECK(!serving.finished());
    co_await theirs.send_all("1\n2\n3\n");
    const outcome first = co_await before;
    const outcome last = co_await behind;
    CHECK(first.got.value_or(0) == 1);
    CHECK(last.got.value_or(0) == 1);
    CHECK(on.figures().dropped == 1);
    on.give_up(errc::closed);
    co_await serving;
}

OURO_TEST("a request with a longer expiry of its own may be waited for in silence") {
    line_session on({.request_timeout = 2s});
    auto [ours, theirs] = net::stream_pair();
    net::reader in(ours);
    auto serving = spawn(on.serve(ours, in));
    const time_point begin = clock::now();
    auto long_one = spawn(ask_within(on, 1, 1min));
    co_await settle();
    // Who waits as long as all others is told in time, though the timer stood at a minute.
    const outcome usual = co_await ask_once(on, 2);
    CHECK(usual.got.error() == errc::timed_out);
    CHECK(clock::now() - begin >= 2s);
    CHECK(clock::now() - begin < 2100ms);
    CHECK(!long_one.finished());
    CHECK(co_await serving == errc::timed_out);
    CHECK(clock::now() - begin >= 1min);
    const outcome lost = co_await long_one;
    CHECK(lost.got.error() == errc::timed_out);
}

OURO_TEST("an expiry of one's own runs in the queue, too, and on the next connection") {
    line_session on({.request_timeout = 5s});
    const time_point begin = clock::now();
    auto short_one = spawn(ask_within(on, 1, 300ms));
    auto usual = spawn(ask_once(on, 2));
    auto long_one = spawn(ask_within(on, 3, 1h));
    const outcome late = co_await short_one;
    CHECK(late.got.error() == errc::timed_out);
    CHECK(late.how_far == fate::unsent);
    CHECK(clock::now() - begin < 310ms);
    const outcome second = co_await usual;
    CHECK(second.got.error() == errc::timed_out);
    CHECK(clock::now() - begin < 5100ms);
    auto serving = spawn(serve_once(on));
    const outcome last = co_await long_one;
    CHECK(last.got.value_or(0) == 1);
    on.give_up(errc::closed);
    co_await serving;
}

OURO_TEST("many expiries, each another, are told in time") {
    line_session on({.request_timeout = 5s});
    auto [ours, theirs] = net::stream_pair();
    net::reader in(ours);
    auto serving = spawn(on.serve(ours, in));
    const time_point begin = clock::now();
    auto timed = [&](int number, duration limit) -> task<> {
        const outcome late = co_await ask_within(on, number, limit);
        CHECK(late.got.error() == errc::timed_out);
        CHECK(clock::now() - begin >= limit);
        CHECK(clock::now() - begin <= limit + limit / 16 + 2ms);
    };
    auto all = [&](scope& tasks) -> task<> {
        for (int i = 0; i < 200; ++i) tasks.spawn(timed(i, (1000 + 7 * (i * 37 % 200)) * 1ms));
        co_return;
    };
    co_await with_scope(all);
    CHECK(on.figures().requests == 200);
    on.give_up(errc::closed);
    co_await serving;
}

}  // namespace
