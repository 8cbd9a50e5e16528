// engines.hpp: two engines and the bytes between them, for tests without sockets.
#pragma once

#include <ouro/net/tls/context.hpp>
#include <ouro/net/tls/engine.hpp>
#include <ouro/tests/tls_ca.hpp>

#include <doctest/doctest.h>
#include <openssl/err.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ouro::net::tls {

inline const identity& localhost_identity() {
    static const identity made =
        shared_tls_ca().issue({.common_name = "localhost",
                               .names = {"DNS:localhost", "DNS:*.wild.test", "IP:127.0.0.1"}});
    return made;
}

inline server_options serving(const identity& who = localhost_identity()) {
    server_options made;
    made.identities = {who};
    return made;
}
inline client_options trusting(std::string ca_file = shared_tls_ca().ca_file()) {
    client_options made;
    made.ca_file = std::move(ca_file);
    return made;
}

inline const server_context& answers() {
    static const server_context made(serving());
    return made;
}
/// Without sessions, so that each handshake is a whole one.
inline client_options asking_anew() {
    client_options made = trusting();
    made.sessions_max = 0;
    return made;
}
inline const client_context& asks_anew() {
    static const client_context made(asking_anew());
    return made;
}

/// One side, with what it has received in the clear.
class half_of_pair {
public:
    explicit half_of_pair(std::unique_ptr<engine> made) : engine_(std::move(made)) {}

    engine* operator->() noexcept { return engine_.get(); }
    engine& operator*() noexcept { return *engine_; }

    /// Goes on with the handshake.
    engine::progress step() {
        const auto now = engine_->handshake();
        check_queue();
        return now;
    }

    /// What is to be sent, all of it.
    std::string drain() {
        std::string all;
        while (!engine_->pending().empty()) {
            const auto bytes = engine_->pending();
            all.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
            engine_->sent(bytes.size());
        }
        return all;
    }

    /// Receives it in pieces of at most `piece` bytes.
    void feed(std::string_view bytes, std::size_t piece = SIZE_MAX) {
        while (!bytes.empty() && !stuck()) {
            const auto space = engine_->space();
            REQUIRE(!space.empty());
            const std::size_t n = std::min({bytes.size(), piece, space.size()});
            std::copy_n(reinterpret_cast<const std::byte*>(bytes.data()), n, space.begin());
            engine_->received(n);
            bytes.remove_prefix(n);
            if (!engine_->handshake_done()) step();
            take_all();
        }
    }

    /// The wire has ended.
    int feed_end() {
        engine_->received(0);
        if (!engine_->handshake_done()) {
            step();
            return -ECONNRESET;
        }
        CHECK(engine_->ready());
        return take_all();
    }

    /// 0, -EAGAIN or the error: what came after the last clear byte.
    int take_all() {
        if (!engine_->handshake_done() && !engine_->error()) return -EAGAIN;
        std::array<std::byte, 3000> space;
        for (;;) {
            const bool was_ready = engine_->ready();
            const int got = engine_->take(space);
            CHECK(was_ready == (got != -EAGAIN));
            check_queue();
            if (got <= 0) return got;
            clear_.append(reinterpret_cast<const char*>(space.data()),
                          static_cast<std::size_t>(got));
        }
    }

    /// Sends all of it, a put after the other; what is to go to the wire.
    std::string put(std::string_view text) {
        std::string wire;
        while (!text.empty()) {
            const iovec one{const_cast<char*>(text.data()), text.size()};
            const int taken = engine_->put({&one, 1});
            check_queue();
            REQUIRE(taken > 0);
            text.remove_prefix(static_cast<std::size_t>(taken));
            wire += drain();
        }
        return wire;
    }

    std::string end() {
        engine_->end();
        check_queue();
        return drain();
    }

    /// What it has received since it was asked last.
    std::string received() { return std::exchange(clear_, {}); }
    bool stuck() const noexcept { return static_cast<bool>(engine_->error()); }
    const failure& why() const {
        REQUIRE(engine_->why());
        return *engine_->why();
    }

private:
    static void check_queue() { CHECK(ERR_peek_error() == 0); }

    std::unique_ptr<engine> engine_;
    std::string clear_;
};

/// A client and a server.
struct engine_pair {
    engine_pair(const client_context& asks, const server_context& answers,
                std::string_view host = "localhost", unsigned worker = 0)
        : client(asks.make_engine(host, 443, worker)), server(answers.make_engine(worker)) {}

    /// Bytes go back and forth until both have nothing to say; each flight in pieces.
    void talk(std::size_t piece = SIZE_MAX) {
        if (!client->handshake_done()) client.step();
        for (int rounds = 0; rounds < 20; ++rounds) {
            const std::string there = client.drain();
            server.feed(there, piece);
            const std::string back = server.drain();
            client.feed(back, piece);
            if (there.empty() && back.empty()) return;
        }
        FAIL("they talk without end");
    }

    /// The same, each flight in two pieces that meet at `cut`.
    std::size_t talk_cut(std::size_t cut) {
        std::size_t longest = 0;
        auto both = [&](half_of_pair& to, std::string_view bytes) {
            longest = std::max(longest, bytes.size());
            to.feed(bytes.substr(0, cut));
            if (cut < bytes.size()) to.feed(bytes.substr(cut));
        };
        client.step();
        for (int rounds = 0; rounds < 20; ++rounds) {
            const std::string there = client.drain();
            both(server, there);
            const std::string back = server.drain();
            both(client, back);
            if (there.empty() && back.empty()) break;
        }
        return longest;
    }

    bool done() { return client->handshake_done() && server->handshake_done(); }

    half_of_pair client, server;
};

}  // namespace ouro::net::tls
