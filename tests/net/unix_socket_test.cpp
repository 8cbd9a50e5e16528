#include <ouro/net/unix_socket.hpp>

#include "sockets.hpp"
#include <ouro/net/stream_pair.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/spawn.hpp>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <span>

using namespace ouro;
using namespace ouro::net;

namespace {

/// Two ends of a pipe: what arrives through one is the other.
struct pipe_ends {
    pipe_ends() {
        int numbers[2];
        REQUIRE(::pipe2(numbers, O_CLOEXEC) == 0);
        read = descriptor(numbers[0]);
        write = descriptor(numbers[1]);
    }
    descriptor read;
    descriptor write;
};

bool same_file(int a, int b) {
    struct stat first, second;
    return ::fstat(a, &first) == 0 && ::fstat(b, &second) == 0 && first.st_ino == second.st_ino &&
           first.st_dev == second.st_dev;
}

task<std::error_code> receive_error(stream& from) {
    const auto got = co_await as_result(from.receive_descriptor());
    co_return got.error();
}

/// Sends several descriptors at once, which send_descriptor() never does.
void send_two(int through, int first, int second) {
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(2 * sizeof(int))> control{};
    char byte = 'x';
    iovec vector{&byte, 1};
    msghdr message{};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr& rights = *CMSG_FIRSTHDR(&message);
    rights.cmsg_level = SOL_SOCKET;
    rights.cmsg_type = SCM_RIGHTS;
    rights.cmsg_len = CMSG_LEN(2 * sizeof(int));
    const int numbers[2] = {first, second};
    std::memcpy(CMSG_DATA(&rights), numbers, sizeof numbers);
    REQUIRE(::sendmsg(through, &message, 0) == 1);
}

}  // namespace

OURO_TEST_KERNEL("a descriptor is handed over with its byte, close-on-exec") {
    auto [a, b] = stream_pair();
    pipe_ends pipe;
    co_await a.send_descriptor(pipe.read.number(), std::byte{7});
    const received_descriptor got = co_await b.receive_descriptor();
    REQUIRE(got.fd.is_open());
    CHECK(got.with == std::byte{7});
    CHECK_FALSE(got.ended);
    CHECK(same_file(got.fd.number(), pipe.read.number()));
    CHECK(got.fd.number() != pipe.read.number());
    CHECK((::fcntl(got.fd.number(), F_GETFD) & FD_CLOEXEC) != 0);
}

OURO_TEST_KERNEL("a byte may come without a descriptor, and the end is told") {
    auto [a, b] = stream_pair();
    co_await a.send_all("z");
    const received_descriptor bare = co_await b.receive_descriptor();
    CHECK_FALSE(bare.fd.is_open());
    CHECK(bare.with == std::byte{'z'});
    CHECK_FALSE(bare.ended);
    a = stream();
    const received_descriptor last = co_await b.receive_descriptor();
    CHECK(last.ended);
    CHECK_FALSE(last.fd.is_open());
}

OURO_TEST_KERNEL("of several descriptors the first is taken and none is left open") {
    auto [a, b] = stream_pair();
    pipe_ends pipe;
    send_two(a.fd(), pipe.read.number(), pipe.write.number());
    const received_descriptor got = co_await b.receive_descriptor();
    REQUIRE(got.fd.is_open());
    CHECK(same_file(got.fd.number(), pipe.read.number()));
    // Left open it would be counted by OURO_TEST_KERNEL.
}

OURO_TEST_KERNEL("a descriptor that nobody takes is closed") {
    auto [a, b] = stream_pair();
    pipe_ends pipe;
    co_await a.send_descriptor(pipe.read.number());
    auto ignored = co_await as_result(b.receive_descriptor());
    CHECK(ignored);
}

OURO_TEST_KERNEL("waiting for a descriptor can be cancelled") {
    auto [a, b] = stream_pair();
    auto waiting = spawn(receive_error, std::ref(b));
    co_await settle();
    waiting.cancel();
    CHECK(co_await waiting == errc::cancelled);
    co_await a.send_all("x");  // the stream is still good
    CHECK(co_await receive_exactly(b, 1) == "x");
}

OURO_TEST_KERNEL("no room for one more descriptor is an error") {
    auto [a, b] = stream_pair();
    pipe_ends pipe;
    // What a sanitizer sees for the first time costs it descriptors; it has seen this.
    co_await a.send_all("x");
    static_cast<void>(co_await as_result(b.receive_descriptor()));
    co_await a.send_descriptor(pipe.read.number());
    rlimit before;
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const int free = ::dup(0);
    REQUIRE(free >= 0);
    ::close(free);
    rlimit full = before;
    full.rlim_cur = static_cast<rlim_t>(free);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &full) == 0);
    const auto got = co_await as_result(b.receive_descriptor());
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(got.error() == std::errc::too_many_files_open);
}

OURO_TEST_KERNEL("sending a descriptor that is not open is an error") {
    auto [a, b] = stream_pair();
    const auto sent = co_await as_result(a.send_descriptor(987654));
    CHECK(sent.error() == std::errc::bad_file_descriptor);
    // Descriptors pass through Unix sockets only; TCP takes the byte and drops the descriptor.
}

OURO_TEST_KERNEL("the kernel says who the peer is") {
    auto [a, b] = stream_pair();
    const peer_credentials who = b.peer_credentials();
    CHECK(who.process == ::getpid());
    CHECK(who.user == ::geteuid());
    CHECK(who.group == ::getegid());

    auto tcp = co_await tcp_connection();
    CHECK_THROWS_AS(tcp.near.peer_credentials(), std::system_error);
}

namespace {

task<> pass_back_and_forth() {
    auto [a, b] = stream_pair();
    pipe_ends pipe;
    for (int i = 0; i < 3; ++i) {
        co_await a.send_descriptor(pipe.read.number());
        received_descriptor got = co_await b.receive_descriptor();
        CHECK(got.fd.is_open());
    }
}

}  // namespace

TEST_CASE("handing descriptors over can be cancelled anywhere") {
    for (const sim::test_setting& setting : sim::real_settings()) {
        CAPTURE(setting.name());
        const sweep_report swept = cancel_everywhere(pass_back_and_forth, setting);
        CHECK_MESSAGE(swept.clean(), swept.complaints);
    }
}
