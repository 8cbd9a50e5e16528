// table_session.hpp: a protocol of tables on a session, with replies of unknown length and turns.
//
// In lines. To the server: "rows 3", "slow", "copy" and then "+5" with five bytes behind the line,
// any number of them, and "end" or "drop"; "page 2". From it: "row" any number of times and then
// "done", "more" or "failed".
#pragma once

#include <ouro/net/session/session.hpp>
#include <ouro/net/session/turn.hpp>
#include <ouro/net/stream_pair.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/sync/event.hpp>

#include <algorithm>
#include <charconv>
#include <new>
#include <optional>
#include <string>
#include <string_view>

namespace ouro::table_protocol {

using net::fate;
using net::stream;
using namespace std::chrono_literals;

/// Who is told what comes.
class receiver {
public:
    virtual void came(std::string_view line) noexcept = 0;

protected:
    ~receiver() = default;
};

/// A request of one flight.
class query final : public net::exchange, public receiver {
public:
    query(net::session& on, std::string line) : exchange(on, 1), line_(std::move(line)) {}
    using exchange::expire_after;
    using exchange::go_first;
    using exchange::repeat;

    result<int> await_result() const {
        if (error_) return error_;
        return rows;
    }
    int await_resume() const { return await_result().value(); }

    bool hands_on = false;  // what came so far
    int rows = 0;
    int asked = 0;
    fate how_far = fate::answered;

private:
    bool encode(net::writer& out) override {
        rows = 0;
        ++asked;
        return out.write(line_) && out.write("\n");
    }
    void failed(std::error_code why, fate far) noexcept override {
        error_ = why;
        how_far = far;
    }
    void came(std::string_view line) noexcept override {
        if (line == "row") ++rows;
        if (hands_on) touch();
    }

    std::string line_;
    std::error_code error_;
};

enum kind : std::uint32_t { unknown, copying, paging };

class table_turn final : public net::turn, public receiver {
public:
    table_turn(net::session& on, std::string line, kind what)
        : turn(on, 1, what), line_(std::move(line)) {}
    using exchange::expire_after;
    using exchange::go_first;

    std::string last;  // the end of a reply that came last
    int rows = 0;

private:
    bool encode(net::writer& out) override { return out.write(line_) && out.write("\n"); }
    void came(std::string_view line) noexcept override {
        touch();
        if (line == "row")
            ++rows;
        else
            last = line;  // short
        wake();
    }

    std::string line_;
};

class table_session final : public net::session {
public:
    explicit table_session(const net::session_options& options = {}) : session(options) {}
    ~table_session() { stop(errc::closed); }
    using session::connected;
    using session::give_up;
    using session::hold_queue;
    using session::release_queue;
    using session::serve;
    using session::stop;

    int left_early = 0;  // how many have

private:
    result<std::size_t> take(std::span<const std::byte> ready) override {
        const std::string_view text(reinterpret_cast<const char*>(ready.data()), ready.size());
        std::size_t used = 0;
        while (reading()) {
            const std::size_t end = text.find('\n', used);
            if (end == std::string_view::npos) break;
            if (!expecting()) return make_error_code(std::errc::protocol_error);
            const std::string_view line = text.substr(used, end - used);
            if (next()) dynamic_cast<receiver*>(next())->came(line);
            if (line == "row")
                took_part();
            else
                took_reply();
            used = end + 1;
        }
        return used;
    }
    void abandoned(const net::exchange&, std::size_t) noexcept override { ++left_early; }
    std::optional<std::uint32_t> drain(std::uint32_t what, std::uint32_t left,
                                       net::writer& out) override {
        if (what == unknown) return std::nullopt;
        if (what == copying && !out.write("drop\n")) return std::nullopt;
        return left;
    }
};

/// What a server does, and has seen.
struct table_server {
    std::size_t read_max = ~std::size_t{0};  // bytes, behind which it closes
    std::size_t say_max = ~std::size_t{0};   // bytes; then it closes
    bool byte_by_byte = false;               // it sends
    duration between_pieces = {};            // of a copy
    event may_answer_slowly{true};
    std::string copied;
    std::string asked;  // the requests
};

inline task<> say(stream& client, std::string_view words, const table_server& how) {
    if (!how.byte_by_byte) {
        static_cast<void>(co_await as_result(client.send_all(words)));
        co_return;
    }
    for (std::size_t at = 0; at < words.size(); ++at) {
        const auto sent = co_await as_result(client.send_all(words.substr(at, 1)));
        if (!sent) co_return;
        co_await yield();
    }
}

inline task<> answer_all(stream& client, table_server& how) {
    net::reader in(client, {.bytes_max = 2 * 1024 * 1024});
    std::size_t read = 0;
    bool drops = false;
    for (;;) {
        const auto got = co_await as_result(in.read_line());
        if (!got || !*got) break;
        const std::string line(**got);
        read += line.size() + 1;
        if (read > how.read_max) break;
        std::string reply;
        if (line[0] == '+') {
            std::size_t size = 0;
            std::from_chars(line.data() + 1, line.data() + line.size(), size);
            const auto piece = co_await as_result(in.read_exactly(size));
            if (!piece) break;
            how.copied.append(reinterpret_cast<const char*>(piece->data()), piece->size());
            read += size;
            if (how.between_pieces > duration::zero()) co_await sleep_for(how.between_pieces);
            continue;
        }
        how.asked += line + ";";
        const std::string_view words(line);
        if (words == "slow") {
            co_await how.may_answer_slowly.wait();
            reply = "done\n";
        } else if (words == "end") {
            reply = drops ? "failed\n" : "done\n";
        } else if (words == "drop") {
            reply = "failed\n";
        } else if (words.starts_with("rows ") || words.starts_with("page ")) {
            int rows = 0;
            std::from_chars(line.data() + 5, line.data() + line.size(), rows);
            for (int row = 0; row < rows; ++row) reply += "row\n";
            reply += words.starts_with("page ") && rows > 0 ? "more\n" : "done\n";
        }
        reply.resize(std::min(reply.size(), how.say_max));
        how.say_max -= reply.size();
        co_await say(client, reply, how);
        if (how.say_max == 0) break;
    }
}

/// One request at a time, until the client closes, or there is no memory.
inline task<> answer_tables(stream client, table_server& how) {
    try {
        co_await answer_all(client, how);
    } catch (const std::bad_alloc&) {
    }
    co_await client.close();
}

/// Asks for `rows` rows; how many came.
inline task<result<int>> ask_rows(table_session& on, int rows) {
    query asked(on, "rows " + std::to_string(rows));
    co_return co_await as_result(asked);
}

/// Copies `pieces` times `size` bytes to the server.
inline task<> copy_up(table_session& on, int pieces, std::size_t size) {
    table_turn copy(on, "copy", copying);
    co_await copy.begin();
    const std::string piece = "+" + std::to_string(size) + "\n" + std::string(size, 'x');
    for (int i = 0; i < pieces; ++i) {
        if (!copy.write(piece)) break;
        co_await copy.room();
    }
    static_cast<void>(copy.write("end\n"));
    copy.finish();
    co_await copy.end();
    if (copy.last != "done") throw_error(make_error_code(std::errc::protocol_error));
}

/// Reads pages of two rows, `pages` of them, and then the end; how many rows came.
inline task<int> read_pages(table_session& on, int pages) {
    table_turn portal(on, "page 2", paging);
    co_await portal.begin();
    for (int page = 1; page <= pages; ++page) {
        while (portal.last != "more") co_await portal.news();
        portal.last.clear();
        portal.expect(1);
        static_cast<void>(portal.write(page < pages ? "page 2\n" : "page 0\n"));
    }
    portal.finish();
    co_await portal.end();
    co_return portal.rows;
}

}  // namespace ouro::table_protocol
