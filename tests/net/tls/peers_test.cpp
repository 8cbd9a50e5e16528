// Others at the other end: openssl's programs, curl, nginx, python's ssl, Redis, memcached.
#include "engines.hpp"
#include <ouro/net/connect.hpp>
#include <ouro/net/tls/handshake.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/io/descriptor.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/tests/kv/child_process.hpp>
#include <ouro/tests/net/sockets.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cctype>
#include <filesystem>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace ouro;
using namespace ouro::net;
using namespace std::chrono_literals;

namespace {

using words = std::vector<std::string>;

/// Nobody is in a hurry here: the machine may be busy. A test that hangs is told by its own limit.
constexpr tls::handshake_options patient{.time_limit = 1h};

const tls_ca& ca() { return shared_tls_ca(); }

/// Waits until it holds, while what we have left to send leaves.
task<> until(std::function<bool()> holds) {
    while (!holds()) co_await sleep_for(2ms);
}

/// A program at the other end. It ends with this, if not before.
class peer_program {
public:
    explicit peer_program(const words& command, const std::string& name = "peer")
        : log_(ca().write(name + ".log", "")), process_(command, log_) {}

    bool running() noexcept { return process_.running(); }
    bool has_said(const std::string& what) const { return said().find(what) != std::string::npos; }
    std::string said() const { return tls_ca::read(log_); }

    /// Its exit code, once it has ended by itself.
    task<int> ended() {
        const auto over = [this] { return !running(); };
        co_await until(over);
        co_return process_.exit_code();
    }

private:
    std::string log_;
    child_process process_;
};

/// What a program reads as its standard input while a test types it.
class typed_input {
public:
    typed_input() : path_(ca().file("input")) {
        std::filesystem::remove(path_);
        if (::mkfifo(path_.c_str(), 0600) != 0) throw std::runtime_error("mkfifo " + path_);
        open_ = descriptor(::open(path_.c_str(), O_RDWR | O_CLOEXEC));  // waits for nobody
    }

    /// The command of a shell that becomes `command`.
    words into(const std::string& command) const {
        return {"sh", "-c", "exec " + command + " < " + path_};
    }
    void type(const std::string& text) {
        const auto size = static_cast<ssize_t>(text.size());
        CHECK(::write(open_.number(), text.data(), text.size()) == size);
    }

private:
    std::string path_;
    descriptor open_;
};

/// A server on a port that it was told, once it says that it is ready. Another program may take
/// the port before it does; then it ends, and is started on another one.
struct peer_server {
    std::unique_ptr<peer_program> program;
    std::uint16_t port = 0;
};
task<peer_server> started(std::function<words(std::uint16_t)> command,
                          std::function<bool(const peer_program&)> ready) {
    peer_server made;
    for (int tries = 0; tries < 5; ++tries) {
        made.port = free_port();
        made.program = std::make_unique<peer_program>(command(made.port), "server");
        const auto known = [&] { return ready(*made.program) || !made.program->running(); };
        co_await until(known);
        if (made.program->running()) co_return made;
    }
    throw std::runtime_error("it does not start: " + made.program->said());
}

/// The number behind `before` in `text`; 0 while it is not there.
std::uint16_t number_behind(const std::string& before, const std::string& text) {
    const std::size_t at = text.find(before);
    if (at == std::string::npos || text.find('\n', at) == std::string::npos) return 0;
    return static_cast<std::uint16_t>(std::stoi(text.substr(at + before.size())));
}

/// Takes one connection, and gives back everything until its end, or that of a line, in upper case.
task<> shout(listener& at, const tls::server_context& with, tls::info& about) {
    stream wire = co_await at.accept();
    tls::secured client = co_await tls_accept(std::move(wire), with, patient);
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

constexpr std::string_view http_answer =
    "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n";

/// A web server for one request.
task<> answer_http(listener& at, const tls::server_context& with, tls::info& about) {
    stream wire = co_await at.accept();
    tls::secured client = co_await tls_accept(std::move(wire), with, patient);
    about = client.session.info();
    std::string request;
    while (request.find("\r\n\r\n") == request.npos)
        request += co_await receive_exactly(client.stream, 1);
    CHECK(request.starts_with("GET /path HTTP/1.1\r\n"));
    co_await client.stream.send_all(http_answer);
    CHECK(client.stream.shutdown(half::send));
    std::array<std::byte, 64> space;
    static_cast<void>(co_await as_result(client.stream.recv(space)));  // it ends as it likes
}

std::string port_text(const listener& at) { return std::to_string(at.local().port()); }

task<tls::secured> connected(std::uint16_t port, const tls::client_context& with) {
    stream wire = co_await connect(endpoint{"127.0.0.1", port});
    co_return co_await tls_connect(std::move(wire), with, "localhost", patient);
}

/// Sends to a server what it answers with `answer`; with none, it ends the connection.
task<> ask(std::uint16_t port, const tls::client_context& with, std::string question,
           std::string answer) {
    tls::secured server = co_await connected(port, with);
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

/// The port that a server has chosen by itself, and told behind `before`, once it has.
task<std::uint16_t> port_told(peer_program& by, std::string before, std::string file = {}) {
    const auto told = [&] { return file.empty() ? by.said() : tls_ca::read(file); };
    const auto known = [&] { return number_behind(before, told()) != 0 || !by.running(); };
    co_await until(known);
    const std::uint16_t port = number_behind(before, told());
    if (port == 0) throw std::runtime_error("it does not listen: " + by.said());
    co_return port;
}

words s_server(std::vector<std::string> more) {
    const tls::identity who = tls::localhost_identity();
    words all = {"openssl", "s_server",           "-accept", "127.0.0.1:0",
                 "-cert",   who.certificate_file, "-key",    who.key_file};
    all.insert(all.end(), more.begin(), more.end());
    return all;
}

std::string s_client(const listener& at, const std::string& more) {
    return "openssl s_client -connect 127.0.0.1:" + port_text(at) +
           " -servername localhost -verify_return_error -CAfile " + ca().ca_file() + " " + more;
}

}  // namespace

OURO_TEST_KERNEL("openssl s_client talks to us, in both versions") {
    for (const char* version : {"-tls1_2", "-tls1_3"}) {
        const tls::server_context with(tls::serving());
        listener at(endpoint{"127.0.0.1", 0});
        typed_input keyboard;
        peer_program client(keyboard.into(s_client(at, std::string(version) + " -quiet")));
        keyboard.type("hello\n");
        tls::info about;
        co_await shout(at, with, about);
        CHECK(co_await client.ended() == 0);
        CHECK(client.has_said("HELLO"));
        CHECK(about.server_name == "localhost");
        CHECK((about.version == tls::version::tls1_2) == (version == std::string("-tls1_2")));
    }
}

OURO_TEST_KERNEL("openssl s_client changes its keys, and has us change ours") {
    const tls::server_context with(tls::serving());
    listener at(endpoint{"127.0.0.1", 0});
    typed_input keyboard;
    peer_program client(keyboard.into(s_client(at, "-tls1_3")));
    stream wire = co_await at.accept();
    tls::secured there = co_await tls_accept(std::move(wire), with, patient);
    const char* commands[] = {"k\n", "K\n"};
    std::string wanted;
    std::size_t behind = 0;
    const auto seen = [&] { return client.said().find(wanted, behind) != std::string::npos; };
    for (int i = 0; i < 2; ++i) {
        const std::string line = "line " + std::to_string(i) + '\n';
        wanted = "KEYUPDATE";
        behind = client.said().size();
        keyboard.type(commands[i]);
        co_await until(seen);
        keyboard.type(line);
        CHECK(co_await receive_exactly(there.stream, line.size()) == line);
        CHECK(there.session.update_keys(i == 1));
        wanted = "answer " + std::to_string(i);
        co_await there.stream.send_all(wanted + "\n");
        co_await until(seen);
    }
    keyboard.type("Q\n");
    CHECK(co_await client.ended() == 0);
}

OURO_TEST_KERNEL("openssl s_server talks to us") {
    const tls::client_context with(tls::trusting());
    for (const char* version : {"-tls1_2", "-tls1_3"}) {
        peer_program server(s_server({version, "-rev", "-naccept", "1"}));
        const std::uint16_t port = co_await port_told(server, "ACCEPT 127.0.0.1:");
        co_await ask(port, with, "abc\n", "cba\n");
        CHECK(co_await server.ended() == 0);
    }
}

OURO_TEST_KERNEL("openssl s_server takes our sessions up again") {
    for (const char* version : {"-tls1_2", "-tls1_3"}) {
        const tls::client_context with(tls::trusting());
        peer_program server(s_server({version, "-rev", "-naccept", "3"}));
        const std::uint16_t port = co_await port_told(server, "ACCEPT 127.0.0.1:");
        for (int i = 0; i < 3; ++i) co_await ask(port, with, "abc\n", "cba\n");
        CHECK(co_await server.ended() == 0);
        CHECK(with.stats().full == 1);
        CHECK(with.stats().resumed == 2);
    }
}

OURO_TEST_KERNEL("curl fetches from us") {
    tls::server_options options = tls::serving();
    options.alpn = {"http/1.1"};
    const tls::server_context with(options);
    listener at(endpoint{"127.0.0.1", 0});
    peer_program client({"curl", "-sS", "--http1.1", "--noproxy", "*", "--cacert", ca().ca_file(),
                         "--resolve", "localhost:" + port_text(at) + ":127.0.0.1",
                         "https://localhost:" + port_text(at) + "/path"});
    tls::info about;
    co_await answer_http(at, with, about);
    CHECK(about.alpn == "http/1.1");
    CHECK(co_await client.ended() == 0);
    CHECK(client.said() == "hello\n");
}

OURO_TEST_KERNEL("curl does not take our word for being another") {
    const tls::server_context with(tls::serving());
    listener at(endpoint{"127.0.0.1", 0});
    peer_program client({"curl", "-sS", "--noproxy", "*", "--cacert", ca().ca_file(), "--resolve",
                         "other.test:" + port_text(at) + ":127.0.0.1",
                         "https://other.test:" + port_text(at) + "/"});
    stream wire = co_await at.accept();
    auto made = co_await as_result(tls_accept(std::move(wire), with, patient));
    if (made) {  // of TLS 1.3: it hears of it later, as an alert or an end
        std::array<std::byte, 64> space;
        const auto got = co_await as_result(made->stream.recv(space));
        CHECK((!got || *got == 0));
        made->stream = stream();
    }
    CHECK(co_await client.ended() == 60);  // curl's word for it
}

OURO_TEST_KERNEL("nginx answers us, and asks us for others") {
    const tls::identity who = tls::localhost_identity();
    const tls::server_context behind(tls::serving());
    listener at(endpoint{"127.0.0.1", 0});
    const std::string folder = ca().file("nginx");
    std::filesystem::create_directories(folder);
    std::string temporary;
    for (const char* each : {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"})
        temporary += std::string(each) + "_temp_path " + folder + "/" + each + ";\n";
    auto command = [&](std::uint16_t port) -> words {
        std::filesystem::remove(folder + "/pid");
        const std::string config =
            ca().write("nginx.conf", "daemon off;\nmaster_process off;\npid " + folder +
                                         "/pid;\nevents {}\nhttp {\naccess_log off;\n" + temporary +
                                         "server {\nlisten 127.0.0.1:" + std::to_string(port) +
                                         " ssl;\nssl_certificate " + who.certificate_file +
                                         ";\nssl_certificate_key " + who.key_file +
                                         ";\nlocation /own { return 200 \"of its own\\n\"; }\n"
                                         "location / {\nproxy_pass https://127.0.0.1:" +
                                         port_text(at) +
                                         ";\nproxy_http_version 1.1;\nproxy_ssl_server_name on;\n"
                                         "proxy_ssl_name localhost;\nproxy_ssl_verify on;\n"
                                         "proxy_ssl_trusted_certificate " +
                                         ca().ca_file() + ";\n}\n}\n}\n");
        const bool aside = std::filesystem::exists("/usr/sbin/nginx");  // not in everybody's PATH
        return {aside ? "/usr/sbin/nginx" : "nginx", "-p", folder, "-e", "stderr", "-c", config};
    };
    // It writes the file when it listens.
    auto ready = [&](const peer_program&) { return !tls_ca::read(folder + "/pid").empty(); };
    peer_server server = co_await started(command, ready);

    const tls::client_context with(tls::trusting());
    const std::string get = " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    for (int i = 0; i < 3; ++i) {
        tls::secured own = co_await connected(server.port, with);
        co_await own.stream.send_all("GET /own" + get);
        CHECK((co_await receive_all(own.stream)).ends_with("\r\n\r\nof its own\n"));
    }
    CHECK(with.stats().resumed == 2);

    tls::info about;
    auto through = [&](scope& tasks) -> task<> {
        tasks.spawn(answer_http, std::ref(at), std::cref(behind), std::ref(about));
        tls::secured front = co_await connected(server.port, with);
        co_await front.stream.send_all("GET /path" + get);
        CHECK((co_await receive_all(front.stream)).ends_with("\r\n\r\nhello\n"));
    };
    co_await with_scope(through);
    CHECK(about.server_name == "localhost");
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
    peer_program client({"python3", program, port_text(at), ca().ca_file()});
    tls::info about;
    co_await shout(at, with, about);
    CHECK(co_await client.ended() == 0);
    CHECK(client.said().ends_with("well\n"));
}

OURO_TEST_KERNEL("python's ssl answers behind our end, and ends by itself") {
    const tls::identity who = tls::localhost_identity();
    const std::string program = ca().write("server.py", R"(
import socket, ssl, sys
mine = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
mine.load_cert_chain(sys.argv[1], sys.argv[2])
with socket.create_server(("127.0.0.1", 0)) as door:
    print("port", door.getsockname()[1], flush=True)
    wire, _ = door.accept()
    with mine.wrap_socket(wire, server_side=True) as talk:
        got = b""
        while part := talk.recv(65536):
            got += part
        talk.sendall(got.upper())
        talk.unwrap()
print("well")
)");
    peer_program server({"python3", program, who.certificate_file, who.key_file});
    const std::uint16_t port = co_await port_told(server, "port ");
    const tls::client_context with(tls::trusting());
    tls::secured there = co_await connected(port, with);
    const std::string sent(50'000, 'x');
    co_await there.stream.send_all(sent);
    CHECK(there.stream.shutdown(half::send));
    CHECK(co_await receive_all(there.stream) == std::string(50'000, 'X'));
    co_await there.stream.close();
    CHECK(co_await server.ended() == 0);
}

OURO_TEST_KERNEL("Redis answers under TLS, to clients that show a certificate") {
    const tls::identity who = tls::localhost_identity();
    auto command = [&](std::uint16_t port) -> words {
        return {"redis-server",       "--port",         "0",          "--tls-port",
                std::to_string(port), "--bind",         "127.0.0.1",  "--tls-cert-file",
                who.certificate_file, "--tls-key-file", who.key_file, "--tls-ca-cert-file",
                ca().ca_file(),       "--save",         "",           "--dir",
                ca().file("")};
    };
    auto ready = [](const peer_program& of) { return of.has_said("Ready to accept connections"); };
    peer_server server = co_await started(command, ready);
    tls::client_options options = tls::trusting();
    options.certificate = who;
    const tls::client_context with(options);
    co_await ask(server.port, with, "PING\r\n", "+PONG\r\n");
    // Who shows none is told so.
    const tls::client_context without(tls::trusting());
    auto made = co_await as_result(connected(server.port, without));
    if (made) {
        std::array<std::byte, 64> space;
        const auto got = co_await as_result(made->stream.recv(space));
        CHECK(!got);
        CHECK(made->session.error() == tls::errc::alert_received);
    }
    co_await ask(server.port, with, "SHUTDOWN NOSAVE\r\n", "");
    CHECK(co_await server.program->ended() == 0);
}

OURO_TEST_KERNEL("memcached answers under TLS") {
    const tls::identity who = tls::localhost_identity();
    const std::string ports = ca().file("memcached.ports");
    std::filesystem::remove(ports);
    // It chooses a port by itself, and writes it down once it listens there.
    peer_program server({"env", "MEMCACHED_PORT_FILENAME=" + ports, "memcached", "-u", "root", "-l",
                         "127.0.0.1", "-p", "-1", "-Z", "-o",
                         "ssl_chain_cert=" + who.certificate_file + ",ssl_key=" + who.key_file});
    const std::uint16_t port = co_await port_told(server, "TCP INET: ", ports);
    const tls::client_context with(tls::trusting());
    co_await ask(port, with, "mn\r\n", "MN\r\n");
}
