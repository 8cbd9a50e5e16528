#include <ouro/net/udp.hpp>

#include "sockets.hpp"
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/sim/world.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/timeout.hpp>

#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <vector>

using namespace ouro;
using namespace ouro::net;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t ipv4_bytes_max = 65'507;

std::string text_of(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

task<std::error_code> receive_error(udp& from) {
    std::array<std::byte, 16> space;
    const auto got = co_await as_result(from.recv_from(space));
    co_return got.error();
}

std::string what_of(const endpoint& local) {
    try {
        const udp socket(local);
        return "bound";
    } catch (const std::system_error& error) {
        return error.what();
    }
}

/// Memory for `count` datagrams of up to `bytes` each.
struct space_for {
    space_for(std::size_t count, std::size_t bytes) : memory(count * bytes), datagrams(count) {
        for (std::size_t i = 0; i < count; ++i)
            datagrams[i].into = std::span(memory).subspan(i * bytes, bytes);
    }
    std::string text(std::size_t i) const {
        return text_of(datagrams[i].into.first(datagrams[i].got.size));
    }
    std::vector<std::byte> memory;
    std::vector<incoming_datagram> datagrams;
};

task<> exchange(const char* address) {
    udp a(endpoint{address, 0}), b(endpoint{address, 0});
    CHECK(a.local().port() != 0);
    std::array<std::byte, 100> space;
    co_await a.send_to("ping", b.local());
    const datagram ping = co_await b.recv_from(space);
    CHECK(text_of(std::span(space).first(ping.size)) == "ping");
    CHECK(ping.from == a.local());
    CHECK_FALSE(ping.truncated);
    co_await b.send_to("pong", ping.from);
    const datagram pong = co_await a.recv_from(space);
    CHECK(text_of(std::span(space).first(pong.size)) == "pong");
    CHECK(pong.from == b.local());
}

}  // namespace

OURO_TEST_IO("a datagram arrives with its sender's address, over IPv4 and IPv6") {
    co_await exchange("127.0.0.1");
    if (has_ipv6()) co_await exchange("::1");
}

OURO_TEST_IO("a datagram that is too long for the memory is cut, and says so") {
    udp a(endpoint{"127.0.0.1", 0}), b(endpoint{"127.0.0.1", 0});
    std::array<std::byte, 4> space;
    co_await a.send_to("12345", b.local());
    const datagram cut = co_await b.recv_from(space);
    CHECK(cut.size == 4);
    CHECK(cut.truncated);
    CHECK(text_of(space) == "1234");
    co_await a.send_to("1234", b.local());
    const datagram whole = co_await b.recv_from(space);
    CHECK(whole.size == 4);
    CHECK_FALSE(whole.truncated);
}

OURO_TEST_IO("a datagram may be empty, and no larger than the protocol allows") {
    udp a(endpoint{"127.0.0.1", 0}), b(endpoint{"127.0.0.1", 0});
    std::vector<std::byte> space(ipv4_bytes_max + 1);
    co_await a.send_to("", b.local());
    const datagram nothing = co_await b.recv_from(space);
    CHECK(nothing.size == 0);
    CHECK(nothing.from == a.local());

    const auto most = pattern(ipv4_bytes_max);
    co_await a.send_to(most, b.local());
    const datagram large = co_await b.recv_from(space);
    CHECK(large.size == ipv4_bytes_max);
    CHECK(std::equal(most.begin(), most.end(), space.begin()));

    const auto more = pattern(ipv4_bytes_max + 1);
    const auto refused = co_await as_result(a.send_to(more, b.local()));
    CHECK(refused.error() == std::errc::message_size);
}

OURO_TEST_IO("a connected socket sends to its peer and hears nobody else") {
    udp a(endpoint{"127.0.0.1", 0}), b(endpoint{"127.0.0.1", 0}), other(endpoint{"127.0.0.1", 0});
    co_await a.connect(b.local());
    CHECK(a.peer() == b.local());
    std::array<std::byte, 100> space;
    co_await a.send("to my peer");
    const datagram got = co_await b.recv_from(space);
    CHECK(got.from == a.local());
    co_await other.send_to("unheard", a.local());
    co_await b.send_to("heard", a.local());
    const datagram heard = co_await a.recv_from(space);
    CHECK(text_of(std::span(space).first(heard.size)) == "heard");
}

OURO_TEST_IO("sending without a peer is an error") {
    udp a(endpoint{"127.0.0.1", 0});
    const auto sent = co_await as_result(a.send("to whom?"));
    CHECK(sent.error() == std::errc::destination_address_required);
}

OURO_TEST_KERNEL("a peer at which nobody listens is told to a connected socket") {
    udp gone(endpoint{"127.0.0.1", 0});
    const endpoint where = gone.local();
    gone = udp();
    udp a(endpoint{"127.0.0.1", 0});
    co_await a.connect(where);
    co_await a.send("anybody?");
    CHECK(co_await receive_error(a) == std::errc::connection_refused);
}

OURO_TEST_IO("an address in use is named in the error") {
    udp a(endpoint{"127.0.0.1", 0});
    CHECK(what_of(a.local()) ==
          "cannot bind " + a.local().to_string() + ": Address already in use");
    udp first(endpoint{"127.0.0.1", 0}, {.reuse_port = true});
    udp second(first.local(), {.reuse_port = true});
    CHECK(first.local() == second.local());
    co_return;
}

OURO_TEST_IO("receiving can be cancelled, timed out and closed") {
    udp a(endpoint{"127.0.0.1", 0}), b(endpoint{"127.0.0.1", 0});
    auto waiting = spawn(receive_error, std::ref(a));
    co_await settle();
    waiting.cancel();
    CHECK(co_await waiting == errc::cancelled);
    std::array<std::byte, 16> space;
    const auto late = co_await as_result(timeout(1ms, a.recv_from(space)));
    CHECK(late.error() == errc::timed_out);
    co_await b.send_to("still good", a.local());
    const datagram got = co_await a.recv_from(space);
    CHECK(got.size == 10);

    auto closed = spawn(receive_error, std::ref(a));
    co_await settle();
    co_await a.close();
    CHECK(co_await closed == errc::cancelled);
    CHECK_FALSE(a.is_open());
}

OURO_TEST_IO("a batch is sent in order and received as it came") {
    udp a(endpoint{"127.0.0.1", 0}), b(endpoint{"127.0.0.1", 0});
    std::vector<std::string> texts;
    for (int i = 0; i < 100; ++i) texts.push_back("datagram " + std::to_string(i));
    std::vector<outgoing_datagram> out;
    for (const std::string& text : texts)
        out.push_back({std::as_bytes(std::span(text)), b.local()});
    co_await a.send_batch(out);

    std::vector<std::string> received;
    while (received.size() < texts.size()) {
        space_for in(40, 16);
        const std::size_t count = co_await b.recv_batch(in.datagrams);
        REQUIRE(count >= 1);
        REQUIRE(count <= 40);
        for (std::size_t i = 0; i < count; ++i) {
            received.push_back(in.text(i));
            CHECK(in.datagrams[i].got.from == a.local());
        }
    }
    std::sort(received.begin(), received.end());  // simulated datagrams may overtake each other
    std::sort(texts.begin(), texts.end());
    CHECK(received == texts);
}

OURO_TEST_KERNEL("what has come is taken in one batch, each with its size and its cut") {
    udp a(endpoint{"127.0.0.1", 0}), b(endpoint{"127.0.0.1", 0});
    for (const char* text : {"1", "", "333", "4444444", "5"}) co_await a.send_to(text, b.local());
    space_for in(4, 4);
    const std::size_t count = co_await b.recv_batch(in.datagrams);
    REQUIRE(count == 4);
    CHECK(in.text(0) == "1");
    CHECK(in.text(1) == "");
    CHECK(in.text(2) == "333");
    CHECK(in.text(3) == "4444");
    CHECK(in.datagrams[3].got.truncated);
    CHECK_FALSE(in.datagrams[2].got.truncated);
    space_for rest(4, 4);
    const std::size_t left = co_await b.recv_batch(rest.datagrams);
    CHECK(left == 1);
    CHECK(rest.text(0) == "5");
}

OURO_TEST_IO("a batch stops at what cannot be sent") {
    udp a(endpoint{"127.0.0.1", 0}), b(endpoint{"127.0.0.1", 0});
    const auto too_long = pattern(ipv4_bytes_max + 1);
    const std::array<outgoing_datagram, 4> batch{
        outgoing_datagram{std::as_bytes(std::span("a", 1)), b.local()},
        outgoing_datagram{std::as_bytes(std::span("b", 1)), b.local()},
        outgoing_datagram{too_long, b.local()},
        outgoing_datagram{std::as_bytes(std::span("c", 1)), b.local()}};
    const auto sent = co_await as_result(a.send_batch(batch));
    CHECK(sent.error() == std::errc::message_size);
    std::array<std::byte, 16> space;
    for (int i = 0; i < 2; ++i) {
        const datagram got = co_await b.recv_from(space);
        CHECK(got.size == 1);
    }
    const auto nothing = co_await as_result(timeout(1ms, b.recv_from(space)));
    CHECK(nothing.error() == errc::timed_out);
}

OURO_TEST_IO("sending nothing as a batch is done at once") {
    udp a(endpoint{"127.0.0.1", 0});
    co_await a.send_batch(std::span<const outgoing_datagram>());
}

OURO_TEST_KERNEL("members of a multicast group receive what is sent to it") {
    // On the loopback interface, so that nothing leaves this machine.
    const endpoint group("239.255.77.77:0");
    udp member(endpoint::any_ipv4(0), {.reuse_address = true});
    member.join(group, "lo");
    udp sender(endpoint{"127.0.0.1", 0});
    sender.set_multicast_hops(0);
    sender.set_multicast_loop(true);
    in_addr loopback{htonl(INADDR_LOOPBACK)};
    REQUIRE(::setsockopt(sender.fd(), IPPROTO_IP, IP_MULTICAST_IF, &loopback, sizeof loopback) ==
            0);
    co_await sender.send_to("to all", group.with_port(member.local().port()));
    std::array<std::byte, 16> space;
    const datagram got = co_await timeout(10s, member.recv_from(space));
    CHECK(text_of(std::span(space).first(got.size)) == "to all");
    member.leave(group, "lo");
    CHECK_THROWS_AS(member.leave(group, "lo"), std::system_error);
    CHECK_THROWS_AS(member.join(group, "nosuchinterface"), std::system_error);
    CHECK_THROWS_AS(member.join(endpoint("10.0.0.1:0"), "lo"), std::system_error);
}

OURO_TEST_IO("a port alone receives over IPv4 and IPv6") {
    udp every{endpoint(":0")};
    const std::uint16_t port = every.local().port();
    std::array<std::byte, 16> space;
    udp v4(endpoint{"127.0.0.1", 0});
    co_await v4.send_to("4", endpoint("127.0.0.1", port));
    const datagram from_v4 = co_await every.recv_from(space);
    CHECK(from_v4.from == v4.local());
    co_await every.send_to("back", from_v4.from);
    const datagram back = co_await v4.recv_from(space);
    CHECK(back.size == 4);
    if (!has_ipv6()) co_return;
    udp v6(endpoint{"::1", 0});
    co_await v6.send_to("6", endpoint("::1", port));
    const datagram from_v6 = co_await every.recv_from(space);
    CHECK(from_v6.from == v6.local());
}

OURO_TEST("what the network loses never arrives") {
    sim::world::current().set_conditions({.losses_per_thousand = 1000});
    udp a(endpoint{"127.0.0.1", 0}), b(endpoint{"127.0.0.1", 0});
    co_await a.send_to("lost", b.local());
    std::array<std::byte, 16> space;
    const auto got = co_await as_result(timeout(1h, b.recv_from(space)));
    CHECK(got.error() == errc::timed_out);
}

TEST_CASE("datagrams can be cancelled anywhere") {
    auto scenario = []() -> task<> {
        co_await exchange("127.0.0.1");
        udp a(endpoint{"127.0.0.1", 0}), b(endpoint{"127.0.0.1", 0});
        const std::array<outgoing_datagram, 2> batch{
            outgoing_datagram{std::as_bytes(std::span("a", 1)), b.local()},
            outgoing_datagram{std::as_bytes(std::span("b", 1)), b.local()}};
        co_await a.send_batch(batch);
        space_for in(2, 4);
        co_await b.recv_batch(in.datagrams);
    };
    const sweep_report swept = cancel_everywhere_on_all(scenario);
    CHECK_MESSAGE(swept.clean(), swept.complaints);
    CHECK(swept.points >= 5);
}

OURO_TEST_KERNEL("what is said about multicast holds for both families of a dual-stack socket") {
    if (!has_ipv6()) co_return;
    udp both(endpoint(":0"));
    both.set_multicast_loop(false);
    both.set_multicast_hops(7);
    CHECK(socket_option(both.fd(), IPPROTO_IP, IP_MULTICAST_LOOP).value() == 0);
    CHECK(socket_option(both.fd(), IPPROTO_IPV6, IPV6_MULTICAST_LOOP).value() == 0);
    CHECK(socket_option(both.fd(), IPPROTO_IP, IP_MULTICAST_TTL).value() == 7);
    CHECK(socket_option(both.fd(), IPPROTO_IPV6, IPV6_MULTICAST_HOPS).value() == 7);
}
