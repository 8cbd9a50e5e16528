// fake_server.hpp: a Redis server made of a function, for what real ones do not do when asked.
#pragma once

#include <ouro/kv/redis/testing/said.hpp>
#include <ouro/net/bytes/reader.hpp>
#include <ouro/net/listener.hpp>
#include <ouro/net/stream.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/spawn.hpp>

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ouro::testing {

/// One connection, as the answering function sees it.
struct fake_caller {
    int number = 0;                            ///< 0 for the first connection
    std::size_t bytes_left = ~std::size_t{0};  ///< the connection closes behind so many more bytes
    std::size_t piece = ~std::size_t{0};       ///< sends so many bytes at a time, in turns
    bool close = false;                        ///< set it to close behind the answer
};

/// Listens on the simulated (or a real) loopback and answers each command with what a function
/// returns: bytes, as they are. HELLO, CLIENT and SELECT are answered by itself unless told not to.
class fake_server {
public:
    using answer = std::function<std::string(const words_said&, fake_caller&)>;

    explicit fake_server(answer how, bool greets = true)
        : state_(std::make_shared<state>(std::move(how), greets)),
          accepting_(spawn(accept_all(state_))) {}
    fake_server(fake_server&&) = delete;
    ~fake_server() {
        accepting_.cancel();
        state_->how = nullptr;  // connections may outlive what it refers to by a moment
    }

    std::uint16_t port() const { return state_->port; }
    std::string url() const { return "redis://127.0.0.1:" + std::to_string(port()); }
    /// How many connections there were.
    int connections() const { return state_->connections; }
    /// Sends bytes on a connection without being asked; nothing when it is gone.
    task<> say(int connection, std::string bytes) {
        const auto at = state_->open.find(connection);
        if (at != state_->open.end()) co_await at->second->send_all(bytes);
    }
    /// Ends all connections.
    void hang_up() {
        for (const auto& [number, stream] : state_->open)
            static_cast<void>(stream->shutdown(net::half::both));
    }
    /// The same, and takes no more of them.
    void stop() {
        accepting_.cancel();
        state_->listener.close();
        hang_up();
    }
    /// Every command that came, on all connections, those it answered by itself left out.
    const std::vector<words_said>& heard() const { return state_->heard; }

private:
    struct state {
        state(answer how, bool greets)
            : listener(net::endpoint("127.0.0.1:0")),
              port(listener.local().port()),
              how(std::move(how)),
              greets(greets) {}
        net::listener listener;
        std::uint16_t port;
        answer how;
        bool greets;
        int connections = 0;
        std::map<int, net::stream*> open;
        std::vector<words_said> heard;
    };

    static constexpr std::size_t words_bytes_max = std::size_t{16} << 20;  // of one command

    static task<> accept_all(std::shared_ptr<state> of) {
        for (;;) {
            auto client = co_await as_result(of->listener.accept());
            if (!client) co_return;
            spawn(serve(of, std::move(*client), of->connections++));
        }
    }

    static std::string greeting(const words_said& said) {
        if (said[0] == "HELLO") return "%2\r\n+server\r\n+fake\r\n+id\r\n:7\r\n";
        if (said[0] == "CLIENT" || said[0] == "SELECT" || said[0] == "READONLY") return "+OK\r\n";
        return {};
    }

    static task<> serve(std::shared_ptr<state> of, net::stream client, int number) {
        net::reader in(client, {.bytes_max = words_bytes_max});
        fake_caller caller{.number = number};
        of->open[number] = &client;
        while (!caller.close && caller.bytes_left > 0) {
            auto said = co_await read_command(in);
            if (said.empty() || !of->how) break;
            std::string reply = of->greets ? greeting(said) : std::string();
            if (reply.empty()) {
                of->heard.push_back(said);
                reply = of->how(said, caller);
            }
            reply.resize(std::min(reply.size(), caller.bytes_left));
            caller.bytes_left -= reply.size();
            auto sent = co_await as_result(send_pieces(client, reply, caller.piece));
            if (!sent) break;
        }
        of->open.erase(number);
        co_await client.close();
    }

    static task<> send_pieces(net::stream& to, std::string_view all, std::size_t piece) {
        while (!all.empty()) {
            const std::string_view now = all.substr(0, piece);
            co_await to.send_all(now);
            all.remove_prefix(now.size());
            if (!all.empty()) co_await yield();
        }
    }

    std::shared_ptr<state> state_;
    join_handle<void> accepting_;
};

}  // namespace ouro::testing
