// line_session.hpp: a protocol of lines on a session, for its tests.
#pragma once

#include <ouro/net/session/session.hpp>
#include <ouro/net/stream_pair.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/timeout.hpp>

#include <doctest/doctest.h>

#include <charconv>
#include <optional>
#include <string>
#include <vector>

namespace ouro::line_protocol {

using net::fate;
using net::session_options;
using net::stream;
using namespace std::chrono_literals;

// A protocol of lines: "7\n" is a request, and "7\n" its reply; "7 3\n" has three of them.
class ask : public net::exchange {
public:
    ask(net::session& on, int number, std::uint32_t replies = 1)
        : exchange(on, replies), number_(number) {
        line_ = std::to_string(number);
        if (replies > 1) line_ += ' ' + std::to_string(replies);
        line_ += '\n';
    }
    using exchange::be_indispensable;
    using exchange::be_patient;
    using exchange::expire_after;
    using exchange::repeat;

    result<int> await_result() const {
        if (error_) return error_;
        return got_;
    }
    int await_resume() const { return await_result().value(); }

    void take(int number) {
        CHECK(number == number_);  // nobody ever sees another one's reply
        got_ += 1;
    }
    fate how_far = fate::answered;

private:
    bool encode(net::writer& out) override { return out.write(line_); }
    void failed(std::error_code why, fate far) noexcept override {
        CHECK(!error_);
        error_ = why;
        how_far = far;
    }

    int number_;
    std::string line_;
    int got_ = 0;
    std::error_code error_;
};

class line_session final : public net::session {
public:
    explicit line_session(const session_options& options = {}) : session(options) {}
    ~line_session() { stop(errc::closed); }
    using session::fail_queued;
    using session::give_up;
    using session::serve;
    using session::set_trouble;
    using session::stop;

private:
    result<std::size_t> take(std::span<const std::byte> ready) override {
        const std::string_view text(reinterpret_cast<const char*>(ready.data()), ready.size());
        std::size_t used = 0;
        for (;;) {
            const std::size_t end = text.find('\n', used);
            if (end == std::string_view::npos) return used;
            if (!expecting()) return make_error_code(std::errc::protocol_error);
            int number = 0;
            std::from_chars(text.data() + used, text.data() + end, number);
            if (auto* const who = static_cast<ask*>(next())) who->take(number);
            took_reply();
            used = end + 1;
        }
    }
};

/// Answers requests until the connection ends, or `limit` bytes have been sent; then it closes.
inline task<int> answer(stream client, std::size_t limit = ~std::size_t{0}) {
    net::reader in(client);
    int requests = 0;
    for (;;) {
        auto line = co_await as_result(in.read_line());
        if (!line || !*line) break;
        ++requests;
        const std::string text(**line);
        const std::size_t blank = text.find(' ');
        const int times = blank == text.npos ? 1 : std::stoi(text.substr(blank));
        std::string reply;
        for (int i = 0; i < times; ++i) reply += text.substr(0, blank) + "\n";
        reply.resize(std::min(reply.size(), limit));
        limit -= reply.size();
        auto sent = co_await as_result(client.send_all(reply));
        if (!sent || limit == 0) break;
    }
    co_await client.close();
    co_return requests;
}

/// Serves one connection whose other end answers; returns what ended it.
inline task<std::error_code> serve_once(line_session& on, std::size_t limit = ~std::size_t{0}) {
    auto [ours, theirs] = net::stream_pair();
    auto server = spawn(answer(std::move(theirs), limit));
    net::reader in(ours);
    const std::error_code why = co_await on.serve(ours, in);
    co_await ours.close();
    static_cast<void>(co_await as_result(server));
    co_return why;
}

struct outcome {
    result<int> got;
    fate how_far;
};
inline task<outcome> ask_once(line_session& on, int number, std::uint32_t replies = 1,
                              std::uint8_t repeats = 0) {
    ask one(on, number, replies);
    one.repeat(repeats);
    auto got = co_await as_result(one);
    co_return outcome{got, one.how_far};
}

/// The same with an expiry of its own.
inline task<outcome> ask_within(line_session& on, int number, duration limit) {
    ask one(on, number);
    one.expire_after(limit);
    auto got = co_await as_result(one);
    co_return outcome{got, one.how_far};
}

}  // namespace ouro::line_protocol
