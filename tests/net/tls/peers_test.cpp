// Others at the other end: openssl's programs, curl, python's ssl, Redis, memcached.
#include "engines.hpp"
#include <ouro/net/connect.hpp>
#include <ouro/net/tls/handshake.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/tests/kv/child_process.hpp>
#include <ouro/tests/net/sockets.hpp>

#include <sys/wait.h>

#include <cstdlib>
#include <string>
#include <vector>

using namespace ouro;
using namespace ouro::net;
using namespace std::chrono_literals;

namespace {

const tls_ca& ca() { return shared_tls_ca(); }

/// A program at the other end; it has ended by itself within 30 seconds.
class peer_program {
public:
    explicit peer_program(std::vector<std::string> command, std::string name)
        : log_(empty_log(name)), process_(limited(std::move(command)), log_) {}

    /// Its exit code, once it has ended; meanwhile what we have left to send leaves.
    task<int> ended() {
        while (process_.running()) co_await sleep_for(2ms);
        co_return process_.exit_code();
    }
    std::string said() const { return tls_ca::read(log_); }

private:
    static std::string empty_log(const std::string& name) { return ca().write(name + ".log", ""); }
    static std::vector<std::string> limited(std::vector<std::string> command) {
        command.insert(command.begin(), {"timeout", "30"});
        return command;
    }

    std::string log_;
    child_process process_;
};

std::string input_file(const std::string& text) { return ca().write("input.txt", text); }

/// "sh -c" with the words in their places, for redirections.
std::vector<std::string> shell(const std::string& line) { return {"sh", "-c", line}; }

/// Takes one connection, and gives back everything until its end, or that of a line, in upper case.
task<> shout(listener& at, const tls::server_context& with, tls::info& about) {
    stream wire = co_await at.accept();
    tls::secured client = co_await tls_accept(std::move(wire), with);
    about = client.session.info();
    std::array<std::byte, 4096> space;
    while (const std::size_t got = co_await client.stream.recv(space)) {
        for (std::byte& each : std::span(space).first(got))
            each = static_cast<std::byte>(std::toupper(static_cast<int>(each)));
        co_await client.stream.send_all(std::span(space).first(got));
        if (space[got - 1] == std::byte{'\n'}) break;
    }
    CHECK(client.stream.shutdown(half::send));
    co_await client.stream.close();
}

/// A web server for one request.
task<> answer_http(listener& at, const tls::server_context& with) {
    stream wire = co_await at.accept();
    tls::secured client = co_await tls_accept(std::move(wire), with);
    CHECK(client.session.info().alpn == "http/1.1");
    std::string request;
    while (request.find("\r\n\r\n") == request.npos)
        request += co_await receive_exactly(client.stream, 1);
    CHECK(request.starts_with("GET /path HTTP/1.1\r\n"));
    co_await client.stream.send_all(
        "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n");
    CHECK(client.stream.shutdown(half::send));
    std::array<std::byte, 64> space;
    co_await client.stream.recv(space);
}

std::string port_text(const listener& at) { return std::to_string(at.local().port()); }

task<stream> connected(std::uint16_t port) {
    for (int tries = 0; tries < 1000; ++tries) {
        auto made = co_await as_result(connect(endpoint{"127.0.0.1", port}));
        if (made) co_return std::move(*made);
        co_await sleep_for(10ms);
    }
    throw std::runtime_error("nobody listens");
}

/// Sends to a server what it answers with `answer`; with none, it ends the connection.
task<> ask(std::uint16_t port, const tls::client_context& with, std::string question,
           std::string answer) {
    stream wire = co_await connected(port);
    tls::secured server = co_await tls_connect(std::move(wire), with, "localhost");
    co_await server.stream.send_all(question);
    if (answer.empty()) {
        std::array<std::byte, 64> space;
        const auto ended = co_await as_result(server.stream.recv(space));
        CHECK((!ended || *ended == 0));
        co_return;
    }
    CHECK(co_await receive_exactly(server.stream, answer.size()) == answer);
    CHECK(server.stream.shutdown(half::send));
}

}  // namespace

OURO_TEST_KERNEL("openssl s_client talks to us, in both versions") {
    for (const char* version : {"-tls1_2", "-tls1_3"}) {
        const tls::server_context with(tls::serving());
        listener at(endpoint{"127.0.0.1", 0});
        const std::string text(100'000, 'x');
        peer_program client(
            shell("openssl s_client -connect 127.0.0.1:" + port_text(at) +
                  " -servername localhost -verify_return_error -CAfile " + ca().ca_file() + " " +
                  version + " -quiet < " + input_file("hello\n")),
            "s_client");
        tls::info about;
        co_await shout(at, with, about);
        CHECK(co_await client.ended() == 0);
        CHECK(client.said().find("HELLO") != std::string::npos);
        CHECK(about.server_name == "localhost");
        CHECK((about.version == tls::version::tls1_2) == (version == std::string("-tls1_2")));
    }
}

OURO_TEST_KERNEL("openssl s_server talks to us") {
    const tls::identity who = tls::localhost_identity();
    const tls::client_context with(tls::trusting());
    for (const char* version : {"-tls1_2", "-tls1_3"}) {
        const std::uint16_t port = free_port();
        peer_program server(
            {"openssl", "s_server", "-accept", "127.0.0.1:" + std::to_string(port), "-cert",
             who.certificate_file, "-key", who.key_file, version, "-rev", "-naccept", "1"},
            "s_server");
        co_await ask(port, with, "abc\n", "cba\n");
        CHECK(co_await server.ended() == 0);
    }
}

OURO_TEST_KERNEL("curl fetches from us") {
    tls::server_options options = tls::serving();
    options.alpn = {"http/1.1"};
    const tls::server_context with(options);
    listener at(endpoint{"127.0.0.1", 0});
    peer_program client({"curl", "-sS", "--http1.1", "--noproxy", "*", "--cacert", ca().ca_file(),
                         "--resolve", "localhost:" + port_text(at) + ":127.0.0.1",
                         "https://localhost:" + port_text(at) + "/path"},
                        "curl");
    co_await answer_http(at, with);
    CHECK(co_await client.ended() == 0);
    CHECK(client.said() == "hello\n");
}

OURO_TEST_KERNEL("python's ssl talks to us, and half closes") {
    const tls::server_context with(tls::serving());
    listener at(endpoint{"127.0.0.1", 0});
    const std::string program = ca().write("client.py", R"(
import socket, ssl, sys
trust = ssl.create_default_context(cafile=sys.argv[2])
wire = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
with trust.wrap_socket(wire, server_hostname="localhost") as talk:
    sent = b"word " * 20000
    talk.sendall(sent)
    got = b""
    while len(got) < len(sent):
        got += talk.recv(65536)
    assert got == sent.upper()
    talk.unwrap()
print("well")
)");
    peer_program client({"python3", program, port_text(at), ca().ca_file()}, "python");
    tls::info about;
    co_await shout(at, with, about);
    CHECK(co_await client.ended() == 0);
    CHECK(client.said().ends_with("well\n"));
}

OURO_TEST_KERNEL("Redis answers under TLS, to clients that show a certificate") {
    const tls::identity who = tls::localhost_identity();
    tls::client_options options = tls::trusting();
    options.certificate = who;
    const tls::client_context with(options);
    const std::uint16_t port = free_port();
    peer_program server(
        {"redis-server", "--port", "0", "--tls-port", std::to_string(port), "--bind", "127.0.0.1",
         "--tls-cert-file", who.certificate_file, "--tls-key-file", who.key_file,
         "--tls-ca-cert-file", ca().ca_file(), "--save", "", "--dir", ca().file("")},
        "redis");
    co_await ask(port, with, "PING\r\n", "+PONG\r\n");
    co_await ask(port, with, "SHUTDOWN NOSAVE\r\n", "");
    CHECK(co_await server.ended() == 0);
}

OURO_TEST_KERNEL("memcached answers under TLS") {
    const tls::identity who = tls::localhost_identity();
    const tls::client_context with(tls::trusting());
    const std::uint16_t port = free_port();
    const child_process server(
        {"timeout", "30", "memcached", "-u", "root", "-l", "127.0.0.1", "-p", std::to_string(port),
         "-Z", "-o", "ssl_chain_cert=" + who.certificate_file + ",ssl_key=" + who.key_file},
        ca().file("memcached.log"));
    co_await ask(port, with, "mn\r\n", "MN\r\n");
}
