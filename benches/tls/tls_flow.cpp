// tls_flow: a server whose TLS connections move as much as they can, in one direction.
//
//   tls_flow --listen 127.0.0.1:7443 --cert cert.pem --key key.pem --mode send --reactor uring
//
//   send     for each byte that it receives, a block of 1 MiB in records of 16 KiB
//   receive  for each 1 MiB that it has received, one byte
//
// benches/load/tls_load.c is the other end, benches/floor/tls_epoll.c the same in C.

#include "examples/arguments.hpp"
#include <ouro/net/server.hpp>
#include <ouro/net/tls/handler.hpp>
#include <ouro/runtime/run.hpp>

#include <array>
#include <cstdio>
#include <exception>
#include <vector>

using namespace ouro;

namespace {

constexpr std::size_t block_bytes = 1 << 20;
constexpr std::size_t record_bytes = 16 * 1024;

std::vector<std::byte> make_block() {
    std::vector<std::byte> made(block_bytes);
    for (std::size_t i = 0; i < made.size(); ++i) {
        const std::size_t at = i % record_bytes;
        made[i] = static_cast<std::byte>(at * 31 + at / 256);
    }
    return made;
}

task<> send_blocks(net::stream& client) {
    static const std::vector<std::byte> block = make_block();
    std::array<std::byte, 16> asked;
    while (const std::size_t got = co_await client.recv(asked))
        for (std::size_t i = 0; i < got; ++i) co_await client.send_all(block);
}

task<> receive_blocks(net::stream& client) {
    const std::vector<std::byte> answers(16, std::byte{'m'});
    std::vector<std::byte> into(4 * record_bytes);
    std::size_t moved = 0;
    while (const std::size_t got = co_await client.recv(into)) {
        const std::size_t blocks = (moved + got) / block_bytes - moved / block_bytes;
        moved += got;
        if (blocks > 0) co_await client.send_all(std::span(answers).first(blocks));
    }
}

task<> serve(net::endpoint where, const net::tls::server_context& secrets, bool sends) {
    auto move_blocks = [sends](net::stream client) -> task<> {
        if (sends)
            co_await send_blocks(client);
        else
            co_await receive_blocks(client);
    };
    net::server front(where);
    net::tls_handler secured(secrets, move_blocks);
    co_await front.serve(secured);
}

}  // namespace

int main(int argc, char** argv) try {
    const examples::arguments given(argc, argv, {"listen", "cert", "key", "mode", "reactor"});
    const auto where = net::endpoint::parse(given.text("listen", "127.0.0.1:7443"));
    if (!where) examples::wrong_usage("--listen needs an address such as 127.0.0.1:7443");
    const bool sends = given.choice("mode", "send", {"send", "receive"}) == "send";
    runtime_options options;
    const std::string reactor = given.choice("reactor", "auto", {"auto", "uring", "epoll"});
    if (reactor != "auto")
        options.reactor.kind = reactor == "uring" ? reactor_kind::uring : reactor_kind::epoll;
    net::tls::server_options secure;
    secure.identities = {{.certificate_file = given.text("cert", "cert.pem"),
                          .key_file = given.text("key", "key.pem")}};
    const net::tls::server_context secrets(secure);
    return run(serve(*where, secrets, sends), options);
} catch (const std::exception& problem) {
    std::fprintf(stderr, "%s\n", problem.what());
    return 1;
}
