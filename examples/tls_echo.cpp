// tls_echo: an echo server under TLS. The echo is that of a clear stream.
//
//   tls_echo --listen 127.0.0.1:7443 --cert cert.pem --key key.pem [--buffers own|lent]
//            [--reactor uring]

#include "arguments.hpp"
#include <ouro/net/server.hpp>
#include <ouro/net/tls/handshake.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/run.hpp>

#include <array>
#include <cstdio>
#include <exception>
#include <string>

using namespace ouro;

namespace {

task<> echo_own(net::stream client) {
    std::array<std::byte, 16 * 1024> block;
    while (const std::size_t got = co_await client.recv(block))
        co_await client.send_all(std::span(block).first(got));
    client.shutdown(net::half::send).value();  // says that it is the end
}

/// An idle connection then holds no buffer.
task<> echo_lent(net::stream client) {
    for (;;) {
        const auto got = co_await client.recv();
        if (got.empty()) break;
        co_await client.send_all(got.data());
    }
    client.shutdown(net::half::send).value();
}

template <task<> (*echo)(net::stream)>
task<> serve(net::endpoint where, const net::tls::server_context& secrets) {
    auto secured_echo = [&secrets](net::stream client) -> task<> {
        auto made = co_await as_result(net::tls_accept(std::move(client), secrets));
        if (!made)
            std::fprintf(stderr, "%s\n", made.error_text().c_str());
        else
            co_await echo(std::move(made->stream));
    };
    net::server front(where);
    std::printf("listening on %s\n", front.local().to_string().c_str());
    std::fflush(stdout);
    co_await front.serve(secured_echo);
}

}  // namespace

int main(int argc, char** argv) try {
    const examples::arguments given(argc, argv, {"listen", "cert", "key", "buffers", "reactor"});
    const auto where = net::endpoint::parse(given.text("listen", "127.0.0.1:7443"));
    if (!where) examples::wrong_usage("--listen needs an address such as 127.0.0.1:7443");
    const bool lend = given.choice("buffers", "own", {"own", "lent"}) == "lent";
    const std::string reactor = given.choice("reactor", "auto", {"auto", "uring", "epoll"});
    runtime_options how;
    if (reactor != "auto")
        how.reactor.kind = reactor == "uring" ? reactor_kind::uring : reactor_kind::epoll;
    net::tls::server_options options;
    options.identities = {{.certificate_file = given.text("cert", "cert.pem"),
                           .key_file = given.text("key", "key.pem")}};
    const net::tls::server_context secrets(options);
    return run((lend ? serve<echo_lent> : serve<echo_own>)(*where, secrets), how);
} catch (const std::exception& problem) {
    std::fprintf(stderr, "%s\n", problem.what());  // which file, and what is wrong with it
    return 1;
}
