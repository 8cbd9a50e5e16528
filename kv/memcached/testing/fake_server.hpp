// fake_server.hpp: a memcached made of a function, for what real ones do not do when asked.
#pragma once

#include <ouro/net/bytes/reader.hpp>
#include <ouro/net/listener.hpp>
#include <ouro/net/stream.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/spawn.hpp>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ouro::memcached {

/// One request: the words of its line, and the value of one that stores.
struct heard_request {
    std::vector<std::string> words;
    std::string value;

    std::string_view verb() const { return words[0]; }
    std::string_view key() const { return words.size() > 1 ? words[1] : words[0]; }
    /// " O7" when the request has an opaque of 7.
    std::string opaque() const {
        for (const std::string& word : words)
            if (word[0] == 'O') return " " + word;
        return {};
    }
};

/// One connection, as the answering function sees it.
struct fake_caller {
    int number = 0;                            ///< 0 for the first connection
    std::size_t bytes_left = ~std::size_t{0};  ///< the connection closes behind so many more bytes
    bool close = false;                        ///< set it to close behind the answer
};

/// What an honest server would say, with the value "<key>'s" for every key.
inline std::string honest(const heard_request& asked) {
    const std::string o = asked.opaque();
    if (asked.verb() == "mg" && asked.key() == "ouro:probe") return "EN" + o + "\r\n";
    if (asked.verb() == "mg") {
        const std::string value = std::string(asked.key()) + "'s";
        return "VA " + std::to_string(value.size()) + o + "\r\n" + value + "\r\n";
    }
    if (asked.verb() == "get") {
        std::string all;
        for (std::size_t i = 1; i < asked.words.size(); ++i) {
            const std::string value = asked.words[i] + "'s";
            all += "VALUE " + asked.words[i] + " 0 " + std::to_string(value.size()) + "\r\n" +
                   value + "\r\n";
        }
        return all + "END\r\n";
    }
    if (asked.verb() == "version") return "VERSION 1.6.0\r\n";
    if (asked.verb() == "set") return "STORED\r\n";
    return "HD" + o + "\r\n";
}

/// Listens on the simulated (or a real) loopback and answers each request with what a function
/// returns: bytes, as they are. The probe of the handshake it answers by itself.
class fake_server {
public:
    using answer = std::function<std::string(const heard_request&, fake_caller&)>;

    explicit fake_server(answer how, bool greets = true, std::string_view at = "127.0.0.1:0")
        : state_(std::make_shared<state>(std::move(how), greets, at)),
          accepting_(spawn(accept_all(state_))) {}
    fake_server(fake_server&&) = delete;
    ~fake_server() { accepting_.cancel(); }

    std::string address() const { return state_->address; }
    int connections() const { return state_->connections; }
    /// Every request that came, on all connections, without the probes.
    const std::vector<heard_request>& heard() const { return state_->heard; }
    /// How many receives those took.
    int receives() const { return state_->receives; }

private:
    struct state {
        state(answer how, bool greets, std::string_view at)
            : listener(net::endpoint(at)),
              address(listener.local().to_string()),
              how(std::move(how)),
              greets(greets) {}
        net::listener listener;
        std::string address;
        answer how;
        bool greets;
        int connections = 0;
        int receives = 0;
        std::vector<heard_request> heard;
    };

    static task<> accept_all(std::shared_ptr<state> of) {
        for (;;) {
            auto client = co_await as_result(of->listener.accept());
            if (!client) break;
            spawn(serve(of, std::move(*client), of->connections++));
        }
        of->listener.close();
    }

    static task<> serve(std::shared_ptr<state> of, net::stream client, int number) {
        net::reader in(client, {.bytes_max = 4 * 1024 * 1024});
        fake_caller caller{.number = number};
        while (!caller.close && caller.bytes_left > 0) {
            heard_request asked;
            if (!take_request(in, asked)) {
                auto got = co_await as_result(in.read_some());
                if (!got || *got == 0) break;
                ++of->receives;
                continue;
            }
            std::string said;
            if (of->greets && asked.key() == "ouro:probe") {
                said = honest(asked);
            } else {
                of->heard.push_back(asked);
                said = of->how(asked, caller);
            }
            said.resize(std::min(said.size(), caller.bytes_left));
            caller.bytes_left -= said.size();
            auto sent = co_await as_result(client.send_all(said));
            if (!sent) break;
        }
        co_await client.close();
    }

    static bool take_request(net::reader& in, heard_request& into) {
        const std::string_view ready = in.ready_text();
        const std::size_t end = ready.find("\r\n");
        if (end == std::string_view::npos) return false;
        std::string_view line = ready.substr(0, end);
        while (!line.empty()) {
            const std::size_t blank = std::min(line.find(' '), line.size());
            into.words.emplace_back(line.substr(0, blank));
            line.remove_prefix(std::min(blank + 1, line.size()));
        }
        if (into.words.empty()) into.words.emplace_back();
        std::size_t used = end + 2;
        if (into.verb() == "ms" || into.verb() == "set") {
            const std::size_t size = std::stoul(into.words[into.verb() == "ms" ? 2 : 4]);
            if (ready.size() < used + size + 2) return false;
            into.value = ready.substr(used, size);
            used += size + 2;
        }
        in.consume(used);
        return true;
    }

    std::shared_ptr<state> state_;
    join_handle<void> accepting_;
};

}  // namespace ouro::memcached
