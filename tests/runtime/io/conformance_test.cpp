// Every operation that can wait, times everything that can end the waiting, on every reactor.

#include "sockets.hpp"
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/io/close.hpp>
#include <ouro/runtime/io/leased_recv.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/timeout.hpp>

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <string>
#include <vector>

using namespace ouro;
using namespace ouro::testing;
using namespace std::chrono_literals;

namespace {

/// What an operation came to.
struct outcome {
    std::error_code error;
    std::size_t bytes = 0;
};

outcome outcome_of(result<std::size_t> got) {
    return got ? outcome{{}, *got} : outcome{got.error()};
}

class receive_plain_op final : public receive_message_op {
public:
    receive_plain_op(descriptor& on, std::span<std::byte> into)
        : receive_message_op(on), vector_{into.data(), into.size()} {
        message().msg_iov = &vector_;
        message().msg_iovlen = 1;
    }
    std::size_t await_resume() const { return bytes().value(); }
    ouro::result<std::size_t> await_result() const noexcept { return bytes(); }

private:
    iovec vector_;
};

constexpr std::array<std::byte, 64 * 1024> block{};

// The operations that wait for data.

task<outcome> receive(descriptor& on) {
    std::array<std::byte, 64> space;
    co_return outcome_of(co_await as_result(recv_op(on, space)));
}

task<outcome> receive_message(descriptor& on) {
    std::array<std::byte, 64> space;
    co_return outcome_of(co_await as_result(receive_plain_op(on, space)));
}

task<outcome> receive_leased(descriptor& on) {
    const auto got = co_await as_result(leased_recv_op(on));
    co_return got ? outcome{{}, got->size()} : outcome{got.error()};
}

task<outcome> poll_readable(descriptor& on) {
    const auto ready = co_await as_result(poll_op(on, poll_op::event::readable));
    co_return outcome{ready.error(), 1};
}

// The operations that wait for room.

task<outcome> send(descriptor& on) { co_return outcome_of(co_await as_result(send_op(on, block))); }

task<outcome> send_vector(descriptor& on) {
    std::array<iovec, 2> parts;
    for (iovec& part : parts) part = {const_cast<std::byte*>(block.data()), block.size()};
    co_return outcome_of(co_await as_result(send_vector_op(on, parts)));
}

task<outcome> poll_writable(descriptor& on) {
    const auto ready = co_await as_result(poll_op(on, poll_op::event::writable));
    co_return outcome{ready.error(), 1};
}

struct waiting_case {
    const char* called;
    task<outcome> (*run)(descriptor&);
    bool reads;
    bool polls;

    std::string name() const { return called; }
};

constexpr waiting_case cases[] = {
    {"recv", receive, true, false},
    {"recvmsg", receive_message, true, false},
    {"leased recv", receive_leased, true, false},
    {"poll readable", poll_readable, true, true},
    {"send", send, false, false},
    {"send vector", send_vector, false, false},
    {"poll writable", poll_writable, false, true},
};

/// Sends past the reactor; true when anything did fit. A simulated socket has no such way, and what
/// timed out there was full.
bool something_fits(const descriptor& in) {
    bool sent = false;
    while (::send(in.number(), block.data(), block.size(), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        sent = true;
    pollfd state{in.number(), POLLOUT, 0};
    return sent || (::poll(&state, 1, 0) == 1 && (state.revents & POLLOUT));
}

/// Sends until nothing more fits. That a send was not over in time is not enough: on a slow machine
/// it may not have begun.
task<> fill(descriptor& from) {
    for (;;) {
        const auto more = co_await as_result(timeout(5ms, send_op(from, block)));
        if (!more && !something_fits(from)) co_return;
    }
}

/// A connection on which the operation of `what` has to wait.
task<ends> waiting_ends(const waiting_case& what) {
    ends pair = co_await tcp_pair();
    if (!what.reads) co_await fill(pair.near);
    co_return pair;
}

/// Does what the operation waits for.
task<> unblock(const waiting_case& what, ends& pair, const join_handle<outcome>& waiting) {
    if (what.reads) co_await send_all(pair.far, bytes_of("data"));
    std::vector<std::byte> space(block.size());
    while (!what.reads && !waiting.finished())
        static_cast<void>(co_await as_result(timeout(5ms, recv_op(pair.far, space))));
}

bool ended_by_reset(const waiting_case& what, const outcome& came) {
    if (what.polls) return !came.error;
    return came.error == std::errc::connection_reset ||
           (!what.reads && came.error == std::errc::broken_pipe);
}

bool ended_by_close(const waiting_case& what, const outcome& came) {
    if (!what.reads) return ended_by_reset(what, came);  // it has unread data, so it resets
    return !came.error && (what.polls || came.bytes == 0);
}

/// The connection still works in the direction of `what`, and nothing was lost.
task<> check_alive(const waiting_case& what, ends& pair) {
    if (what.reads) {
        std::array<std::byte, 4> space;
        co_await send_all(pair.far, bytes_of("next"));
        const auto got = co_await receive_all(pair.near, space);
        CHECK_MESSAGE(text_of(got) == "next", what.name());
    } else {
        auto again = spawn(what.run(pair.near));
        co_await unblock(what, pair, again);
        const outcome came = co_await again;
        CHECK_MESSAGE(!came.error, what.name());
    }
}

}  // namespace

OURO_TEST_IO("what is there is taken without waiting for more") {
    for (const waiting_case& what : cases) {
        ends pair = co_await tcp_pair();
        if (what.reads) co_await send_all(pair.far, bytes_of("data"));
        const outcome came = co_await what.run(pair.near);
        CHECK_MESSAGE(!came.error, what.name());
        CHECK_MESSAGE(came.bytes > 0, what.name());
    }
}

OURO_TEST_IO("an operation waits, and completes when it can") {
    for (const waiting_case& what : cases) {
        ends pair = co_await waiting_ends(what);
        auto waiting = spawn(what.run(pair.near));
        co_await settle();
        CHECK_MESSAGE(!waiting.finished(), what.name());
        co_await unblock(what, pair, waiting);
        const outcome came = co_await waiting;
        CHECK_MESSAGE(!came.error, what.name());
        CHECK_MESSAGE(came.bytes > 0, what.name());
    }
}

OURO_TEST_IO("an operation ends when the peer closes") {
    for (const waiting_case& what : cases) {
        ends pair = co_await waiting_ends(what);
        auto waiting = spawn(what.run(pair.near));
        co_await settle();
        pair.far.close();
        const outcome came = co_await waiting;
        CHECK_MESSAGE(ended_by_close(what, came), what.name());
    }
}

OURO_TEST_IO("an operation ends when the peer resets") {
    for (const waiting_case& what : cases) {
        ends pair = co_await waiting_ends(what);
        auto waiting = spawn(what.run(pair.near));
        co_await settle();
        reset(pair.far);
        const outcome came = co_await waiting;
        CHECK_MESSAGE(ended_by_reset(what, came), what.name());
    }
}

OURO_TEST_IO("an operation of a task that was cancelled before does nothing") {
    for (const waiting_case& what : cases) {
        ends pair = co_await tcp_pair();
        co_await send_all(pair.far, bytes_of("data"));
        auto waiting = spawn(what.run(pair.near));
        waiting.cancel();
        const outcome came = co_await waiting;
        CHECK_MESSAGE(came.error == errc::cancelled, what.name());
        std::array<std::byte, 4> space;
        const auto got = co_await receive_all(pair.near, space);
        CHECK_MESSAGE(text_of(got) == "data", what.name());
    }
}

OURO_TEST_IO("an operation in flight can be cancelled, and the connection lives on") {
    for (const waiting_case& what : cases) {
        ends pair = co_await waiting_ends(what);
        auto waiting = spawn(what.run(pair.near));
        co_await settle();
        waiting.cancel();
        const outcome came = co_await waiting;
        CHECK_MESSAGE(came.error == errc::cancelled, what.name());
        co_await check_alive(what, pair);
    }
}

OURO_TEST_IO("an operation can be cancelled in the turn in which it was started") {
    for (const waiting_case& what : cases) {
        ends pair = co_await waiting_ends(what);
        auto waiting = spawn(what.run(pair.near));
        co_await yield();
        waiting.cancel();
        const outcome came = co_await waiting;
        CHECK_MESSAGE(came.error == errc::cancelled, what.name());
        co_await check_alive(what, pair);
    }
}

OURO_TEST_IO("an operation can time out, and the connection lives on") {
    for (const waiting_case& what : cases) {
        ends pair = co_await waiting_ends(what);
        const outcome came = co_await timeout(3ms, what.run(pair.near));
        CHECK_MESSAGE(came.error == errc::cancelled, what.name());
        co_await check_alive(what, pair);
    }
}

OURO_TEST_IO("an operation ends with the scope that holds it") {
    for (const waiting_case& what : cases) {
        ends pair = co_await waiting_ends(what);
        outcome came;
        co_await with_scope([&](scope& tasks) -> task<> {
            tasks.spawn([&]() -> task<> { came = co_await what.run(pair.near); });
            co_await settle();
            tasks.cancel();
        });
        CHECK_MESSAGE(came.error == errc::cancelled, what.name());
        co_await check_alive(what, pair);
    }
}

OURO_TEST_IO("closing ends an operation in flight first") {
    for (const waiting_case& what : cases) {
        ends pair = co_await waiting_ends(what);
        auto waiting = spawn(what.run(pair.near));
        co_await settle();
        co_await close_op(pair.near);
        const outcome came = co_await waiting;
        CHECK_MESSAGE(came.error == errc::cancelled, what.name());
        CHECK(!pair.near.is_open());
    }
}

OURO_TEST_IO("shutting down our own half ends what waits for it") {
    ends pair = co_await tcp_pair();
    auto waiting = spawn(receive(pair.near));
    co_await settle();
    checked(io().shutdown(pair.near.number(), SHUT_RD));
    const outcome came = co_await waiting;
    CHECK(!came.error);
    CHECK(came.bytes == 0);
    checked(io().shutdown(pair.near.number(), SHUT_WR));
    const outcome late = co_await send(pair.near);
    CHECK(late.error == std::errc::broken_pipe);
}

OURO_TEST_IO("after the peer has shut down its half, the other half still carries data") {
    ends pair = co_await tcp_pair();
    co_await send_all(pair.far, bytes_of("last words"));
    checked(io().shutdown(pair.far.number(), SHUT_WR));
    std::array<std::byte, 64> space;
    const auto got = co_await receive_all(pair.near, space);
    CHECK(text_of(got) == "last words");
    co_await send_all(pair.near, bytes_of("reply"));
    const auto there = co_await receive_all(pair.far, std::span(space).first(5));
    CHECK(text_of(there) == "reply");
}
