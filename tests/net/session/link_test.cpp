#include <ouro/net/session/link.hpp>

#include <ouro/net/stream_pair.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>

#include <array>
#include <functional>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

/// Answers each line with itself, without a request or a slot anywhere.
class line_echo final : public net::link {
public:
    using link::connected;
    using link::give_up;
    using link::pause_reading;
    using link::rest;
    using link::resume_reading;
    using link::retire;
    using link::serve;

    /// The peer owes something from now on, for `limit`.
    void expect_within(duration limit) {
        silence_max = limit;
        hear();
        watch();
    }
    void say(std::string_view words) {
        to_say += words;
        pull();
    }

    int beginnings = 0;
    int ends = 0;
    int filled = 0;
    std::string taken;
    std::string to_say;
    std::function<void()> throws_in_take;
    std::function<void()> throws_in_fill;
    duration silence_max = duration::max();
    bool outlives = false;
    bool idle = true;

private:
    void begun() noexcept override { ++beginnings; }
    result<std::size_t> take(std::span<const std::byte> ready) override {
        const std::string_view text(reinterpret_cast<const char*>(ready.data()), ready.size());
        const std::size_t end = text.rfind('\n');
        if (end == text.npos) return std::size_t{0};
        if (throws_in_take) throws_in_take();
        taken += text.substr(0, end + 1);
        to_say += text.substr(0, end + 1);
        pull();
        return end + 1;
    }
    bool fill(net::writer& out) override {
        ++filled;
        if (throws_in_fill) throws_in_fill();
        const bool written = out.write(to_say);
        to_say.clear();
        return !written;
    }
    void ended(std::error_code why, std::uint64_t) noexcept override {
        CHECK(why);
        CHECK(!connected());
        ++ends;
    }
    debt owed(std::uint64_t) noexcept override { return {.silence_max = silence_max}; }
    bool is_idle() const noexcept override { return idle; }
    bool outlives_peer() noexcept override { return outlives; }
};

task<std::string> read_line_from(net::reader& in) {
    const auto line = co_await in.read_line();
    co_return line ? std::string(*line) : std::string("nothing");
}

OURO_TEST_IO("what comes is taken, and what waits is filled in, at the turn's end") {
    auto [ours, theirs] = net::stream_pair();
    line_echo on;
    net::reader in(ours);
    auto serving = spawn(on.serve(ours, in));
    co_await settle();
    CHECK(on.connected());
    on.say("a\n");
    on.say("b\n");
    net::reader from(theirs);
    CHECK(co_await read_line_from(from) == "a");
    CHECK(co_await read_line_from(from) == "b");
    CHECK(on.filled == 1);
    co_await theirs.send_all("hello\n");
    CHECK(co_await read_line_from(from) == "hello");
    on.give_up(errc::closed);
    CHECK(co_await serving == errc::closed);
    CHECK(on.beginnings == 1);
    CHECK(on.ends == 1);
}

void throw_bad_alloc() { throw std::bad_alloc(); }
void throw_code() { throw std::system_error(make_error_code(std::errc::protocol_error)); }
void throw_words() { throw std::logic_error("it is not thought of"); }

OURO_TEST("whatever is thrown ends the connection, is the reason, and the end is told once") {
    struct failure {
        void (*thrown)();
        std::errc code;
    };
    const std::array<failure, 3> cases{failure{throw_bad_alloc, std::errc::not_enough_memory},
                                       failure{throw_code, std::errc::protocol_error},
                                       failure{throw_words, std::errc::state_not_recoverable}};
    for (const auto& [thrown, code] : cases)
        for (const bool in_take : {true, false}) {
            auto [ours, theirs] = net::stream_pair();
            line_echo on;
            (in_take ? on.throws_in_take : on.throws_in_fill) = thrown;
            net::reader in(ours);
            auto serving = spawn(on.serve(ours, in));
            co_await theirs.send_all("hello\n");
            CHECK(co_await serving == code);
            CHECK(on.ends == 1);
        }
}

OURO_TEST("the end is told when the task that serves is cancelled") {
    auto [ours, theirs] = net::stream_pair();
    line_echo on;
    net::reader in(ours);
    auto serving = spawn(on.serve(ours, in));
    co_await settle();
    serving.cancel();
    CHECK(co_await serving == errc::cancelled);
    CHECK(on.ends == 1);
    CHECK(!on.connected());
}

OURO_TEST("while reading is paused nothing is taken") {
    auto [ours, theirs] = net::stream_pair();
    line_echo on;
    net::reader in(ours);
    auto serving = spawn(on.serve(ours, in));
    co_await settle();
    on.pause_reading();
    co_await theirs.send_all("1\n");
    co_await settle();
    co_await theirs.send_all("2\n");
    co_await settle();
    CHECK(on.taken != "1\n2\n");
    on.resume_reading();
    co_await settle();
    CHECK(on.taken == "1\n2\n");
    on.give_up(errc::closed);
    co_await serving;
}

OURO_TEST(
    "a peer that is silent while it owes something is dead, and one that owes nothing is not") {
    auto [ours, theirs] = net::stream_pair();
    line_echo on;
    net::reader in(ours);
    auto serving = spawn(on.serve(ours, in));
    co_await sleep_for(1h);
    CHECK(!serving.finished());
    const time_point begin = clock::now();
    on.expect_within(2s);
    co_await sleep_for(1500ms);
    co_await theirs.send_all("still ");  // not even a line, but it lives
    co_await sleep_for(1500ms);
    CHECK(!serving.finished());
    CHECK(co_await serving == errc::timed_out);
    CHECK(clock::now() - begin >= 3500ms);
    CHECK(clock::now() - begin < 3600ms);
}

OURO_TEST("a connection that is retired sends nothing new and ends when it is idle") {
    auto [ours, theirs] = net::stream_pair();
    line_echo on;
    on.idle = false;
    net::reader in(ours);
    auto serving = spawn(on.serve(ours, in));
    co_await settle();
    on.retire(make_error_code(std::errc::operation_canceled));
    on.say("late\n");
    co_await settle();
    CHECK(!serving.finished());
    CHECK(on.filled == 0);
    on.idle = true;
    on.retire(errc::closed);  // the first reason counts
    on.rest();
    CHECK(co_await serving == std::errc::operation_canceled);
}

OURO_TEST("what outlives the peer's side still answers") {
    for (const bool outlives : {true, false}) {
        auto [ours, theirs] = net::stream_pair();
        line_echo on;
        on.outlives = outlives;
        net::reader in(ours);
        auto serving = spawn(on.serve(ours, in));
        co_await settle();
        static_cast<void>(theirs.shutdown(net::half::send));
        co_await settle();
        CHECK(serving.finished() != outlives);
        if (!outlives) {
            CHECK(co_await serving == errc::end_of_stream);
            continue;
        }
        on.say("late\n");
        net::reader from(theirs);
        CHECK(co_await read_line_from(from) == "late");
        on.give_up(errc::closed);
        CHECK(co_await serving == errc::closed);
    }
}

}  // namespace
