// The simulated datagram sockets behave like the kernel's.

#include "../io/sockets.hpp"
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>

#include <array>
#include <set>
#include <string>

using namespace ouro;
using namespace ouro::testing;
using namespace std::chrono_literals;

namespace {

class send_to_op final : public send_message_op {
public:
    send_to_op(descriptor& on, const sockaddr_in& to, std::string_view text)
        : send_message_op(on), to_(to), text_(text) {
        vector_ = {text_.data(), text_.size()};
        message().msg_name = &to_;
        message().msg_namelen = sizeof to_;
        message().msg_iov = &vector_;
        message().msg_iovlen = 1;
    }

private:
    sockaddr_in to_;
    std::string text_;
    iovec vector_;
};

struct datagram {
    std::string text;
    std::uint16_t port;  // of the sender
    bool cut;
};

class receive_from_op final : public receive_message_op {
public:
    explicit receive_from_op(descriptor& on, std::size_t room = 100)
        : receive_message_op(on), space_(room, '\0') {
        vector_ = {space_.data(), space_.size()};
        message().msg_name = &from_;
        message().msg_namelen = sizeof from_;
        message().msg_iov = &vector_;
        message().msg_iovlen = 1;
    }
    datagram await_resume() {
        const std::size_t size = bytes().value();
        const bool cut = (message().msg_flags & MSG_TRUNC) != 0;
        return {space_.substr(0, size), ntohs(from_.sin_port), cut};
    }

private:
    sockaddr_in from_{};
    std::string space_;
    iovec vector_;
};

descriptor udp_socket() {
    descriptor made(checked(io().open_socket(AF_INET, SOCK_DGRAM, 0)));
    const sockaddr_in any = loopback();
    checked(io().bind(made.number(), generic(any), sizeof any));
    return made;
}

std::uint16_t port_of(const descriptor& of) { return ntohs(local_name(of.number()).sin_port); }

OURO_TEST_IO("a datagram arrives whole, with its sender's name") {
    descriptor one = udp_socket();
    descriptor two = udp_socket();
    const sockaddr_in to_two = local_name(two.number());
    co_await send_to_op(one, to_two, "first");
    co_await send_to_op(one, to_two, "");
    co_await send_to_op(one, to_two, "third");
    datagram got = co_await receive_from_op(two);
    CHECK(got.text == "first");
    CHECK(got.port == port_of(one));
    got = co_await receive_from_op(two);
    CHECK(got.text == "");
    got = co_await receive_from_op(two);
    CHECK(got.text == "third");
}

OURO_TEST_IO("what does not fit is cut off, and that is said") {
    descriptor one = udp_socket();
    descriptor two = udp_socket();
    co_await send_to_op(one, local_name(two.number()), "abcdef");
    const datagram got = co_await receive_from_op(two, 3);
    CHECK(got.text == "abc");
    CHECK(got.cut);
}

OURO_TEST_IO("a connected socket hears its peer only") {
    descriptor one = udp_socket();
    descriptor two = udp_socket();
    descriptor stranger = udp_socket();
    co_await connect_to(two, local_name(one.number()));
    co_await send_to_op(stranger, local_name(two.number()), "hello");
    co_await send_to_op(one, local_name(two.number()), "psst");
    const datagram got = co_await receive_from_op(two);
    CHECK(got.text == "psst");
}

OURO_TEST_IO("a connected socket learns that nobody is there") {
    descriptor one = udp_socket();
    descriptor two = udp_socket();
    co_await connect_to(one, local_name(two.number()));
    two.close();
    co_await settle();
    co_await send_op(one, bytes_of("x"));
    co_await settle();
    std::array<std::byte, 10> space;
    auto got = co_await as_result(recv_op(one, space));
    CHECK(got.error() == std::errc::connection_refused);
}

OURO_TEST_IO("without an address there is nowhere to send to; too long is too long") {
    descriptor one = udp_socket();
    auto nowhere = co_await as_result(send_op(one, bytes_of("x")));
    CHECK(nowhere.error() == std::errc::destination_address_required);
    const std::string huge(66'000, 'x');
    auto far_too_long = co_await as_result(send_to_op(one, local_name(one.number()), huge));
    CHECK(far_too_long.error() == std::errc::message_size);
}

OURO_TEST_IO("a Unix pair keeps messages apart and holds the sender back") {
    int numbers[2];
    checked(io().socket_pair(AF_UNIX, SOCK_DGRAM, numbers));
    descriptor near(numbers[0]);
    descriptor far(numbers[1]);
    auto sender = spawn(
        [](descriptor& by) -> task<> {
            const std::vector<std::byte> big(20'000);
            for (int i = 0; i < 100; ++i) co_await send_op(by, big);
        },
        std::ref(near));
    co_await settle();
    CHECK(!sender.finished());
    std::vector<std::byte> space(30'000);
    for (int i = 0; i < 100; ++i) CHECK(co_await recv_op(far, space) == 20'000);
    co_await sender;
    near.close();
    co_await settle();
    auto over = co_await as_result(send_op(far, bytes_of("x")));
    CHECK(over.error() == std::errc::connection_refused);
}

OURO_TEST("datagrams are lost as often as asked for") {
    sim::world::current().set_conditions({.losses_per_thousand = 500});
    descriptor one = udp_socket();
    descriptor two = udp_socket();
    for (int i = 0; i < 200; ++i) {
        co_await send_to_op(one, local_name(two.number()), "x");
    }
    int arrived = 0;
    auto counter = spawn([&]() -> task<> {
        for (;; ++arrived) co_await receive_from_op(two);
    });
    co_await settle();
    CHECK(arrived > 50);
    CHECK(arrived < 150);
    counter.cancel();
    co_await settle();
}

OURO_TEST("datagrams take their time and overtake each other") {
    sim::world::current().set_conditions({.delay_min = 1ms, .delay_max = 100ms});
    descriptor one = udp_socket();
    descriptor two = udp_socket();
    const time_point before = clock::exact_now();
    for (char what = 'a'; what <= 'z'; ++what) {
        co_await send_to_op(one, local_name(two.number()), std::string(1, what));
    }
    std::string order;
    for (int i = 0; i < 26; ++i) {
        const datagram got = co_await receive_from_op(two);
        order += got.text;
    }
    CHECK(clock::exact_now() - before >= 1ms);
    CHECK(clock::exact_now() - before <= 100ms);
    CHECK(order != "abcdefghijklmnopqrstuvwxyz");
    CHECK(std::set<char>(order.begin(), order.end()).size() == 26);
}

OURO_TEST("to a port that is cut nothing gets through") {
    descriptor one = udp_socket();
    descriptor two = udp_socket();
    sim::world::current().cut_port(port_of(two));
    co_await send_to_op(one, local_name(two.number()), "lost");
    sim::world::current().repair_port(port_of(two));
    co_await send_to_op(one, local_name(two.number()), "found");
    const datagram got = co_await receive_from_op(two);
    CHECK(got.text == "found");
}

}  // namespace
