#include <ouro/runtime/io/close.hpp>

#include "real_reactors.hpp"
#include "sockets.hpp"
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/fs/file.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/tests/no_more_descriptors.hpp>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <vector>

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

namespace {

descriptor datagram_socket() {
    return descriptor(checked(io().open_socket(AF_INET, SOCK_DGRAM, 0)));
}

/// A socket at that address; port 0 takes a free one.
descriptor bound_socket(const sockaddr_in& where) {
    descriptor made = datagram_socket();
    checked(io().bind(made.number(), generic(where), sizeof where));
    return made;
}

/// Tells a story twice, the second time without descriptors: what a sanitizer, or a helper thread,
/// needs of them for what it sees for the first time, it has had by then.
task<> with_and_without_descriptors(task<> (*story)(bool full)) {
    co_await story(false);
    co_await story(true);
}

task<> accept_into(acceptor& from, std::vector<descriptor>& into) {
    into.push_back(co_await from.accept());
}

}  // namespace

OURO_TEST_IO("an address is free again once closing was awaited") {
    descriptor first = bound_socket(loopback());
    const sockaddr_in where = local_name(first.number());
    co_await close_op(first);
    const descriptor second = bound_socket(where);
    CHECK(second.is_open());
}

OURO_TEST_IO("an address is free again once its socket has gone out of scope") {
    sockaddr_in where;
    {
        const descriptor first = bound_socket(loopback());
        where = local_name(first.number());
    }
    const descriptor second = bound_socket(where);
    CHECK(second.is_open());
    co_return;
}

TEST_CASE("closing that was awaited has happened") {
    on_real([]() -> task<> {
        ends both = unix_pair();
        const int number = both.near.number();
        co_await close_op(both.near);
        CHECK(::fcntl(number, F_GETFD) == -1);
        char space;
        CHECK(::recv(both.far.number(), &space, 1, MSG_DONTWAIT) == 0);
    });
}

task<> make_sockets(bool full) {
    {
        descriptor spare = datagram_socket();
        std::optional<no_more_descriptors> none;
        if (full) none.emplace();
        spare.close();
        spare = datagram_socket();
        CHECK(spare.is_open());
        co_await close_op(spare);
        spare = datagram_socket();
        CHECK(spare.is_open());
    }
    ends spare = unix_pair();
    std::optional<no_more_descriptors> none;
    if (full) none.emplace();
    spare = {};
    spare = unix_pair();
    CHECK(spare.near.is_open());
}

TEST_CASE("when descriptors run out, those that were closed in this turn are there to be used") {
    on_real([] { return with_and_without_descriptors(make_sockets); });
}

task<> open_file(bool full) {
    descriptor spare = datagram_socket();
    std::optional<no_more_descriptors> none;
    if (full) none.emplace();
    spare.close();
    const auto opened = co_await as_result(file::open("/dev/null"));
    CHECK(opened);
}

TEST_CASE("when descriptors run out, a file is opened behind what was closed in this turn") {
    on_real([] { return with_and_without_descriptors(open_file); });
}

task<> take_connection(bool full) {
    acceptor listener(listening_socket());
    descriptor client = tcp_socket();
    co_await connect_to(client, local_name(listener.number()));
    descriptor spare = datagram_socket();
    std::optional<no_more_descriptors> none;
    if (full) none.emplace();
    spare.close();
    std::vector<descriptor> taken;
    co_await accept_into(listener, taken);
    CHECK(taken.size() == 1);
}

TEST_CASE("when descriptors run out, a connection is taken behind what was closed in this turn") {
    on_real([] { return with_and_without_descriptors(take_connection); });
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
