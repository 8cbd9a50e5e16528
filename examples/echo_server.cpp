// echo_server: an echo server as one would run it: options, workers, figures at the end.
//
//   echo_server --listen 127.0.0.1:7000 --reactor uring --workers 2

#include "arguments.hpp"
#include <ouro/net/listener.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/executor.hpp>
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

task<> serve(settings how) {
    const closing_report report;
    net::listener listener(how.listen, {.reuse_port = worker_count() > 1});
    if (this_worker() == 0) {
        fmt::print("listening on {}\n", listener.local().to_string());
        std::fflush(stdout);
    }
    for (;;) {
        net::stream client = co_await listener.accept();
        if (how.lend_buffers)
            spawn(echo_lent(std::move(client)));
        else
            spawn(echo(std::move(client)));
    }
}

task<> serve_everywhere(settings how) {
    co_await on_each_worker([how] { return serve(how); });
}

}  // namespace

int main(int argc, char** argv) {
    const examples::arguments given(argc, argv, {"listen", "reactor", "workers", "buffers"});
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
    return run(serve_everywhere({*address, lend}), options);
}
