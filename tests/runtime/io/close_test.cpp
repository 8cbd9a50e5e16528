#include <ouro/runtime/io/close.hpp>

#include "sockets.hpp"
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/sim/doctest.hpp>

#include <array>

using namespace ouro;
using namespace ouro::testing;

namespace {

task<std::error_code> recv_error(descriptor& from) {
    std::array<std::byte, 16> space;
    const auto got = co_await as_result(recv_op(from, space));
    co_return got.error();
}

task<> close_it(descriptor& which) { co_await close_op(which); }

}  // namespace

OURO_TEST_IO("closing what is idle closes at once; what is closed stays so") {
    ends both = unix_pair();
    co_await close_op(both.near);
    CHECK_FALSE(both.near.is_open());
    co_await close_op(both.near);
    std::array<std::byte, 1> space;
    CHECK(co_await recv_op(both.far, space) == 0);
}

OURO_TEST_IO("closing cancels what is in flight and waits for it") {
    ends both = unix_pair();
    auto reading = spawn(recv_error, std::ref(both.near));
    co_await settle();
    co_await close_op(both.near);
    CHECK_FALSE(both.near.is_open());
    CHECK(both.near.idle());
    CHECK(co_await reading == errc::cancelled);
}

OURO_TEST_IO("data that came first is delivered to whoever was closed on") {
    ends both = unix_pair();
    auto reading = spawn(recv_error, std::ref(both.near));
    co_await settle();
    co_await send_all(both.far, bytes_of("x"));
    co_await close_op(both.near);
    const std::error_code outcome = co_await reading;
    const bool either = !outcome || outcome == errc::cancelled;
    CHECK(either);
}

OURO_TEST_IO("closing is not refused in a chain that was cancelled, and is not cut short") {
    ends both = unix_pair();
    auto reading = spawn(recv_error, std::ref(both.near));
    co_await settle();
    auto closing = spawn(close_it, std::ref(both.near));
    closing.cancel();
    co_await closing;
    CHECK_FALSE(both.near.is_open());
    CHECK(co_await reading == errc::cancelled);
}

TEST_CASE("closing can be cancelled anywhere") {
    auto scenario = []() -> task<> {
        ends both = unix_pair();
        auto work = [&both](scope& tasks) -> task<> {
            tasks.spawn(recv_error(both.near));
            co_await yield();
            co_await close_op(both.near);
        };
        co_await with_scope(work);
        CHECK_FALSE(both.near.is_open());
    };
    const sweep_report swept = cancel_everywhere_on_all(scenario);
    CHECK_MESSAGE(swept.clean(), swept.complaints);
    CHECK(swept.points >= 2);
}
