#include <ouro/net/session/turn.hpp>

#include <ouro/net/bytes/chunk.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/testing/sweep.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>
#include <ouro/tests/net/table_session.hpp>

#include <algorithm>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

using namespace ouro;
using namespace ouro::table_protocol;

namespace {

/// A session, and a server at the other end.
class both_ends {
public:
    explicit both_ends(const net::session_options& options = {}) : on(options) {
        auto [ours, theirs] = net::stream_pair();
        connection_ = std::move(ours);
        in_.emplace(connection_);
        serving_.emplace(spawn(on.serve(connection_, *in_)));
        answering_.emplace(spawn(answer_tables(std::move(theirs), server)));
    }
    /// Why the connection has ended, or `closed` if it had not.
    task<std::error_code> over() {
        on.give_up(errc::closed);
        const std::error_code why = co_await *serving_;
        co_await connection_.close();
        server.may_answer_slowly.set();
        co_await *answering_;
        co_return why;
    }
    bool has_ended() const { return serving_->finished(); }

    table_server server;
    table_session on;

private:
    stream connection_;
    std::optional<net::reader> in_;
    std::optional<join_handle<std::error_code>> serving_;
    std::optional<join_handle<void>> answering_;
};

OURO_TEST_IO("a reply has any number of parts, and its end is what counts") {
    both_ends with;
    auto none = spawn(ask_rows(with.on, 0));
    auto many = spawn(ask_rows(with.on, 5000));
    auto one = spawn(ask_rows(with.on, 1));
    const result<int> first = co_await none;
    const result<int> second = co_await many;
    const result<int> third = co_await one;
    CHECK(first.value_or(-1) == 0);
    CHECK(second.value_or(-1) == 5000);
    CHECK(third.value_or(-1) == 1);
    CHECK(with.on.figures().replies == 3);
    CHECK(co_await with.over() == errc::closed);
}

OURO_TEST("the parts of a reply whose caller has gone are dropped up to its end") {
    both_ends with;
    auto gone = spawn(ask_rows(with.on, 5000));
    co_await settle();
    CHECK(with.on.in_flight() <= 1);
    with.server.may_answer_slowly.reset();
    query slow(with.on, "slow");
    auto waiting =
        spawn([](query& which) -> task<int> { co_return co_await which; }, std::ref(slow));
    co_await settle();
    auto leaving = spawn(ask_rows(with.on, 7));
    co_await settle();
    auto behind = spawn(ask_rows(with.on, 3));
    co_await settle();
    leaving.cancel();
    const result<int> left = co_await leaving;
    CHECK(left.error() == errc::cancelled);
    CHECK(with.on.left_early == 1);
    with.server.may_answer_slowly.set();
    CHECK(co_await waiting == 0);
    const result<int> got = co_await behind;
    CHECK(got.value_or(-1) == 3);
    CHECK(with.on.figures().dropped == 1);
    const result<int> early = co_await gone;
    CHECK(early.value_or(-1) == 5000);
    CHECK(co_await with.over() == errc::closed);
}

/// Serves a connection that ends after `words` came on it.
task<> hear_and_lose(table_session& on, std::string_view words) {
    auto [ours, theirs] = net::stream_pair();
    net::reader in(ours);
    auto serving = spawn(on.serve(ours, in));
    co_await theirs.send_all(words);
    co_await settle();
    co_await theirs.close();
    CHECK(co_await serving);
}

OURO_TEST("what was handed on in part is not asked for again, and its fate says so") {
    for (const bool hands_on : {false, true}) {
        table_session on;
        query asked(on, "rows 3");
        asked.repeat(1);
        asked.hands_on = hands_on;
        auto asking =
            spawn([](query& which) -> task<result<int>> { co_return co_await as_result(which); },
                  std::ref(asked));
        co_await settle();
        co_await hear_and_lose(on, "row\nrow\n");
        co_await settle();
        CHECK(asking.finished() == hands_on);
        CHECK(asked.asked == 1);
        CHECK(on.queued() == (hands_on ? 0 : 1));
        if (hands_on) {
            CHECK(asked.how_far == fate::partial);
        } else {
            co_await hear_and_lose(on, "row\nrow\nrow\ndone\n");
            CHECK(asked.asked == 2);
        }
        const result<int> got = co_await asking;
        CHECK(got.has_value() != hands_on);
        if (!hands_on) CHECK(got.value_or(-1) == 3);
    }
}

OURO_TEST("a held queue sends nothing but what goes first") {
    both_ends with;
    with.on.hold_queue();
    auto waits = spawn(ask_rows(with.on, 2));
    co_await settle();
    CHECK(with.on.queued() == 1);
    query first(with.on, "rows 1");
    first.go_first();
    CHECK(co_await first == 1);
    CHECK(with.on.queued() == 1);
    CHECK(with.server.asked == "rows 1;");
    with.on.release_queue();
    const result<int> got = co_await waits;
    CHECK(got.value_or(-1) == 2);
    CHECK(co_await with.over() == errc::closed);
}

/// Copies a megabyte up; the most that was pending at once.
task<int> copy_megabyte(table_session& on, bool& has_begun) {
    table_turn copy(on, "copy", copying);
    co_await copy.begin();
    has_begun = true;
    const net::chunk piece = net::chunk::copy_of("+16384\n" + std::string(16384, 'x'));
    int rounds = 0;
    for (; rounds < 64; ++rounds) {
        CHECK(copy.write(piece));
        co_await copy.room();
    }
    CHECK(copy.write("end\n"));
    copy.finish();
    co_await copy.end();
    CHECK(copy.last == "done");
    co_return rounds;
}

OURO_TEST("a turn streams up with backpressure while a slow reply before it still comes") {
    both_ends with({.request_timeout = 2s});
    with.server.may_answer_slowly.reset();
    query slow(with.on, "slow");
    slow.expire_after(1min);
    auto waiting =
        spawn([](query& which) -> task<int> { co_return co_await which; }, std::ref(slow));
    co_await settle();
    bool has_begun = false;
    auto copying_up = spawn(copy_megabyte(with.on, has_begun));
    co_await settle();
    CHECK(has_begun);
    CHECK(!copying_up.finished());  // nobody reads: it waits for room
    CHECK(with.server.copied.empty());
    auto behind = spawn(ask_rows(with.on, 4));
    co_await settle();
    CHECK(with.on.queued() == 1);
    CHECK(with.on.in_flight() == 2);
    with.server.between_pieces = 10ms;  // 640 ms for all of them
    with.server.may_answer_slowly.set();
    CHECK(co_await waiting == 0);
    CHECK(!copying_up.finished());
    CHECK(with.server.copied.size() < 64 * 16384);
    CHECK(co_await copying_up == 64);
    const bool whole = with.server.copied == std::string(64 * 16384, 'x');
    CHECK(whole);
    const result<int> got = co_await behind;
    CHECK(got.value_or(-1) == 4);
    CHECK(with.server.asked == "slow;copy;end;rows 4;");
    CHECK(co_await with.over() == errc::closed);
}

OURO_TEST_IO("a turn asks for more as long as it needs, and nobody comes in between") {
    both_ends with;
    auto pages = spawn(read_pages(with.on, 3));
    auto behind = spawn(ask_rows(with.on, 4));
    CHECK(co_await pages == 6);
    const result<int> got = co_await behind;
    CHECK(got.value_or(-1) == 4);
    CHECK(with.server.asked == "page 2;page 2;page 2;page 0;rows 4;");
    CHECK(co_await with.over() == errc::closed);
}

OURO_TEST("replies may come in pieces of a byte") {
    both_ends with;
    with.server.byte_by_byte = true;
    auto pages = spawn(read_pages(with.on, 3));
    auto copied = spawn(copy_up(with.on, 3, 5));
    auto behind = spawn(ask_rows(with.on, 4));
    CHECK(co_await pages == 6);
    co_await copied;
    const result<int> got = co_await behind;
    CHECK(got.value_or(-1) == 4);
    CHECK(with.server.copied.size() == 15);
    CHECK(co_await with.over() == errc::closed);
}

/// Takes its rows only while it has room for them.
task<int> read_slowly(table_session& on) {
    table_turn rows(on, "rows 20000", unknown);
    co_await rows.begin();
    rows.finish();
    int pauses = 0;
    for (int seen = 0; !rows.has_ended(); seen = rows.rows) {
        co_await rows.news();
        if (rows.has_ended() || rows.rows - seen < 100) continue;
        rows.pause_reading();
        const int before = rows.rows;
        co_await sleep_for(10s);  // longer than a request may take
        CHECK(rows.rows == before);
        rows.resume_reading();
        ++pauses;
    }
    CHECK(rows.rows == 20000);
    co_return pauses;
}

OURO_TEST("whoever has been handed enough holds the peer back, and time does not run") {
    both_ends with({.request_timeout = 2s});
    CHECK(co_await read_slowly(with.on) > 3);
    const result<int> got = co_await ask_rows(with.on, 1);
    CHECK(got.value_or(-1) == 1);
    CHECK(co_await with.over() == errc::closed);
}

OURO_TEST("when a turn waits and the peer is silent, the connection is given up") {
    auto [ours, theirs] = net::stream_pair();
    table_session on({.request_timeout = 2s});
    net::reader in(ours);
    auto serving = spawn(on.serve(ours, in));
    table_turn copy(on, "copy", copying);
    co_await copy.begin();
    co_await sleep_for(1min);  // it owes nothing yet
    CHECK(copy.is_open());
    const time_point begin = clock::now();
    const auto news = co_await as_result(copy.news());
    CHECK(news.error() == errc::timed_out);
    CHECK(clock::now() - begin >= 2s);
    CHECK(clock::now() - begin < 2100ms);
    CHECK(co_await serving == errc::timed_out);
    CHECK(copy.how_far() == fate::unanswered);
    CHECK(!copy.write("end\n"));
}

OURO_TEST("a turn that the protocol cannot end takes the connection along") {
    both_ends with;
    {
        table_turn lost(with.on, "copy", unknown);
        co_await lost.begin();
    }
    CHECK(with.on.left_early == 1);
    CHECK(co_await with.over() == errc::cancelled);
}

OURO_TEST("a turn that is left in the middle is drained, and the next one has its own reply") {
    both_ends with;
    {
        table_turn lost(with.on, "copy", copying);
        co_await lost.begin();
        CHECK(lost.write("+3\nabc"));
    }
    CHECK(with.on.in_flight() == 1);
    const result<int> got = co_await ask_rows(with.on, 2);
    CHECK(got.value_or(-1) == 2);
    CHECK(with.server.asked == "copy;drop;rows 2;");
    CHECK(with.on.figures().dropped == 1);
    CHECK(co_await with.over() == errc::closed);
}

OURO_TEST("a turn that goes first makes a connection ready for those who wait") {
    both_ends with;
    with.on.hold_queue();
    auto waits = spawn(ask_rows(with.on, 2));
    co_await settle();
    table_turn handshake(with.on, "page 2", unknown);
    handshake.go_first();
    co_await handshake.begin();
    while (handshake.last != "more") co_await handshake.news();
    handshake.expect(1);
    CHECK(handshake.write("page 0\n"));
    handshake.finish();
    co_await handshake.end();
    CHECK(with.on.queued() == 1);
    with.on.release_queue();
    const result<int> got = co_await waits;
    CHECK(got.value_or(-1) == 2);
    CHECK(with.server.asked == "page 2;page 0;rows 2;");
    CHECK(co_await with.over() == errc::closed);
}

/// Each kind of turn, and then somebody else: whatever became of the turn, that one's reply is its
/// own, if there is a connection.
task<> turns_and_another() {
    both_ends with;
    auto turns = [&with]() -> task<> {
        co_await copy_up(with.on, 3, 5);
        const int rows = co_await read_pages(with.on, 2);
        if (rows != 4) throw std::logic_error("other rows");
    };
    const result<void> done = co_await as_result(turns());
    const result<int> got = co_await shield(ask_rows(with.on, 3));
    if (got.value_or(-1) != 3) throw std::logic_error("the next one has another reply");
    const std::error_code why = co_await shield(with.over());
    if (why != errc::closed) throw std::logic_error("the connection was lost");
    if (!done && done.error() != errc::cancelled) throw std::logic_error("another error");
}

TEST_CASE("turns can be cancelled at every step") {
    const sweep_report found = cancel_everywhere(turns_and_another);
    MESSAGE(found.points << " points");
    CHECK_MESSAGE(found.clean(), found.complaints.substr(0, 3000));
    CHECK(found.points >= 15);
}

/// Turns and a request with a server that goes away; whether it went before all was done.
task<bool> ask_while_peer_goes(std::size_t read_max, std::size_t say_max) {
    both_ends with;
    with.server.read_max = read_max;
    with.server.say_max = say_max;
    auto copied = spawn(copy_up(with.on, 3, 5));
    auto pages = spawn(read_pages(with.on, 2));
    auto behind = spawn(ask_rows(with.on, 1));
    co_await settle();
    const bool lost = with.has_ended();
    with.on.stop(make_error_code(std::errc::connection_reset));
    const auto first = co_await as_result(copied);
    const auto second = co_await as_result(pages);
    const result<int> third = co_await behind;
    CHECK((third.has_value() || lost));
    CHECK((second.has_value() || !third));
    CHECK((first.has_value() || !second));
    CHECK(with.on.load() == 0);
    static_cast<void>(co_await with.over());
    co_return !third;
}

OURO_TEST("when the peer goes away at any of its steps, everybody is told") {
    constexpr std::size_t all = ~std::size_t{0};
    int failures = 0;
    for (std::size_t limit = 0; limit < 60; ++limit)
        failures += co_await ask_while_peer_goes(limit, all);
    CHECK(failures > 50);
    failures = 0;
    for (std::size_t limit = 1; limit < 48; ++limit)
        failures += co_await ask_while_peer_goes(all, limit);
    CHECK(failures > 40);
}

OURO_TEST("a turn that waits for room learns that the peer is gone") {
    auto [ours, theirs] = net::stream_pair();
    table_session on({.request_timeout = 2s});
    net::reader in(ours);
    auto serving = spawn(on.serve(ours, in));
    bool has_begun = false;
    auto sending = spawn(
        [](table_session& to, bool& begun) -> task<std::error_code> {
            table_turn copy(to, "copy", copying);
            co_await copy.begin();
            begun = true;
            const std::string piece = "+16384\n" + std::string(16384, 'x');
            while (copy.write(piece)) {
                const auto room = co_await as_result(copy.room());
                if (!room) co_return room.error();
            }
            co_return copy.error();
        },
        std::ref(on), std::ref(has_begun));
    co_await settle();
    CHECK(has_begun);
    CHECK(!sending.finished());
    co_await sleep_for(1min);  // it waits for room, and nobody owes it an answer
    CHECK(!serving.finished());
    co_await theirs.close();
    CHECK(co_await sending);  // what sends may see it before what receives does
    CHECK(co_await serving);
}

/// Carries a value that many have.
class storing final : public net::exchange, public receiver {
public:
    storing(net::session& on, const net::chunk& value) : exchange(on, 1), value_(value) {}
    void await_resume() const {
        if (error_) throw_error(error_);
    }

private:
    bool encode(net::writer& out) override {
        return out.write("+" + std::to_string(value_.size()) + "\n") && out.write(value_) &&
               out.write("rows 0\n");
    }
    void failed(std::error_code why, fate) noexcept override { error_ = why; }
    void came(std::string_view) noexcept override {}

    net::chunk value_;
    std::error_code error_;
};

OURO_TEST("a value in a chunk is sent from where it is") {
    both_ends with;
    const net::chunk value = net::chunk::copy_of(std::string(1024 * 1024, 'v'));
    storing asked(with.on, value);
    auto storing_it = spawn([](storing& which) -> task<> { co_await which; }, std::ref(asked));
    const std::uint64_t blocks = net::block_pool::stats().live;
    while (with.on.in_flight() == 0) co_await yield();
    CHECK(net::block_pool::stats().live <= blocks + 1);  // what is around it
    co_await storing_it;
    const bool whole = with.server.copied == value.text();
    CHECK(whole);
    CHECK(co_await with.over() == errc::closed);
}

/// Cannot be written whole.
class unwritable final : public net::exchange {
public:
    explicit unwritable(net::session& on, bool throws) : exchange(on, 1), throws_(throws) {}
    result<void> await_result() const { return error_; }
    void await_resume() const { await_result().value(); }

private:
    bool encode(net::writer& out) override {
        if (!out.write("rows ")) return false;
        if (throws_) throw std::bad_alloc();
        return false;
    }
    void failed(std::error_code why, fate how_far) noexcept override {
        CHECK(how_far == fate::unsent);
        error_ = why;
    }

    std::error_code error_;
    bool throws_;
};

OURO_TEST("a request that cannot be written whole leaves nothing of itself behind") {
    for (const bool throws : {true, false}) {
        both_ends with;
        auto before = spawn(ask_rows(with.on, 1));
        auto broken = spawn(
            [](net::session& on, bool how) -> task<std::error_code> {
                unwritable asked(on, how);
                const result<void> got = co_await as_result(asked);
                co_return got.error();
            },
            std::ref(with.on), throws);
        auto behind = spawn(ask_rows(with.on, 2));
        const std::error_code why = co_await broken;
        CHECK(why == (throws ? make_error_code(std::errc::not_enough_memory)
                             : make_error_code(errc::limit_exceeded)));
        const result<int> first = co_await before;
        const result<int> second = co_await behind;
        CHECK(first.value_or(-1) == 1);
        CHECK(second.value_or(-1) == 2);
        CHECK(co_await with.over() == errc::closed);
    }
}

}  // namespace
