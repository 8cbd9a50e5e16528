#include <ouro/net/standard_streams.hpp>

#include "kernel_streams.hpp"
#include "sockets.hpp"
#include <ouro/net/stream_pair.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/spawn.hpp>

#include <sys/socket.h>

#include <array>
#include <string>

using namespace ouro;
using namespace ouro::net;

namespace {

/// Has a number of the process's (0, 1 or 2) mean something else for a while; closes `other`.
class stand_in {
public:
    stand_in(int number, int other) : number_(number), kept_(::fcntl(number, F_DUPFD_CLOEXEC, 3)) {
        ::dup2(other, number);
        ::close(other);
    }
    stand_in(const stand_in&) = delete;
    ~stand_in() {
        if (kept_ < 0) {
            ::close(number_);
        } else {
            ::dup2(kept_, number_);
            ::close(kept_);
        }
    }

private:
    const int number_, kept_;
};

task<std::error_code> receive_error(stream& from) {
    std::array<std::byte, 8> space;
    const auto got = co_await as_result(from.recv(space));
    co_return got.error();
}

}  // namespace

OURO_TEST_KERNEL("standard input is a pipe, which keeps its flags and stays open") {
    const pipe_numbers made = new_pipe();
    const stand_in input(STDIN_FILENO, made.reads);
    stream to = stream::from(made.writes);
    {
        stream in = standard_input();
        CHECK(in.fd() > STDERR_FILENO);
        auto receiving = spawn(receive_exactly, std::ref(in), std::size_t{3});
        co_await settle();
        CHECK(blocks(STDIN_FILENO));
        co_await to.send_all("one");
        CHECK(co_await receiving == "one");
        auto waiting = spawn(receive_error, std::ref(in));
        co_await settle();
        waiting.cancel();
        CHECK(co_await waiting == errc::cancelled);
        CHECK(in.shutdown(half::receive));
    }
    CHECK(blocks(STDIN_FILENO));
    stream again = standard_input();
    co_await to.send_all("two");
    co_await to.close();
    CHECK(co_await receive_all(again) == "two");
}

OURO_TEST_KERNEL("standard input is a file, whose offset goes on") {
    const stand_in input(STDIN_FILENO, file_with("read by two"));
    stream one = standard_input();
    CHECK(co_await receive_exactly(one, 5) == "read ");
    stream two = standard_input();
    CHECK(co_await receive_all(two) == "by two");
}

OURO_TEST_KERNEL("standard input is a socket, which keeps its flags") {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    const stand_in input(STDIN_FILENO, ends[0]);
    stream peer = stream::adopt(ends[1]);
    stream in = standard_input();
    auto receiving = spawn(receive_exactly, std::ref(in), std::size_t{4});
    co_await settle();
    CHECK(blocks(STDIN_FILENO));
    co_await peer.send_all("inet");
    CHECK(co_await receiving == "inet");
}

OURO_TEST_KERNEL("standard output is a pipe, and stays open") {
    const pipe_numbers made = new_pipe();
    stream from = stream::from(made.reads);
    std::error_code after_close;
    {
        const stand_in output(STDERR_FILENO, made.writes);
        stream out = standard_error();
        co_await out.send_all("said");
        CHECK(out.shutdown(half::send));
        const auto sent = co_await as_result(out.send_all("more"));
        after_close = sent.error();
        stream again = standard_error();
        co_await again.send_all(" twice");
        co_await again.close();
        CHECK(blocks(STDERR_FILENO));
    }
    CHECK(after_close == std::errc::bad_file_descriptor);
    CHECK(co_await receive_all(from) == "said twice");
}

OURO_TEST_KERNEL("standard output whose reader has left is a broken pipe") {
    const pipe_numbers made = new_pipe();
    ::close(made.reads);
    std::error_code error;
    bool blocked = false;
    {
        const stand_in output(STDERR_FILENO, made.writes);
        stream out = standard_error();
        const auto sent = co_await as_result(out.send_all("anybody?"));
        error = sent.error();
        co_await out.close();
        blocked = blocks(STDERR_FILENO);
    }
    CHECK(error == std::errc::broken_pipe);
    CHECK(blocked);
}

OURO_TEST_KERNEL("no standard input is an error") {
    const int nothing = ::open("/", O_RDONLY | O_CLOEXEC);
    const stand_in input(STDIN_FILENO, nothing);
    CHECK_THROWS_AS(standard_input(), std::system_error);
    co_return;
}
