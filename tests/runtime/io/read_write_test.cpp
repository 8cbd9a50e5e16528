// Reads and writes in place of receives and sends. A pair of sockets can be read and written, too,
// in simulation as well, so everything is tried on all reactors; pipes are in net/stream_from_test.

#include <ouro/runtime/io/read_write.hpp>

#include "sockets.hpp"
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/io/close.hpp>
#include <ouro/runtime/io/leased_recv.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/testing/sweep.hpp>

#include <sys/un.h>

#include <array>
#include <string>
#include <utility>

using namespace ouro;
using namespace ouro::testing;

namespace {

struct both {
    descriptor a, b;
};

both plain_pair() {
    int ends[2];
    const int made = executor::current().io().socket_pair(AF_UNIX, SOCK_STREAM, ends);
    if (made < 0) throw_error(error_of(made));
    return {descriptor(ends[0], make_read_write(false)),
            descriptor(ends[1], make_read_write(false))};
}

task<std::string> receive_text(descriptor& from, std::size_t size) {
    std::string all;
    std::array<std::byte, 64> space;
    while (all.size() < size) {
        const auto wanted = std::span(space).first(std::min(space.size(), size - all.size()));
        const std::size_t got = co_await recv_op(from, wanted);
        if (got == 0) break;
        all += text_of(std::span(space).first(got));
    }
    co_return all;
}

task<> send_text(descriptor& to, std::string text) {
    std::string_view left = text;
    while (!left.empty()) left.remove_prefix(co_await send_op(to, bytes_of(left)));
}

/// Sends through a vector of two.
task<std::size_t> send_two(descriptor& to, std::string_view one, std::string_view two) {
    const std::array<iovec, 2> parts{iovec{const_cast<char*>(one.data()), one.size()},
                                     iovec{const_cast<char*>(two.data()), two.size()}};
    co_return co_await send_vector_op(to, parts);
}

task<> there_and_back() {
    both ends = plain_pair();
    const std::string question(300, 'q'), answer(500, 'a');
    auto talk = [&](scope& tasks) -> task<> {
        tasks.spawn(send_text, std::ref(ends.a), question);
        tasks.spawn(send_text, std::ref(ends.b), answer);
        const std::string asked = co_await receive_text(ends.b, question.size());
        const std::string answered = co_await receive_text(ends.a, answer.size());
        CHECK(asked == question);
        CHECK(answered == answer);
    };
    co_await with_scope(talk);
}

task<std::error_code> receive_error(descriptor& from) {
    std::array<std::byte, 8> space;
    const auto got = co_await as_result(recv_op(from, space));
    co_return got.error();
}

}  // namespace

OURO_TEST_IO("bytes go both ways at once by reading and writing") { co_await there_and_back(); }

OURO_TEST_IO("a vector is written from all its parts") {
    both ends = plain_pair();
    const std::size_t sent = co_await send_two(ends.a, "one ", "two");
    CHECK(sent >= 1);
    const std::string came = co_await receive_text(ends.b, sent);
    CHECK(came == std::string("one two").substr(0, sent));
}

OURO_TEST_IO("a read can be lent a buffer, and holds none while it waits") {
    both ends = plain_pair();
    auto receiving = spawn(
        [](descriptor& from) -> task<std::string> {
            const lease got = co_await leased_recv_op(from);
            co_return std::string(text_of(got.data()));
        },
        std::ref(ends.b));
    co_await settle();
    CHECK(executor::current().io().buffers().leased() == 0);
    co_await send_text(ends.a, "x");
    CHECK(co_await receiving == "x");
    ends.a.close();
    const lease end = co_await leased_recv_op(ends.b);
    CHECK(end.empty());
}

OURO_TEST_IO("a read that waits can be cancelled, and closing ends it") {
    both ends = plain_pair();
    auto first = spawn(receive_error, std::ref(ends.b));
    co_await settle();
    first.cancel();
    CHECK(co_await first == errc::cancelled);
    auto second = spawn(receive_error, std::ref(ends.b));
    co_await settle();
    co_await close_op(ends.b);
    CHECK(co_await second == errc::cancelled);
    CHECK(co_await receive_error(ends.b) == std::errc::bad_file_descriptor);
}

OURO_TEST_IO("a descriptor that moves takes its way of reading along") {
    both ends = plain_pair();
    const descriptor moved = std::exchange(ends.b, descriptor());
    descriptor to;
    to = std::exchange(ends.a, descriptor());
    CHECK(to.through() != nullptr);
    CHECK(ends.a.through() == nullptr);
    CHECK(co_await receive_error(ends.a) == std::errc::bad_file_descriptor);
    co_await send_text(to, "moved");
    descriptor last(std::move(const_cast<descriptor&>(moved)));
    CHECK(co_await receive_text(last, 5) == "moved");
}

OURO_TEST_IO("what is neither reading nor writing is refused") {
    both ends = plain_pair();
    sockaddr_un nowhere{};
    nowhere.sun_family = AF_UNIX;
    const auto done = co_await as_result(
        connect_op(ends.a, reinterpret_cast<sockaddr*>(&nowhere), sizeof nowhere));
    CHECK(done.error() == std::errc::operation_not_supported);
}

TEST_CASE("reading and writing can be cancelled anywhere") {
    const sweep_report swept = cancel_everywhere_on_all(there_and_back);
    CHECK_MESSAGE(swept.clean(), swept.complaints);
    CHECK(swept.points > 10);
}
