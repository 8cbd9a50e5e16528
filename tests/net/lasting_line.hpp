// lasting_line.hpp: a protocol of lines with a handshake, on a connection that lasts; its server.
#pragma once

#include <ouro/net/bytes/reader.hpp>
#include <ouro/net/listener.hpp>
#include <ouro/net/session/lasting.hpp>
#include <ouro/net/session/session.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>

#include <memory>
#include <new>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace ouro::lasting_line {

using namespace std::chrono_literals;

/// Answers "hello" with "welcome" and every other line with itself, until it is told otherwise.
class server {
public:
    server() : state_(std::make_shared<state>()), accepting_(spawn(accept_all(state_))) {}
    server(server&&) = delete;
    ~server() { stop(); }

    struct state {
        net::listener listener{net::endpoint("127.0.0.1:0")};
        std::string greeting = "welcome\n";        // empty: none
        bool keeps = true;                         // false: closes behind the greeting
        bool mute = false;                         // greets, and says nothing else
        std::size_t bytes_left = std::size_t(-1);  // of the first connection; then it closes
        std::size_t bytes_read = std::size_t(-1);  // the same, for what it takes
        int connections = 0;
        int open = 0;
        net::stream* last = nullptr;
    };

    net::endpoint where() const { return state_->listener.local(); }
    state* operator->() const noexcept { return state_.get(); }
    void hang_up() {
        if (state_->last) static_cast<void>(state_->last->shutdown(net::half::both));
    }
    void stop() {
        accepting_.cancel();
        hang_up();
    }

private:
    static task<> accept_all(std::shared_ptr<state> of) {
        for (;;) {
            bool taken = false;
            try {
                auto client = co_await as_result(of->listener.accept());
                if (client.error() == errc::cancelled) co_return;
                if (client) spawn(serve(of, std::move(*client)));
                taken = client.has_value();
            } catch (const std::bad_alloc&) {  // that one is closed
            }
            if (taken)
                ++of->connections;
            else
                co_await sleep_for(1ms);
        }
    }

    static task<> serve(std::shared_ptr<state> of, net::stream client) {
        ++of->open;
        of->last = &client;
        try {
            co_await answer(*of, client);
        } catch (const std::bad_alloc&) {  // it is closed
        }
        if (of->last == &client) of->last = nullptr;
        --of->open;
        co_await shield(client.close());
    }

    static task<> answer(state& of, net::stream& client) {
        const bool first = of.connections == 1;
        std::size_t left = first ? of.bytes_left : std::size_t(-1);
        std::size_t room = first ? of.bytes_read : std::size_t(-1);
        net::reader in(client);
        while (left > 0 && room > 0) {
            while (in.ready_text().find('\n') == std::string_view::npos) {
                const auto got = co_await as_result(in.read_some());
                if (!got || *got == 0) co_return;
                if (in.ready().size() >= room) co_return;
            }
            const std::size_t end = in.ready_text().find('\n') + 1;
            const bool greets = in.ready_text().starts_with("hello");
            std::string reply = greets ? of.greeting : std::string(in.ready_text().substr(0, end));
            in.consume(end);
            room -= std::min(room, end);
            if (of.mute && !greets) reply.clear();
            reply.resize(std::min(reply.size(), left));
            left -= reply.size();
            const auto sent = co_await as_result(client.send_all(reply));
            if (!sent || (greets && !of.keeps)) co_return;
        }
    }

    std::shared_ptr<state> state_;
    join_handle<void> accepting_;
};

/// A line, and the wait for the same one.
class ask final : public net::exchange {
public:
    ask(net::session& on, std::uint8_t repeats = 0) : exchange(on, 1) { repeat(repeats); }
    result<void> await_result() const noexcept {
        return error_ ? result<void>(error_) : result<void>();
    }
    void await_resume() const { await_result().value(); }

private:
    bool encode(net::writer& out) override { return out.write("ping\n"); }
    void failed(std::error_code why, net::fate) noexcept override { error_ = why; }

    std::error_code error_;
};

class client final : public net::session,
                     public net::lasting_connection,
                     public std::enable_shared_from_this<client> {
public:
    static std::shared_ptr<client> open(net::endpoint where, net::lasting_options how = {},
                                        net::session_options requests = {}) {
        auto made = std::make_shared<client>(where, how, requests);
        made->start(made);
        return made;
    }
    client(net::endpoint where, net::lasting_options how, net::session_options requests)
        : session(requests), lasting_connection(how), where(where) {}

    using lasting_connection::connections;
    using lasting_connection::failure;
    using lasting_connection::finish;
    using lasting_connection::hold;
    using lasting_connection::is_told;
    using lasting_connection::move;
    using lasting_connection::over;
    using lasting_connection::tried;
    bool is_connected() const noexcept { return session::connected(); }
    void close() noexcept {
        stop(errc::closed);
        lasting_connection::close();
    }
    task<> closed() {
        const auto self = shared_from_this();
        close();
        co_await over().wait();
    }

    net::endpoint where;
    std::string story;  // what happened, a letter each: Established, Failed, Lost, fiNished
    int dials = 0;
    int handshakes = 0;  // that were begun
    bool throws = false;

private:
    void note(char what) noexcept {
        if (story.size() < story.capacity()) story += what;
    }
    task<net::stream> dial(net::connect_options how) override {
        ++dials;
        return net::connect(where, how);
    }
    task<std::error_code> shake_hands() override {
        ++handshakes;
        const auto sent = co_await as_result(connection().send_all("hello\n"));
        if (!sent) co_return refuse(sent.error(), "hello was not sent");
        while (in().ready_text().find('\n') == std::string_view::npos) {
            const auto got = co_await as_result(in().read_some());
            if (!got) co_return refuse(got.error(), "nothing was heard");
            if (*got == 0) co_return refuse(errc::end_of_stream, "the server hung up");
        }
        if (throws) throw std::logic_error("a fault of the protocol's own");
        const bool welcome = in().ready_text().starts_with("welcome\n");
        const std::string said(in().ready_text().substr(0, in().ready_text().find('\n')));
        in().consume(said.size() + 1);
        if (welcome) co_return std::error_code();
        const auto code = said == "busy" ? std::errc::resource_unavailable_try_again
                                         : std::errc::permission_denied;
        co_return refuse(make_error_code(code), said);
    }
    bool is_refusal(std::error_code code) const noexcept override {
        return code == std::errc::permission_denied;
    }
    task<std::error_code> serve_connection(net::stream& on, net::reader& from) override {
        return serve(on, from);
    }
    void drop(std::error_code why) noexcept override { give_up(why); }
    void wind_down() noexcept override { retire(errc::closed); }
    void established() noexcept override {
        note('E');
        set_trouble({});
    }
    void failed(const net::lasting_failure& why) noexcept override {
        note(why.refusal ? 'R' : 'F');
        set_trouble(why.code);
        if (why.refusal) fail_queued(why.code);
    }
    void lost(std::error_code why) noexcept override {
        note('L');
        set_trouble(why);
    }
    void finished(std::error_code why) noexcept override {
        note('N');
        stop(why);
    }
    result<std::size_t> take(std::span<const std::byte> ready) override {
        const std::string_view text(reinterpret_cast<const char*>(ready.data()), ready.size());
        std::size_t used = 0;
        for (std::size_t end; (end = text.find('\n', used)) != text.npos; used = end + 1) {
            if (!expecting()) return make_error_code(std::errc::protocol_error);
            took_reply();
        }
        return used;
    }
};

/// Waits that can be counted on.
inline net::lasting_options steady(duration first = 100ms, duration ceiling = 10s) {
    net::lasting_options how;
    how.backoff = {.first = first, .ceiling = ceiling, .spread = jitter::none};
    how.connect_timeout = 1s;
    return how;
}

inline task<std::error_code> ask_once(net::session& on, std::uint8_t repeats = 0) {
    ask one(on, repeats);
    const result<void> got = co_await as_result(one);
    co_return got.error();
}

}  // namespace ouro::lasting_line
