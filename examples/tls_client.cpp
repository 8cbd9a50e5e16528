// tls_client: connects under TLS, says with whom, and passes on standard input and output.
//
//   tls_client --host example.org --port 443 [--ca ca.pem] [--alpn http/1.1] < request

#include "arguments.hpp"
#include <ouro/net/connect.hpp>
#include <ouro/net/tls/handshake.hpp>
#include <ouro/runtime/run.hpp>
#include <ouro/runtime/spawn.hpp>

#include <array>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <string>

using namespace ouro;

namespace {

struct target {
    std::string host;
    std::uint16_t port;
};

void describe(const net::tls::session& with) {
    const net::tls::info& about = with.info();
    std::fprintf(stderr, "TLS %s, %s%s%s\n",
                 about.version == net::tls::version::tls1_3 ? "1.3" : "1.2", about.cipher.c_str(),
                 about.alpn.empty() ? "" : ", ", about.alpn.c_str());
    if (const auto peer = with.peer_certificate())
        std::fprintf(stderr, "%s, signed by %s\n%s\n", peer->subject.c_str(), peer->issuer.c_str(),
                     peer->fingerprint_text().c_str());
}

/// What comes from standard input, all of it, and then the end.
task<> send_input(net::stream& to) {
    std::array<char, 4096> block;
    while (const std::size_t got = std::fread(block.data(), 1, block.size(), stdin))
        co_await to.send_all(std::string_view(block.data(), got));
    to.shutdown(net::half::send).value();
}

task<> talk(target to, const net::tls::client_context& trust) {
    net::stream wire = co_await net::connect(to.host, to.port);
    net::tls::secured server = co_await net::tls_connect(std::move(wire), trust, to.host);
    describe(server.session);
    auto sending = spawn(send_input, std::ref(server.stream));
    std::array<std::byte, 16 * 1024> block;
    while (const std::size_t got = co_await server.stream.recv(block))
        std::fwrite(block.data(), 1, got, stdout);
    co_await sending;
}

}  // namespace

int main(int argc, char** argv) try {
    const examples::arguments given(argc, argv, {"host", "port", "ca", "alpn"});
    net::tls::client_options options;
    options.ca_file = given.text("ca", "");
    if (given.has("alpn")) options.alpn = {given.text("alpn", "")};
    const net::tls::client_context trust(options);
    const target to{given.text("host", "localhost"),
                    static_cast<std::uint16_t>(given.number("port", 7443, 1, 65'535))};
    return run(talk(to, trust));
} catch (const std::exception& problem) {
    std::fprintf(stderr, "%s\n", problem.what());
    return 1;
}
