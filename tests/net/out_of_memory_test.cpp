#include <ouro/net/block_reader.hpp>
#include <ouro/net/reader.hpp>
#include <ouro/net/send_all.hpp>
#include <ouro/net/session.hpp>
#include <ouro/net/stream_pair.hpp>
#include <ouro/net/writer.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/tests/fail_every_allocation.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

using namespace ouro;
using net::stream;

namespace {

/// A pair that has been used both ways, so that the reactor has what it needs.
task<std::pair<stream, stream>> warm_pair() {
    auto made = net::stream_pair();
    std::array<std::byte, 1> byte{};
    for (auto [from, to] :
         {std::pair(&made.first, &made.second), std::pair(&made.second, &made.first)}) {
        co_await from->send_all(byte);
        co_await to->recv(byte);
    }
    co_return made;
}

const std::string long_line = std::string(5000, 'x') + "\n";

task<> read_lines() {
    auto pair = co_await warm_pair();
    co_await pair.second.send_all(long_line);
    co_await pair.second.send_all(long_line);
    net::reader in(pair.first, {.first_bytes = 64});
    begin_shortage();
    for (int i = 0; i < 2; ++i) {
        const auto line = co_await in.read_line();
        if (!line || line->size() != 5000) throw std::logic_error("a wrong line");
    }
}

task<> read_blocks() {
    auto pair = co_await warm_pair();
    co_await pair.second.send_all(long_line);
    co_await pair.second.send_all(long_line);
    net::block_reader in(pair.first, {.first_bytes = 64});
    begin_shortage();
    for (int i = 0; i < 2; ++i) {
        const net::chunk line = co_await in.read_line();
        if (line.size() != 5001) throw std::logic_error("a wrong line");
    }
}

/// Whatever write was refused for want of memory is not there, and all others are.
task<> write_and_look() {
    auto pair = co_await warm_pair();
    const net::chunk shared = net::chunk::copy_of("shared");
    std::string expected;
    expected.reserve(100'000);
    std::string seen(100'000, '\0');
    const std::string large(40'000, 'y');
    begin_shortage();
    bool failed = false;
    {
        net::writer out(pair.first);
        for (int i = 0; i < 12; ++i) {
            try {
                if (i % 6 == 5) {
                    if (out.write(large)) expected += large;
                } else if (i % 2 == 0) {
                    if (out.write(shared)) expected += shared.text();
                } else if (out.write("copied")) {
                    expected += "copied";
                }
            } catch (const std::bad_alloc&) {
                failed = true;
            }
        }
        co_await out.flush();
    }
    end_shortage();
    std::size_t have = 0;
    while (have < expected.size()) {
        const auto space = std::as_writable_bytes(std::span(seen)).subspan(have);
        have += co_await pair.second.recv(space);
    }
    if (seen.substr(0, have) != expected) throw std::logic_error("wrong bytes");
    if (failed) throw std::bad_alloc();
}

task<> send_everything() {
    auto pair = co_await warm_pair();
    begin_shortage();
    co_await pair.first.send_all(long_line);
}

/// A request is a byte, and so is its reply.
class ask final : public net::exchange {
public:
    explicit ask(net::session& on) : exchange(on, 1) {}
    result<void> await_result() const noexcept {
        return error_ ? result<void>(error_) : result<void>();
    }
    void await_resume() const { await_result().value(); }

private:
    std::span<const std::byte> encoded() const noexcept override { return byte_; }
    void failed(std::error_code why, net::fate) noexcept override { error_ = why; }

    std::array<std::byte, 1> byte_{};
    std::error_code error_;
};

class byte_session final : public net::session {
public:
    byte_session() : session({}) {}
    ~byte_session() { stop(errc::closed); }
    using session::give_up;
    using session::serve;
    using session::stop;

private:
    result<std::size_t> take(std::span<const std::byte> ready) override {
        for (std::size_t i = 0; i < ready.size(); ++i) took_reply();
        return ready.size();
    }
};

task<> serve_until_it_ends(byte_session& on, stream& connection) {
    net::reader in(connection);
    std::error_code why = make_error_code(std::errc::not_enough_memory);
    try {
        why = co_await on.serve(connection, in);
    } catch (const std::bad_alloc&) {  // it has not begun
    }
    on.stop(why);
}

task<std::error_code> ask_once(byte_session& on) {
    ask one(on);
    const result<void> got = co_await as_result(one);
    co_return got.error();
}

task<> echo(stream& peer) {
    std::array<std::byte, 64> space;
    for (;;) {
        const auto got = co_await as_result(peer.recv(space));
        if (!got || *got == 0) co_return;
        const auto sent = co_await as_result(peer.send_all(std::span(space).first(*got)));
        if (!sent) co_return;
    }
}

task<> share_a_session() {
    auto pair = co_await warm_pair();
    byte_session on;
    std::vector<join_handle<std::error_code>> asked;
    asked.reserve(20);
    for (int i = 0; i < 20; ++i) asked.push_back(spawn(ask_once(on)));
    auto serving = spawn(serve_until_it_ends(on, pair.first));
    auto server = spawn(echo, std::ref(pair.second));
    begin_shortage();
    std::error_code why;
    for (auto& each : asked) {
        const std::error_code one = co_await each;
        if (one) why = one;
    }
    end_shortage();
    on.give_up(errc::closed);
    co_await serving;
    co_await pair.first.close();
    co_await server;
    if (why) throw_error(why);
}

/// True when every allocation of the scenario, of which there are some, may fail.
bool survives_any_failure(short_scenario scenario) {
    const memory_report found = fail_every_allocation(scenario);
    CHECK(found.complaints == "");
    CHECK(found.points > 4);
    return found.clean() && found.points > 4;
}

}  // namespace

TEST_CASE("a reader survives any failed allocation") { CHECK(survives_any_failure(read_lines)); }

TEST_CASE("a block_reader survives any failed allocation") {
    CHECK(survives_any_failure(read_blocks));
}

TEST_CASE("a writer survives any failed allocation, and takes all of a write or nothing") {
    CHECK(survives_any_failure(write_and_look));
}

TEST_CASE("send_all needs no memory") {
    const memory_report found = fail_every_allocation(send_everything);
    CHECK(found.complaints == "");
}

TEST_CASE("a session survives any failed allocation, and everybody is told") {
    CHECK(survives_any_failure(share_a_session));
}
