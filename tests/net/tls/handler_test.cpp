#include <ouro/net/tls/handler.hpp>

#include "engines.hpp"
#include <ouro/net/connect.hpp>
#include <ouro/net/server.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/log.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/tests/net/sockets.hpp>

#include <algorithm>
#include <array>
#include <mutex>
#include <string>
#include <vector>

using namespace ouro;
using namespace ouro::net;
using namespace std::chrono_literals;

namespace {

const endpoint any_port{"127.0.0.1", 0};

tls::client_context& asks() {
    static tls::client_context made(tls::trusting());
    return made;
}

task<> echo(stream client) {
    std::array<std::byte, 256> block;
    while (const std::size_t got = co_await client.recv(block))
        co_await client.send_all(std::span(block).first(got));
    CHECK(client.shutdown(half::send));
}

task<stream> reach(const server& front, const tls::client_context& with) {
    stream wire = co_await connect(front.local());
    tls::secured made = co_await tls_connect(std::move(wire), with, "localhost");
    co_return std::move(made.stream);
}

task<std::string> echoed(stream& by, std::string text) {
    co_await by.send_all(text);
    std::string back(text.size(), ' ');
    for (std::size_t have = 0; have < back.size();) {
        const auto space = std::as_writable_bytes(std::span(back)).subspan(have);
        const std::size_t got = co_await by.recv(space);
        if (got == 0) co_return back.substr(0, have);
        have += got;
    }
    co_return back;
}

/// Waits for a condition that others bring about.
template <class F>
task<> until(F condition) {
    while (!condition()) co_await sleep_for(1ms);
}

std::mutex log_lock;
std::vector<std::string> logged;

struct log_keeper {
    log_keeper() {
        logged.clear();
        set_log([](log_level level, std::string_view text) {
            const std::lock_guard hold(log_lock);
            if (level == log_level::debug) logged.emplace_back(text);
        });
    }
    ~log_keeper() { set_log(log_to_stderr); }
};

OURO_TEST_IO("a server's handler gets its connections under TLS") {
    const tls::server_context secrets(tls::serving());
    server front(any_port);
    tls_handler secured_echo(secrets, echo);
    auto serving = spawn(front.serve(secured_echo));
    {
        stream client = co_await reach(front, asks());
        CHECK(co_await echoed(client, "hello") == "hello");
        CHECK(client.shutdown(half::send));
        std::array<std::byte, 8> space;
        CHECK(co_await client.recv(space) == 0);
    }
    front.stop();
    co_await serving;
    CHECK(front.stats().failed == 0);
    CHECK(secrets.stats().full + secrets.stats().resumed == 1);
}

OURO_TEST_IO("a handler that wants to know gets what was agreed on, too") {
    tls::server_options options = tls::serving();
    options.alpn = {"shout"};
    const tls::server_context secrets(options);
    tls::client_options asking = tls::trusting();
    asking.alpn = {"shout"};
    const tls::client_context trust(asking);
    server front(any_port);
    std::string agreed;
    auto note = [&agreed](tls::secured client) -> task<> {
        agreed = client.session.info().alpn;
        co_await echo(std::move(client.stream));
    };
    tls_handler handler(secrets, note);
    auto serving = spawn(front.serve(handler));
    {
        stream client = co_await reach(front, trust);
        CHECK(co_await echoed(client, "a") == "a");
    }
    front.stop();
    co_await serving;
    CHECK(agreed == "shout");
}

OURO_TEST_KERNEL("handshakes that fail or stall are counted, and disturb nobody") {
    const log_keeper keeper;
    const tls::server_context secrets(tls::serving());
    server front(any_port), hasty(any_port);
    tls_handler secured_echo(secrets, echo);
    tls::handshake_options at_once;
    at_once.time_limit = 10ms;
    tls_handler hasty_echo(secrets, echo, at_once);
    auto serving = spawn(front.serve(secured_echo));
    auto serving_hastily = spawn(hasty.serve(hasty_echo));
    stream witness = co_await reach(front, asks());
    CHECK(co_await echoed(witness, "before") == "before");

    stream silent = co_await connect(hasty.local());
    stream clear = co_await connect(front.local());
    co_await clear.send_all("GET / HTTP/1.1\r\n\r\n");
    stream gone = co_await connect(front.local());
    co_await until([&] { return front.stats().accepted == 3; });
    co_await gone.close();
    co_await until([&] { return secrets.stats().failed == 3; });
    CHECK(secrets.stats().failed_for(tls::errc::not_tls) == 1);
    CHECK(secrets.stats().failed_for(tls::errc::handshake_timeout) == 1);

    CHECK(co_await echoed(witness, "after") == "after");
    CHECK(front.stats().failed + hasty.stats().failed == 0);
    {
        const std::lock_guard hold(log_lock);
        CHECK(logged.size() == 3);
        for (const std::string& line : logged)
            CHECK_MESSAGE(line.starts_with("TLS handshake of 127.0.0.1:"), line);
        const auto is_clear = [](const std::string& line) {
            return line.ends_with("failed: what came is not TLS (it looks like text)");
        };
        CHECK(std::count_if(logged.begin(), logged.end(), is_clear) == 1);
    }
    co_await witness.close();
    front.stop();
    hasty.stop();
    co_await serving;
    co_await serving_hastily;
}

OURO_TEST_IO("a server that stops does not wait for handshakes longer than for others") {
    const tls::server_context secrets(tls::serving());
    server_options options;
    options.drain = 50ms;
    server front(any_port, options);
    tls_handler secured_echo(secrets, echo);
    auto serving = spawn(front.serve(secured_echo));
    stream silent = co_await connect(front.local());
    co_await until([&] { return front.stats().open == 1; });
    front.stop();
    co_await serving;
    CHECK(front.stats().cancelled == 1);
    CHECK(secrets.stats().cancelled == 1);
}

}  // namespace
