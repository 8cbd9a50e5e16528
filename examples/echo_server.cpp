// echo_server: an echo server as one would run it: options, workers, figures at the end.
//
//   echo_server --listen 127.0.0.1:7000 --reactor uring --workers 2 [--buffers own|lent]
//               [--connections 1000] [--drain 5s]

#include "arguments.hpp"
#include <ouro/net/server.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/engine/executor.hpp>
#include <ouro/runtime/remote.hpp>
#include <ouro/runtime/run.hpp>

#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <string>

using namespace ouro;

namespace {

struct settings {
    net::endpoint listen;
    bool lend_buffers = false;  // an idle connection then holds no buffer
    std::size_t connections_max = 0;
    duration drain{};  // how long connections may go on once it is told to stop
};

/// A disconnect is everyday life here, so errors are taken as values and end the connection.
task<> echo(net::stream client) {
    std::array<std::byte, 16 * 1024> block;
    for (;;) {
        const auto got = co_await as_result(client.recv(block));
        if (!got || *got == 0) co_return;
        const auto sent = co_await as_result(client.send_all(std::span(block).first(*got)));
        if (!sent) co_return;
    }
}

task<> echo_lent(net::stream client) {
    for (;;) {
        auto got = co_await as_result(client.recv());
        if (!got || got->empty()) co_return;
        const auto sent = co_await as_result(client.send_all(got->data()));
        if (!sent) co_return;
    }
}

/// Printed when the server is told to stop: what the connections cost in system calls.
struct closing_report {
    ~closing_report() {
        executor& here = executor::current();
        const reactor_stats& io = here.io().stats();
        fmt::print("worker {}: submissions {} completions {} system_calls {}\n", here.worker(),
                   io.submissions, io.completions, io.system_calls);
        std::fflush(stdout);
    }
};

task<> serve_here(net::server& front, bool lend_buffers) {
    const closing_report report;
    co_await front.serve_here(lend_buffers ? echo_lent : echo);
}

task<> serve_everywhere(settings how) {
    net::server front(how.listen, {.connections_max = how.connections_max, .drain = how.drain});
    fmt::print("listening on {}\n", front.local().to_string());
    std::fflush(stdout);
    const auto serve = [&] { return serve_here(front, how.lend_buffers); };
    co_await on_each_worker(serve);
}

}  // namespace

int main(int argc, char** argv) {
    const examples::arguments given(
        argc, argv, {"listen", "reactor", "workers", "buffers", "connections", "drain"});
    const std::string where = given.text("listen", "127.0.0.1:7000");
    const auto address = net::endpoint::parse(where);
    if (!address)
        examples::wrong_usage("--listen needs an address such as 127.0.0.1:7000, not '" + where +
                              "'");
    const std::string reactor = given.choice("reactor", "auto", {"auto", "uring", "epoll"});
    const bool lend = given.choice("buffers", "own", {"own", "lent"}) == "lent";

    runtime_options options;
    options.workers = static_cast<unsigned>(given.number("workers", 1, 1, 1024));
    if (reactor != "auto")
        options.reactor.kind = reactor == "uring" ? reactor_kind::uring : reactor_kind::epoll;
    settings how{.listen = *address, .lend_buffers = lend};
    how.connections_max =
        static_cast<std::size_t>(given.number("connections", 1'000'000, 1, 10'000'000));
    how.drain = given.time("drain", duration::zero());
    return run(serve_everywhere(how), options);
}
