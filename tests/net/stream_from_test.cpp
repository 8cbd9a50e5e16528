// Streams of what is no socket: pipes, files, terminals.

#include "kernel_streams.hpp"
#include "sockets.hpp"
#include <ouro/net/bytes/block_reader.hpp>
#include <ouro/net/bytes/reader.hpp>
#include <ouro/net/bytes/writer.hpp>
#include <ouro/net/stream_pair.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/testing/sweep.hpp>

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <termios.h>

#include <array>
#include <csignal>
#include <string>

using namespace ouro;
using namespace ouro::net;

namespace {

std::error_code why_not(int fd) {
    try {
        stream::from(fd).release();  // had it been taken, it would still be ours to close
        return {};
    } catch (const std::system_error& failure) {
        return failure.code();
    }
}

/// Refused with that error, and still open.
bool refused(int fd, std::errc with) {
    const bool as_told = why_not(fd) == with;
    return ::close(fd) == 0 && as_told;
}

task<std::error_code> receive_error(stream& from) {
    std::array<std::byte, 8> space;
    const auto got = co_await as_result(from.recv(space));
    co_return got.error();
}

task<std::error_code> send_error(stream& to, std::size_t size) {
    const std::string bytes(size, 'x');
    const auto sent = co_await as_result(to.send_all(bytes));
    co_return sent.error();
}

task<> send_and_close(stream& to, std::string text) {
    co_await to.send_all(text);
    CHECK(to.shutdown(half::send));
}

task<> write_and_close(stream& to, const std::string& text, std::size_t piece) {
    writer out(to);
    for (std::size_t at = 0; at < text.size(); at += piece) {
        CHECK(out.write(text.substr(at, piece)));
        CHECK(out.write(chunk::copy_of("|")));
        if (out.above_high()) co_await out.below_low();
    }
    co_await out.close();
    CHECK(to.shutdown(half::send));
}

std::string numbered_lines(int count) {
    std::string all;
    for (int i = 0; i < count; ++i) all += "line " + std::to_string(i) + '\n';
    return all;
}

/// Lines of one pipe, to another.
task<> copy_lines(stream& from, stream& to) {
    block_reader in(from, {.unended_last_line = true});
    writer out(to);
    while (chunk line = co_await in.read_line()) {
        CHECK(out.write(line));
        if (out.above_high()) co_await out.below_low();
    }
    co_await out.close();
    CHECK(to.shutdown(half::send));
}

/// Through two pipes, with lines in between.
task<> through_pipes() {
    pipe_streams one = stream_pipe(), two = stream_pipe();
    const std::string text = numbered_lines(20'000) + "the last one";
    std::string came;
    auto body = [&](scope& tasks) -> task<> {
        tasks.spawn(send_and_close, std::ref(one.out), text);
        tasks.spawn(copy_lines, std::ref(one.in), std::ref(two.out));
        came = co_await receive_all(two.in);
    };
    co_await with_scope(body);
    CHECK(came == text);
}

/// One byte at a time, with a task that waits for each.
task<> byte_by_byte() {
    pipe_streams ends = stream_pipe();
    const std::string text = "byte by byte";
    std::string came;
    auto body = [&](scope& tasks) -> task<> {
        auto receive = [](stream& from, std::string& into) -> task<> {
            into = co_await receive_all(from);
        };
        tasks.spawn(receive, std::ref(ends.in), std::ref(came));
        for (const char& each : text) {
            co_await settle();
            co_await ends.out.send_all(std::string_view(&each, 1));
        }
        co_await ends.out.close();
    };
    co_await with_scope(body);
    CHECK(came == text);
}

struct terminal {
    int master = -1, slave = -1;
};

terminal new_terminal() {
    terminal made;
    made.master = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (made.master < 0) throw_error(error_of(-errno));
    char name[64];
    if (::grantpt(made.master) < 0 || ::unlockpt(made.master) < 0 ||
        ::ptsname_r(made.master, name, sizeof name) != 0)
        throw_error(error_of(-errno));
    made.slave = ::open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (made.slave < 0) throw_error(error_of(-errno));
    termios how;
    ::tcgetattr(made.slave, &how);
    how.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    how.c_oflag = 0;
    ::tcsetattr(made.slave, TCSANOW, &how);
    return made;
}

}  // namespace

OURO_TEST_KERNEL("lines go through pipes as through sockets, more of them than a pipe holds") {
    co_await through_pipes();
}

OURO_TEST_KERNEL("a receive waits for each byte of a pipe") { co_await byte_by_byte(); }

OURO_TEST_KERNEL("what a writer gathers leaves in order") {
    pipe_streams ends = stream_pipe();
    const std::string text(300'000, 'w');
    std::string came;
    auto body = [&](scope& tasks) -> task<> {
        tasks.spawn(write_and_close, std::ref(ends.out), std::cref(text), std::size_t{1000});
        came = co_await receive_all(ends.in);
    };
    co_await with_scope(body);
    CHECK(came.size() == text.size() + 300);
    CHECK(came.find('|') == 1000);
}

OURO_TEST_KERNEL("a pipe lends its bytes in buffers of the worker's pool") {
    pipe_streams ends = stream_pipe();
    auto receiving = spawn(
        [](stream& from) -> task<std::string> {
            std::string all;
            for (;;) {
                const lease got = co_await from.recv();
                if (got.empty()) co_return all;
                all.append(reinterpret_cast<const char*>(got.data().data()), got.size());
            }
        },
        std::ref(ends.in));
    co_await settle();
    CHECK(executor::current().io().buffers().leased() == 0);
    const std::string text = numbered_lines(3000);
    co_await send_and_close(ends.out, text);
    CHECK(co_await receiving == text);
}

OURO_TEST_KERNEL("a pipe that nobody reads is an error of whoever writes") {
    for (const std::size_t size : {std::size_t{1}, std::size_t{1} << 20}) {
        pipe_streams ends = stream_pipe();
        co_await ends.in.close();
        CHECK(co_await send_error(ends.out, size) == std::errc::broken_pipe);
    }
    pipe_streams ends = stream_pipe();
    co_await ends.in.close();
    writer out(ends.out);
    CHECK(out.write("anybody?"));
    const auto sent = co_await as_result(out.flush());
    CHECK(sent.error() == std::errc::broken_pipe);
}

OURO_TEST_KERNEL("a reader that leaves ends a send in flight") {
    pipe_streams ends = stream_pipe();
    auto sending = spawn(send_error, std::ref(ends.out), std::size_t{1} << 20);
    co_await settle();
    co_await ends.in.close();
    CHECK(co_await sending == std::errc::broken_pipe);
}

OURO_TEST_KERNEL("the half close of a pipe's own direction closes it, the other does nothing") {
    pipe_streams ends = stream_pipe();
    CHECK(ends.in.shutdown(half::send));
    CHECK(ends.out.shutdown(half::receive));
    CHECK(ends.in.is_open());
    co_await ends.out.send_all("still open");
    CHECK(ends.out.shutdown(half::send));
    CHECK(!ends.out.is_open());
    CHECK(co_await receive_all(ends.in) == "still open");
    CHECK(ends.out.shutdown(half::send).error() == std::errc::bad_file_descriptor);
    CHECK(co_await send_error(ends.out, 1) == std::errc::bad_file_descriptor);
    CHECK(ends.in.shutdown(half::both));
    CHECK(co_await receive_error(ends.in) == std::errc::bad_file_descriptor);
}

OURO_TEST_KERNEL("a pipe is not half closed under an operation") {
    pipe_streams ends = stream_pipe();
    auto receiving = spawn(receive_error, std::ref(ends.in));
    co_await settle();
    CHECK(ends.in.shutdown(half::receive).error() == std::errc::device_or_resource_busy);
    co_await ends.in.close();
    CHECK(co_await receiving == errc::cancelled);
}

OURO_TEST_KERNEL("the direction that a pipe has not is an error") {
    pipe_streams ends = stream_pipe();
    CHECK(co_await receive_error(ends.out) == std::errc::bad_file_descriptor);
    CHECK(co_await send_error(ends.in, 1) == std::errc::bad_file_descriptor);
    const stream moved = std::move(ends.in);
    CHECK(co_await receive_error(ends.in) == std::errc::bad_file_descriptor);
}

OURO_TEST_KERNEL("what waits on a pipe can be cancelled, in either direction") {
    pipe_streams ends = stream_pipe();
    auto receiving = spawn(receive_error, std::ref(ends.in));
    co_await settle();
    receiving.cancel();
    CHECK(co_await receiving == errc::cancelled);
    auto sending = spawn(send_error, std::ref(ends.out), std::size_t{1} << 20);
    co_await settle();
    sending.cancel();
    CHECK(co_await sending == errc::cancelled);
    {
        writer dropped(ends.out);
        CHECK(dropped.write(std::string(100'000, 'd')));
        co_await settle();
    }
    ends.out = stream();  // under the send that the writer left behind
}

OURO_TEST_KERNEL("a pipe that is non-blocking already waits, too") {
    const pipe_numbers made = new_pipe(O_CLOEXEC | O_NONBLOCK);
    pipe_streams ends{stream::from(made.reads), stream::from(made.writes)};
    auto receiving = spawn(receive_all, std::ref(ends.in));
    co_await settle();
    const std::string text(200'000, 'n');
    co_await send_and_close(ends.out, text);
    CHECK(co_await receiving == text);
    auto again = stream_pipe(O_CLOEXEC | O_NONBLOCK);
    auto waiting = spawn(receive_error, std::ref(again.in));
    co_await settle();
    waiting.cancel();
    CHECK(co_await waiting == errc::cancelled);
    CHECK(!blocks(again.in.fd()));
}

OURO_TEST_KERNEL("who shares a pipe finds it blocking again") {
    const pipe_numbers made = new_pipe();
    const int shared = ::fcntl(made.reads, F_DUPFD_CLOEXEC, 0);
    stream out = stream::from(made.writes);
    stream closed = stream::from(made.reads);
    co_await closed.close();
    CHECK(blocks(shared));
    stream released = stream::from(shared);
    CHECK(released.release() == shared);
    CHECK(blocks(shared));
    stream destroyed = stream::from(shared);
    destroyed = stream();
}

OURO_TEST_KERNEL("a file is read from where its offset stands, to its end") {
    const std::string text = numbered_lines(30'000);
    const int number = file_with(text);
    const int shared = ::fcntl(number, F_DUPFD_CLOEXEC, 0);
    ::lseek(number, 7, SEEK_SET);
    stream in = stream::from(number);
    CHECK(co_await receive_all(in) == text.substr(7));
    CHECK(::lseek(shared, 0, SEEK_CUR) == static_cast<off_t>(text.size()));
    ::lseek(shared, 0, SEEK_SET);
    const lease lent = co_await in.recv();
    CHECK(lent.size() == 4096);
    ::close(shared);
}

OURO_TEST_KERNEL("a file is written in order, by all ways of sending") {
    const int number = file_with("");
    const int shared = ::fcntl(number, F_DUPFD_CLOEXEC, 0);
    stream to = stream::from(number);
    co_await to.send_all("one\n");
    writer out(to);
    CHECK(out.write("two\n"));
    CHECK(out.write(chunk::copy_of("three\n")));
    co_await out.close();
    CHECK(content_of(shared) == "one\ntwo\nthree\n");
    CHECK(blocks(shared));
    ::close(shared);
}

OURO_TEST_KERNEL("a terminal is read by lines and written, and ended only whole") {
    const terminal made = new_terminal();
    stream user = stream::from(made.master), program = stream::from(made.slave);
    auto reading = spawn(
        [](stream& from) -> task<std::string> {
            reader in(from);
            const auto line = co_await in.read_line();
            co_return std::string(line.value_or("nothing"));
        },
        std::ref(program));
    co_await settle();
    co_await user.send_all("typed\n");
    CHECK(co_await reading == "typed");
    co_await program.send_all("shown");
    CHECK(co_await receive_exactly(user, 5) == "shown");
    CHECK(program.shutdown(half::send).error() == std::errc::operation_not_supported);
    auto waiting = spawn(receive_error, std::ref(program));
    co_await settle();
    waiting.cancel();
    CHECK(co_await waiting == errc::cancelled);
    CHECK(program.shutdown(half::both));
    CHECK(!program.is_open());
}

OURO_TEST_KERNEL("/dev/null ends at once and takes everything") {
    stream null = stream::from(::open("/dev/null", O_RDWR | O_CLOEXEC));
    CHECK(co_await receive_all(null) == "");
    co_await null.send_all(std::string(100'000, '0'));
}

OURO_TEST_IO("a connected socket stays one") {
    auto [a, b] = stream_pair();
    stream again = stream::from(a.release());
    CHECK(again.handle().through() == nullptr);
    co_await again.send_all("hello");
    CHECK(co_await receive_exactly(b, 5) == "hello");
    CHECK(again.shutdown(half::send));
    CHECK(co_await receive_all(b) == "");
}

OURO_TEST_IO("a socket that carries no stream of bytes yet, or never, is refused") {
    reactor& io = executor::current().io();
    const auto why = [](int fd) {
        const descriptor closes(fd);
        return why_not(fd);
    };
    CHECK(why(io.open_socket(AF_INET, SOCK_STREAM, 0)) == std::errc::not_connected);
    CHECK(why(io.open_socket(AF_INET, SOCK_DGRAM, 0)) == std::errc::wrong_protocol_type);
    listener at(endpoint{"127.0.0.1", 0});
    CHECK(why_not(at.fd()) == std::errc::not_connected);
    CHECK(why_not(-1) == std::errc::bad_file_descriptor);
    co_return;
}

OURO_TEST_KERNEL("what is no stream of bytes is refused and stays open") {
    CHECK(refused(::open("/", O_RDONLY | O_CLOEXEC), std::errc::is_a_directory));
    CHECK(refused(::eventfd(0, EFD_CLOEXEC), std::errc::operation_not_supported));
    CHECK(refused(::epoll_create1(EPOLL_CLOEXEC), std::errc::operation_not_supported));
    co_return;
}

TEST_CASE("pipes can be cancelled anywhere") {
    for (const sim::test_setting& setting : sim::real_settings()) {
        const sweep_report swept = cancel_everywhere(byte_by_byte, setting);
        CHECK_MESSAGE(swept.clean(), swept.complaints);
        CHECK(swept.points > 10);
    }
}
