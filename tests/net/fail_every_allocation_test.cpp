// Everything of net with each of its allocations failing in turn, on the real reactors.

#include <ouro/tests/fail_every_allocation.hpp>

#include "fake_pool.hpp"
#include "lasting_line.hpp"
#include "names.hpp"
#include "table_session.hpp"
#include <ouro/net/bytes/block_reader.hpp>
#include <ouro/net/bytes/reader.hpp>
#include <ouro/net/bytes/writer.hpp>
#include <ouro/net/connect.hpp>
#include <ouro/net/listener.hpp>
#include <ouro/net/relay.hpp>
#include <ouro/net/resolver.hpp>
#include <ouro/net/send_all.hpp>
#include <ouro/net/server.hpp>
#include <ouro/net/session/session.hpp>
#include <ouro/net/stream_pair.hpp>
#include <ouro/net/udp.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/tests/no_more_descriptors.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

using namespace ouro;
using net::stream;
using namespace std::chrono_literals;

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
    bool encode(net::writer& out) override { return out.write(byte_); }
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
    auto server = spawn(echo(pair.second));
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

task<> serve_tables(table_protocol::table_session& on, stream& connection) {
    net::reader in(connection);
    std::error_code why = make_error_code(std::errc::not_enough_memory);
    try {
        why = co_await on.serve(connection, in);
    } catch (const std::bad_alloc&) {  // it has not begun
    }
    on.stop(why);
}

task<> take_turns() {
    auto pair = co_await warm_pair();
    table_protocol::table_session on;
    table_protocol::table_server how;
    auto server = spawn(table_protocol::answer_tables(std::move(pair.second), how));
    auto serving = spawn(serve_tables(on, pair.first));
    while (!on.connected()) co_await yield();
    begin_shortage();
    result<void> done;
    result<int> pages{0};
    try {
        done = co_await as_result(table_protocol::copy_up(on, 10, 10'000));
        pages = co_await as_result(table_protocol::read_pages(on, 3));
    } catch (const std::bad_alloc&) {
        done = make_error_code(std::errc::not_enough_memory);
    }
    end_shortage();
    on.give_up(errc::closed);
    co_await serving;
    co_await pair.first.close();
    static_cast<void>(co_await as_result(server));
    // A server without memory closes.
    if (!done || !pages) throw std::bad_alloc();
    expect(pages.value() == 6, "other rows");
    expect(how.copied.size() == 100'000, "bytes are lost");
}

// Making connections.

task<> greet_one(net::listener& at) {
    stream client = co_await at.accept();
    co_await client.send_all("hi");
}

task<> hear_greeting(stream& from) {
    std::array<std::byte, 2> space;
    std::size_t have = 0;
    while (have < space.size()) {
        const std::size_t got = co_await from.recv(std::span(space).subspan(have));
        if (got == 0) break;
        have += got;
    }
    if (have < space.size()) throw std::bad_alloc();  // the other side gave up
}

task<> accept_and_connect() {
    begin_shortage();
    net::listener at(net::endpoint("127.0.0.1", 0));
    auto both = [&](scope& tasks) -> task<> {
        tasks.spawn(greet_one(at));
        stream client = co_await net::connect(at.local());
        co_await hear_greeting(client);
        co_await client.close();
    };
    co_await with_scope(both);
}

/// Accepting pauses, which is logged, and then goes on.
task<> run_out_of_descriptors() {
    net::listener at(net::endpoint("127.0.0.1", 0));
    stream client = co_await net::connect(at.local());
    // Through a pipe UBSan looks at kinds of objects that it has not seen yet.
    co_await sleep_for(1ms);
    static_cast<void>(std::error_code(EMFILE, std::system_category()).message());
    auto accepting = spawn(greet_one(at));
    {
        const no_more_descriptors full;
        begin_shortage();
        while (at.stats().exhausted == 0 && !accepting.finished()) co_await sleep_for(1ms);
        end_shortage();
    }
    co_await accepting;
}

task<> connect_by_name() {
    begin_shortage();
    net::listener at(net::endpoint("127.0.0.1", 0));
    net::listener closed(net::endpoint("127.0.0.1", 0));
    const net::endpoint nobody = closed.local();
    closed.close();
    auto source = std::make_shared<net::test_names>();
    source->known["example.com"] = {nobody, at.local(), at.local()};
    source->takes = 1us;
    net::resolver names({}, source);
    const net::connect_options options{.attempt_delay = 1h, .names = &names};
    stream made = co_await net::connect("example.com", at.local().port(), options);
    expect(made.is_open(), "it is not open");
    const auto again = co_await names.resolve("example.com", 80);
    expect(again.size() == 3, "other addresses");
}

/// The one lookup serves all who ask; one of them may find no memory.
task<std::error_code> count_addresses(net::resolver& names) {
    const auto found = co_await as_result(names.resolve("example.com", 80));
    if (found && found->size() != 1) throw std::logic_error("other addresses");
    co_return found.error();
}

task<> resolve_together() {
    begin_shortage();
    auto source = std::make_shared<net::test_names>();
    source->known["example.com"] = {net::endpoint("192.0.2.1", 0)};
    source->takes = 1us;
    net::resolver names({.entries_max = 1}, source);
    auto all = [&](scope& tasks) -> task<> {
        for (int i = 0; i < 3; ++i) tasks.spawn(count_addresses(names));
        co_return;
    };
    co_await with_scope(all);
    const auto other = co_await as_result(names.resolve("nosuch.invalid", 1));
    if (other.error() == std::errc::not_enough_memory) throw std::bad_alloc();
    expect(other.error() == errc::host_not_found, "another error");
    co_await names.resolve("example.com", 80);
}

task<> ask_the_system() {
    begin_shortage();
    net::resolver names;
    const auto found = co_await names.resolve("localhost", 1);
    expect(!found.empty(), "no address");
}

// Datagrams, descriptors, bytes.

task<> exchange_datagrams() {
    begin_shortage();
    net::udp a(net::endpoint("127.0.0.1", 0)), b(net::endpoint("127.0.0.1", 0));
    co_await a.send_to("x", b.local());
    std::array<std::byte, 4> space;
    const net::datagram got = co_await b.recv_from(space);
    expect(got.size == 1, "another datagram");
    const std::array<net::outgoing_datagram, 2> batch{
        net::outgoing_datagram{std::as_bytes(std::span("a", 1)), b.local()},
        net::outgoing_datagram{std::as_bytes(std::span("b", 1)), b.local()}};
    co_await a.send_batch(batch);
    std::array<net::incoming_datagram, 2> in{net::incoming_datagram{std::span(space).first(2), {}},
                                             net::incoming_datagram{std::span(space).last(2), {}}};
    const std::size_t count = co_await b.recv_batch(in);
    expect(count >= 1, "nothing came");
}

task<> hand_a_descriptor_over() {
    begin_shortage();
    auto pair = net::stream_pair();
    co_await pair.first.send_descriptor(pair.first.fd());
    const net::received_descriptor got = co_await pair.second.receive_descriptor();
    expect(got.fd.is_open(), "it is not open");
}

task<> lend_to_a_stream() {
    auto pair = co_await warm_pair();
    begin_shortage();
    co_await pair.first.send_all("x");
    const lease got = co_await pair.second.recv();
    expect(got.size() == 1, "other bytes");
}

task<> expect_long_line(stream& from) {
    std::array<std::byte, 512> space;
    std::size_t came = 0;
    for (;;) {
        const std::size_t got = co_await from.recv(space);
        if (got == 0) break;
        came += got;
    }
    expect(came == long_line.size(), "bytes are lost");
}

task<> relay_both_ways() {
    auto left = co_await warm_pair();
    auto right = co_await warm_pair();
    begin_shortage();
    auto all = [&](scope& tasks) -> task<> {
        tasks.spawn(expect_long_line(right.second));
        tasks.spawn(net::relay(left.second, right.first, {.buffer_bytes = 64}));
        co_await left.first.send_all(long_line);
        static_cast<void>(left.first.shutdown(net::half::send));
        static_cast<void>(right.second.shutdown(net::half::send));
    };
    co_await with_scope(all);
}

task<> make_chunks() {
    begin_shortage();
    const net::chunk one = net::chunk::copy_of(long_line);
    const net::chunk part = one.part(10, 100);
    expect(part.size() == 100, "another size");
    co_return;
}

// Servers and pools.

task<> echo_one(stream client) {
    std::array<std::byte, 64> block;
    for (;;) {
        const std::size_t got = co_await client.recv(block);
        if (got == 0) co_return;
        co_await client.send_all(std::span(block).first(got));
    }
}

/// True when a connection was answered; false when the server gave it up.
task<bool> ask_server(net::server& front) {
    auto client = co_await as_result(net::connect(front.local()));
    if (!client) co_return false;
    const auto sent = co_await as_result(client->send_all("hi"));
    if (!sent) co_return false;
    std::array<std::byte, 2> space;
    const auto got = co_await as_result(client->recv(space));
    co_return got && *got > 0;
}

task<> ask_three_times(net::server& front, int& answered) {
    for (int i = 0; i < 3; ++i) {
        try {
            const bool one = co_await ask_server(front);
            if (one) ++answered;
        } catch (const std::bad_alloc&) {  // before it was asked
        }
    }
}

/// A connection for which there is no memory is closed, and the server goes on with the next one,
/// unless it could not even begin: then serve() throws.
task<> serve_three() {
    begin_shortage();
    net::server front(net::endpoint("127.0.0.1", 0), {.drain = 1s});
    int answered = 0;
    bool went_on = false;
    auto both = [&](scope& tasks) -> task<> {
        tasks.spawn(front.serve(echo_one));
        co_await ask_three_times(front, answered);
        const bool only_one_failed = !shortage.goes_on;
        end_shortage();
        went_on = co_await ask_server(front);
        front.stop();
        expect(went_on, "it serves nobody any more");
        if (only_one_failed) expect(answered >= 2, "more than one was given up");
    };
    bool gave_up = false;
    try {
        co_await with_scope(both);
    } catch (const std::bad_alloc&) {
        gave_up = true;
    }
    if (gave_up) {
        expect(answered == 0, "it served, and gave up for want of memory");
    }
    if (gave_up || answered < 3) throw std::bad_alloc();
}

task<> use_pool(fake_pool& from, std::vector<std::error_code>& failures) {
    for (int i = 0; i < 3; ++i) {
        try {
            auto lease = co_await from.acquire(1h);
            co_await yield();
            expect(!lease->dirty, "it was lent as another had left it");
            lease->dirty = i == 0;
            if (i == 1) lease.discard();
        } catch (const std::bad_alloc&) {
            failures.push_back(make_error_code(std::errc::not_enough_memory));
        } catch (const std::system_error& error) {
            failures.push_back(error.code());
        }
    }
}

task<> share_a_pool() {
    std::vector<std::error_code> failures;
    failures.reserve(100);
    begin_shortage();
    story s(small(1));
    s.there.delay = 1us;
    auto all = [&](scope& tasks) -> task<> {
        for (int i = 0; i < 3; ++i) tasks.spawn(use_pool(s.pool, failures));
        co_return;
    };
    co_await with_scope(all);
    end_shortage();
    co_await s.pool.close(1s);
    for (const std::error_code why : failures)
        expect(is_want_of_memory(why), "another failure than want of memory");
    if (!failures.empty()) throw std::bad_alloc();
}

/// One that is lost once, and made again. It goes on, however short memory is for a while, unless
/// it has not begun.
task<> lose_a_lasting_connection() {
    lasting_line::server there;
    there->bytes_left = 10;  // it is lost in its first reply
    begin_shortage();
    const auto on = lasting_line::client::open(there.where(), lasting_line::steady(1ms, 20ms));
    bool answered = false;
    for (int tries = 0; tries < 100 && !answered && !on->over().is_set(); ++tries) {
        try {
            const std::error_code why = co_await lasting_line::ask_once(*on, 1);
            answered = !why;
        } catch (const std::bad_alloc&) {  // it was not asked
        }
        if (!answered) co_await sleep_for(1ms);
    }
    end_shortage();
    const bool begun = on->connections() > 0;
    co_await on->closed();
    expect(answered || !begun, "it was given up");
    if (!answered) throw std::bad_alloc();
}

const work bytes[] = {
    {"reader", read_lines, 5},     {"block_reader", read_blocks, 5},
    {"writer", write_and_look, 5}, {"send_all", send_everything, 0},
    {"chunk", make_chunks},        {"leased recv of a stream", lend_to_a_stream},
    {"udp", exchange_datagrams},   {"descriptors handed over", hand_a_descriptor_over},
    {"relay", relay_both_ways},
};

const work connections[] = {
    {"listener, connect", accept_and_connect, 5},
    {"a listener that pauses", run_out_of_descriptors, 1},
    {"connect by name", connect_by_name, 10},
    {"resolver", resolve_together, 10},
    {"resolver of the system", ask_the_system, 5},
};

const work floors[] = {
    {"session", share_a_session, 5},
    {"turns", take_turns, 5},
    {"lasting connection", lose_a_lasting_connection, 10},
    {"server", serve_three, 5},
    {"pool", share_a_pool, 5},
};

}  // namespace

TEST_CASE("readers, writers and datagrams survive any failed allocation") {
    check_every_allocation(bytes);
}
TEST_CASE("listening, connecting and resolving survive any failed allocation") {
    check_every_allocation(connections);
}
TEST_CASE("sessions, servers and pools survive any failed allocation, and everybody is told") {
    check_every_allocation(floors);
}
