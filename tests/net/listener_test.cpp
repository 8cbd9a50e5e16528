#include <ouro/net/listener.hpp>

#include "sockets.hpp"
#include <ouro/net/connect.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/log.hpp>
#include <ouro/runtime/run.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/sim/world.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/tests/no_more_descriptors.hpp>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <string>
#include <vector>

using namespace ouro;
using namespace ouro::net;
using namespace std::chrono_literals;

namespace {

task<std::error_code> accept_error(listener& at) {
    const auto taken = co_await as_result(at.accept());
    co_return taken.error();
}

task<> accept_one(listener& at, std::vector<stream>& into) { into.push_back(co_await at.accept()); }

std::string what_of(const endpoint& where, const listener_options& options = {}) {
    try {
        const listener at(where, options);
        return "listens on " + at.local().to_string();
    } catch (const std::system_error& error) {
        return error.what();
    }
}

/// A path for a socket that no other run uses.
endpoint fresh_path() {
    static int count = 0;
    return "unix:/tmp/ouro-listener-" + std::to_string(::getpid()) + '-' + std::to_string(++count);
}

bool exists(const endpoint& where) {
    struct stat file;
    return ::lstat(std::string(where.path()).c_str(), &file) == 0;
}

/// A socket file whose listener is gone.
void leave_stale_file(const endpoint& where) {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(::bind(fd, where.address(), where.length()) == 0);
    ::close(fd);
    REQUIRE(exists(where));
}

int option_of(int fd, int level, int name) { return socket_option(fd, level, name).value(); }

std::vector<std::string> warnings;

void remember_warning(log_level level, std::string_view text) {
    if (level == log_level::warning) warnings.emplace_back(text);
}

}  // namespace

OURO_TEST_IO("port 0 is a free port, which local() tells") {
    listener at(endpoint{"127.0.0.1", 0});
    CHECK(at.local().port() != 0);
    CHECK(at.is_open());
    stream client = co_await connect(at.local());
    stream server = co_await at.accept();
    CHECK(at.stats().accepted == 1);
    co_await client.send_all("hello");
    CHECK(co_await receive_exactly(server, 5) == "hello");
}

OURO_TEST_IO("a port in use is named in the error") {
    listener at(endpoint{"127.0.0.1", 0});
    const std::string name = at.local().to_string();
    CHECK(what_of(at.local()) == "cannot listen on " + name + ": Address already in use");
    co_return;
}

OURO_TEST_IO("no address, or one of somebody else, is an error that names it") {
    CHECK(what_of(endpoint()).starts_with("cannot listen on none: "));
    co_return;
}

OURO_TEST_KERNEL("an address that this machine does not have is an error that names it") {
    CHECK(what_of("192.0.2.1:80") ==
          "cannot listen on 192.0.2.1:80: Cannot assign requested address");
    co_return;
}

OURO_TEST_IO("a closed listener's port can be taken again at once") {
    listener at(endpoint{"127.0.0.1", 0});
    const endpoint where = at.local();
    stream client = co_await connect(where);
    stream server = co_await at.accept();
    server = stream();  // closes first, so that the port stays in TIME_WAIT
    CHECK(co_await receive_all(client) == "");
    client = stream();
    at.close();
    CHECK_FALSE(at.is_open());
    listener again(where);
    CHECK(again.local() == where);
}

OURO_TEST_IO("connections that were not taken are closed with the listener") {
    listener at(endpoint{"127.0.0.1", 0});
    std::vector<stream> taken;
    stream first = co_await connect(at.local());
    co_await accept_one(at, taken);
    stream second = co_await connect(at.local());
    co_await settle();
    at.close();
    std::array<std::byte, 1> space;
    const auto got = co_await as_result(second.recv(space));
    const bool ended = got.error() == std::errc::connection_reset || (got && *got == 0);
    CHECK(ended);
    co_await taken.front().send_all("still there");
    CHECK(co_await receive_exactly(first, 11) == "still there");
}

OURO_TEST_IO("waiting for a connection can be cancelled, and goes on later") {
    listener at(endpoint{"127.0.0.1", 0});
    auto waiting = spawn(accept_error, std::ref(at));
    co_await settle();
    waiting.cancel();
    CHECK(co_await waiting == errc::cancelled);
    stream client = co_await connect(at.local());
    const stream server = co_await at.accept();
    CHECK(server.is_open());
}

OURO_TEST_IO("several tasks may accept; each gets a connection of its own") {
    listener at(endpoint{"127.0.0.1", 0});
    std::vector<stream> servers, clients;
    auto both = [&](scope& tasks) -> task<> {
        for (int i = 0; i < 10; ++i) tasks.spawn(accept_one(at, servers));
        for (int i = 0; i < 10; ++i) clients.push_back(co_await connect(at.local()));
    };
    co_await with_scope(both);
    CHECK(servers.size() == 10);
    CHECK(at.stats().accepted == 10);
}

OURO_TEST_IO("a paused listener takes no connection until it is resumed") {
    listener at(endpoint{"127.0.0.1", 0});
    std::vector<stream> servers;
    at.pause();
    CHECK(at.paused());
    auto waiting = spawn(accept_one, std::ref(at), std::ref(servers));
    stream client = co_await connect(at.local());
    co_await settle();
    CHECK(servers.empty());
    at.resume();
    co_await waiting;
    CHECK(servers.size() == 1);
}

OURO_TEST_KERNEL("accepted and connected streams have the options that were asked for") {
    listener at(endpoint{"127.0.0.1", 0},
                {.accepted = {.keep_alive = keep_alive{.idle = 30s, .interval = 5s, .probes = 3},
                              .user_timeout = 20s}});
    auto both = co_await connection_through(at);
    CHECK(no_delay(both.far.fd()).value());
    CHECK(no_delay(both.near.fd()).value());
    CHECK(option_of(both.far.fd(), SOL_SOCKET, SO_KEEPALIVE) == 1);
    CHECK(option_of(both.near.fd(), SOL_SOCKET, SO_KEEPALIVE) == 0);

    listener slow(endpoint{"127.0.0.1", 0}, {.accepted = {.no_delay = false}});
    auto other = co_await connection_through(slow);
    CHECK_FALSE(no_delay(other.far.fd()).value());
}

OURO_TEST_KERNEL("accepted descriptors are close-on-exec") {
    auto both = co_await tcp_connection();
    CHECK((::fcntl(both.far.fd(), F_GETFD) & FD_CLOEXEC) != 0);
    CHECK((::fcntl(both.near.fd(), F_GETFD) & FD_CLOEXEC) != 0);
}

OURO_TEST_IO("two listeners share a port when both ask for it") {
    listener one(endpoint{"127.0.0.1", 0}, {.reuse_port = true});
    listener two(one.local(), {.reuse_port = true});
    CHECK(one.local() == two.local());
    co_return;
}

OURO_TEST_IO("a port alone listens on IPv4 and IPv6") {
    listener at(endpoint(":0"));
    const std::uint16_t port = at.local().port();
    stream v4 = co_await connect(endpoint{"127.0.0.1", port});
    stream from_v4 = co_await at.accept();
    CHECK(from_v4.peer().host() == "127.0.0.1");  // not ::ffff:127.0.0.1
    CHECK(from_v4.local() == endpoint{"127.0.0.1", port});
    if (!has_ipv6()) co_return;
    stream v6 = co_await connect(endpoint{"::1", port});
    stream from_v6 = co_await at.accept();
    CHECK(from_v6.peer().host() == "::1");
}

OURO_TEST_IO("an IPv6-only listener leaves the port to IPv4") {
    if (!has_ipv6()) co_return;
    listener v6(endpoint("[::1]:0"), {.v6_only = true});
    listener every(endpoint("[::]:0"), {.v6_only = true});
    listener v4(endpoint::any_ipv4(every.local().port()));
    CHECK(v4.local().port() == every.local().port());
    const auto refused = co_await as_result(connect(endpoint{"127.0.0.1", v6.local().port()}));
    CHECK(refused.error() == std::errc::connection_refused);
}

OURO_TEST_IO("an abstract Unix address connects, and its name is free again afterwards") {
    const endpoint name("unix:@ouro-listener-" + std::to_string(::getpid()));
    {
        listener at(name);
        CHECK(at.local() == name);
        auto both = co_await connection_through(at);
        co_await both.near.send_all("unix");
        CHECK(co_await receive_exactly(both.far, 4) == "unix");
        CHECK(both.near.peer() == name);
        CHECK(both.far.peer().to_string() == "unix:");
        CHECK(what_of(name).ends_with("Address already in use"));
    }
    listener again(name);
    CHECK(again.is_open());
}

OURO_TEST_KERNEL("a Unix socket's file comes and goes with its listener") {
    const endpoint path = fresh_path();
    {
        listener at(path);
        CHECK(exists(path));
        auto both = co_await connection_through(at);
        co_await both.near.send_all("file");
        CHECK(co_await receive_exactly(both.far, 4) == "file");
        listener moved = std::move(at);
        CHECK(exists(path));
    }
    CHECK_FALSE(exists(path));

    listener kept(path, {.unlink_on_close = false});
    kept.close();
    CHECK(exists(path));
    ::unlink(std::string(path.path()).c_str());
}

OURO_TEST_KERNEL("a stale socket file is replaced") {
    const endpoint path = fresh_path();
    leave_stale_file(path);
    {
        listener at(path);
        auto both = co_await connection_through(at);
        CHECK(both.far.is_open());
    }
    CHECK_FALSE(exists(path));

    leave_stale_file(path);
    CHECK(what_of(path, {.replace_stale = false}).ends_with("Address already in use"));
    ::unlink(std::string(path.path()).c_str());
}

namespace {

/// Listens and holds on until `stop` ends; says at once whether it could.
int start_there(const endpoint& where, int begin, int said, int stop) {
    char byte;
    if (::read(begin, &byte, 1) < 0) return 1;
    auto listens = [](endpoint at, int to, int until) -> task<> {
        std::optional<listener> mine;
        try {
            mine.emplace(at, listener_options{.unlink_on_close = false});
        } catch (const std::system_error&) {
        }
        const char answer = mine ? 'y' : 'n';
        static_cast<void>(!::write(to, &answer, 1));
        char nothing;
        static_cast<void>(!::read(until, &nothing, 1));
        co_return;
    };
    run(listens(where, said, stop), {.reactor = {.kind = reactor_kind::epoll}});
    return 0;
}

/// How many of two that start at the same moment over a stale file come to listen.
int starters_over_stale_file() {
    const endpoint path = fresh_path();
    leave_stale_file(path);
    int begin[2], said[2], stop[2];
    REQUIRE((::pipe(begin) == 0 && ::pipe(said) == 0 && ::pipe(stop) == 0));
    pid_t children[2];
    for (pid_t& child : children) {
        child = ::fork();
        if (child != 0) continue;
        ::close(begin[1]);
        ::close(stop[1]);
        ::_exit(start_there(path, begin[0], said[1], stop[0]));
    }
    ::close(begin[1]);  // both go
    int listening = 0;
    for (int i = 0; i < 2; ++i) {
        char answer = 'n';
        static_cast<void>(!::read(said[0], &answer, 1));
        listening += answer == 'y';
    }
    ::close(stop[1]);
    for (const pid_t child : children) ::waitpid(child, nullptr, 0);
    for (const int fd : {begin[0], said[0], said[1], stop[0]}) ::close(fd);
    ::unlink(std::string(path.path()).c_str());
    return listening;
}

}  // namespace

TEST_CASE("of two that start over one stale socket file, exactly one listens") {
    for (int round = 0; round < 100; ++round) REQUIRE(starters_over_stale_file() == 1);
}

OURO_TEST_KERNEL("the file of a living listener is not replaced, even when its backlog is full") {
    const endpoint path = fresh_path();
    listener at(path, {.backlog = 0});
    CHECK(what_of(path).ends_with("Address already in use"));
    std::vector<int> crowd;
    for (int i = 0; i < 4; ++i) {
        const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        static_cast<void>(::connect(fd, path.address(), path.length()));
        crowd.push_back(fd);
    }
    CHECK(what_of(path).ends_with("Address already in use"));
    CHECK(exists(path));
    for (const int fd : crowd) ::close(fd);
    co_return;
}

OURO_TEST_KERNEL("a file that is no socket is not touched") {
    const endpoint path = fresh_path();
    const int file = ::open(std::string(path.path()).c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    REQUIRE(file >= 0);
    ::close(file);
    CHECK(what_of(path).ends_with("Address already in use"));
    CHECK(exists(path));
    ::unlink(std::string(path.path()).c_str());
    co_return;
}

OURO_TEST_KERNEL("a file that was replaced meanwhile is left to its new owner") {
    const endpoint path = fresh_path();
    listener old(path);
    ::unlink(std::string(path.path()).c_str());
    listener young(path);
    old.close();
    CHECK(exists(path));
    young.close();
    CHECK_FALSE(exists(path));
    co_return;
}

OURO_TEST_KERNEL("a path in a folder that does not exist is an error that names it") {
    CHECK(what_of("unix:/nonexistent/socket") ==
          "cannot listen on unix:/nonexistent/socket: No such file or directory");
    co_return;
}

OURO_TEST_KERNEL("running out of descriptors pauses accepting and then goes on") {
    warnings.clear();
    set_log(remember_warning);
    listener at(endpoint{"127.0.0.1", 0});
    std::vector<stream> servers;
    stream client = co_await connect(at.local());
    co_await sleep_for(1ms);  // what a sanitizer sees for the first time costs it descriptors
    auto accepting = spawn(accept_one, std::ref(at), std::ref(servers));
    {
        const no_more_descriptors full;
        while (at.stats().exhausted == 0) co_await sleep_for(1ms);
        CHECK(servers.empty());
    }
    co_await accepting;
    set_log(nullptr);
    CHECK(servers.size() == 1);
    CHECK(at.stats().accepted == 1);
    REQUIRE(warnings.size() == at.stats().exhausted);
    CHECK(warnings.front() ==
          "accepting on " + at.local().to_string() + " pauses: Too many open files");
}

OURO_TEST("one connection's bad luck is passed over") {
    listener at(endpoint{"127.0.0.1", 0});
    for (const int number : {ECONNABORTED, EPERM, EPROTO, ENETDOWN}) {
        sim::world::current().fail_next(sim::act::accept, number, 100);
        stream client = co_await connect(at.local());
        const stream server = co_await at.accept();
        CHECK(server.is_open());
    }
    CHECK(at.stats().broken > 0);
    CHECK(at.stats().exhausted == 0);
}

OURO_TEST("what is used up is waited for") {
    for (const int number : {EMFILE, ENFILE, ENOBUFS, ENOMEM}) {
        listener at(endpoint{"127.0.0.1", 0});
        sim::world::current().fail_next(sim::act::accept, number);
        const time_point before = clock::now();
        stream client = co_await connect(at.local());
        const stream server = co_await at.accept();
        CHECK(server.is_open());
        CHECK(clock::now() - before >= 100ms);
        CHECK(at.stats().exhausted == 1);
        CHECK(at.stats().broken == 0);
    }
}

OURO_TEST("the pauses grow to a second while nothing gets better") {
    listener at(endpoint{"127.0.0.1", 0});
    sim::world::current().fail_next(sim::act::accept, EMFILE, 6);
    const time_point before = clock::now();
    stream client = co_await connect(at.local());
    const stream server = co_await at.accept();
    CHECK(server.is_open());
    const duration took = clock::now() - before;
    CHECK(took >= 100ms + 200ms + 400ms + 800ms + 1s + 1s);
    CHECK(took < 4s);
}

OURO_TEST("what waiting does not mend is thrown") {
    listener at(endpoint{"127.0.0.1", 0});
    sim::world::current().fail_next(sim::act::accept, EINVAL);
    stream client = co_await connect(at.local());
    // The first may be the kernel's way to say that it has no multishot accept.
    sim::world::current().fail_next(sim::act::accept, ENOTSOCK, 2);
    const std::error_code why = co_await accept_error(at);
    CHECK(why == std::errc::not_a_socket);
}

OURO_TEST("when every connection fails, it pauses, counts and says so") {
    warnings.clear();
    set_log(remember_warning);
    listener at(endpoint{"127.0.0.1", 0});
    sim::world::current().fail_next(sim::act::accept, EACCES, 40);
    const time_point before = clock::now();
    stream client = co_await connect(at.local());
    const stream server = co_await at.accept();
    set_log(nullptr);
    CHECK(server.is_open());
    CHECK(clock::now() - before >= 300ms);
    CHECK(at.stats().refused == 2);
    REQUIRE(warnings.size() == 2);
    CHECK(warnings.front().ends_with(" pauses: Permission denied"));
}

OURO_TEST_KERNEL("a twin of its socket goes on listening after it was closed") {
    listener at(endpoint{"127.0.0.1", 0});
    const endpoint where = at.local();
    auto waiting = spawn(accept_error, std::ref(at));
    co_await settle();
    const int twin = ::dup(at.fd());
    waiting.cancel();
    co_await waiting;
    at.close();
    listener heir = listener::adopt(twin);
    CHECK(heir.local() == where);
    auto both = co_await connection_through(heir);
    co_await both.near.send_all("hot");
    CHECK(co_await receive_exactly(both.far, 3) == "hot");
}

OURO_TEST_KERNEL("a blocking socket that listens already is adopted, and nobody waits for it") {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    const endpoint any{"127.0.0.1", 0};
    REQUIRE(::bind(fd, any.address(), any.length()) == 0);
    REQUIRE(::listen(fd, 16) == 0);
    listener at = listener::adopt(fd);
    CHECK((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    auto waiting = spawn(accept_error, std::ref(at));
    co_await settle();
    waiting.cancel();
    CHECK(co_await waiting == errc::cancelled);
    auto both = co_await connection_through(at);
    CHECK(both.far.is_open());
}

OURO_TEST_KERNEL("what does not listen is not adopted, and stays its owner's") {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_THROWS_AS(listener::adopt(fd), std::system_error);
    CHECK(::close(fd) == 0);
    co_return;
}

namespace {

task<> accept_and_answer() {
    listener at(endpoint{"127.0.0.1", 0});
    auto serve = [](listener& where) -> task<> {
        stream client = co_await where.accept();
        co_await client.send_all("hi");
    };
    auto both = [&](scope& tasks) -> task<> {
        tasks.spawn(serve(at));
        stream client = co_await connect(at.local());
        const std::string got = co_await receive_all(client);
        CHECK(got == "hi");
    };
    co_await with_scope(both);
}

}  // namespace

TEST_CASE("accepting can be cancelled anywhere") {
    const sweep_report swept = cancel_everywhere_on_all(accept_and_answer);
    CHECK_MESSAGE(swept.clean(), swept.complaints);
    CHECK(swept.points > 5);
}
