#include <ouro/net/connect.hpp>

#include "names.hpp"
#include "sockets.hpp"
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/sim/world.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/timeout.hpp>

#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

using namespace ouro;
using namespace ouro::net;
using namespace std::chrono_literals;

namespace {

/// What nobody answers at, in simulation.
const endpoint silent("192.0.2.1:80");
const endpoint silent_v6("[2001:db8::1]:80");

template <class... Args>
task<std::string> what_of(Args... args) {
    try {
        const stream made = co_await connect(args...);
        co_return "connected to " + made.peer().to_string();
    } catch (const std::system_error& error) {
        co_return error.what();
    }
}

task<std::string> what_of_any(std::vector<endpoint> addresses, connect_options options = {}) {
    try {
        const stream made = co_await connect_any(std::move(addresses), "them", options);
        co_return "connected to " + made.peer().to_string();
    } catch (const std::system_error& error) {
        co_return error.what();
    }
}

/// g++ 12 has no room for a braced list in an awaited expression.
template <class... Endpoints>
std::vector<endpoint> list(const Endpoints&... each) {
    return {each...};
}

/// Loopback ports at which nobody listens; the second is an IPv6 one where there is IPv6.
endpoint closed_port() { return listener(endpoint{"127.0.0.1", 0}).local(); }
endpoint other_closed_port() {
    return listener(endpoint{has_ipv6() ? "::1" : "127.0.0.1", 0}).local();
}

task<> accept_one(listener& at) {
    const stream taken = co_await at.accept();
    CHECK(taken.is_open());
}

task<std::error_code> connect_error(endpoint to) {
    const auto made = co_await as_result(connect(to));
    co_return made.error();
}

}  // namespace

OURO_TEST_KERNEL("as_result keeps the words that the exception would have had") {
    const endpoint where = closed_port();
    const std::string words = "cannot connect to " + where.to_string() + ": Connection refused";
    const auto got = co_await as_result(connect(where));
    CHECK(got.error() == std::errc::connection_refused);
    CHECK(got.error_text() == words);
    std::string thrown;
    try {
        got.value();
    } catch (const std::system_error& error) {
        CHECK(error.code() == std::errc::connection_refused);
        thrown = error.what();
    }
    CHECK(thrown == words);
    // Whatever hands it on keeps them, too.
    const auto limited = co_await as_result(timeout(10s, connect(where)));
    CHECK(limited.error_text() == words);
    const result<int> other = limited.why();
    CHECK(other.error_text() == words);
}

OURO_TEST_IO("connecting to an address yields a stream") {
    listener at(endpoint{"127.0.0.1", 0});
    stream client = co_await connect(at.local());
    stream server = co_await at.accept();
    co_await client.send_all("hello");
    CHECK(co_await receive_exactly(server, 5) == "hello");
}

OURO_TEST_IO("IPv6 connects as well") {
    if (!has_ipv6()) co_return;
    listener at(endpoint{"::1", 0});
    stream client = co_await connect(at.local());
    stream server = co_await at.accept();
    co_await client.send_all("six");
    CHECK(co_await receive_exactly(server, 3) == "six");
    CHECK(client.peer() == at.local());
}

OURO_TEST_IO("where nobody listens, the error names the address") {
    const endpoint where = closed_port();
    CHECK(co_await what_of(where) ==
          "cannot connect to " + where.to_string() + ": Connection refused");
    const endpoint unix_name("unix:@ouro-nobody-" + std::to_string(::getpid()));
    CHECK(co_await what_of(unix_name) ==
          "cannot connect to " + unix_name.to_string() + ": Connection refused");
    const std::string nowhere = co_await what_of(endpoint());
    CHECK(nowhere.starts_with("cannot connect to none: "));
}

OURO_TEST_IO("a local address can be chosen") {
    listener at(endpoint{"127.0.0.1", 0});
    const connect_options from{.local = endpoint{"127.0.0.2", 0}};
    stream client = co_await connect(at.local(), from);
    CHECK(client.local().host() == "127.0.0.2");
    CHECK(client.local().port() != 0);
    const std::string foreign = co_await what_of(at.local(), connect_options{.local = silent});
    CHECK(foreign.ends_with("Cannot assign requested address"));
}

OURO_TEST_KERNEL("a port connected to itself is refused") {
    const endpoint where = closed_port();
    const std::string what = co_await what_of(where, connect_options{.local = where});
    CHECK(what == "cannot connect to " + where.to_string() + ": Connection refused");
}

OURO_TEST_KERNEL("a Unix socket whose backlog is full is waited for") {
    const endpoint name("unix:@ouro-full-" + std::to_string(::getpid()));
    listener at(name, {.backlog = 0});
    stream first = co_await connect(name);
    auto second = spawn(connect_error(name));
    auto third = spawn(connect_error(name));
    co_await settle();
    for (int i = 0; i < 3; ++i) co_await accept_one(at);
    CHECK(co_await second == std::error_code());
    CHECK(co_await third == std::error_code());
}

OURO_TEST_KERNEL("waiting for a full backlog can be cancelled") {
    const endpoint name("unix:@ouro-full-" + std::to_string(::getpid()));
    listener at(name, {.backlog = 0});
    stream first = co_await connect(name);
    auto second = spawn(connect_error(name));
    co_await settle();
    second.cancel();
    CHECK(co_await second == errc::cancelled);
}

OURO_TEST_KERNEL("connecting can be cancelled while the peer keeps silent") {
    // With a full backlog Linux answers nothing at all.
    listener at(endpoint{"127.0.0.1", 0}, {.backlog = 0});
    stream first = co_await connect(at.local());
    const auto made = co_await as_result(timeout(5ms, connect(at.local())));
    CHECK(made.error() == errc::timed_out);
}

OURO_TEST("connecting can be limited in time") {
    const time_point before = clock::now();
    const auto made = co_await as_result(timeout(3s, connect(silent)));
    CHECK(made.error() == errc::timed_out);
    CHECK(clock::now() - before == 3s);
}

OURO_TEST_IO("a host and a port, by number or by service, connect") {
    listener at(endpoint{"127.0.0.1", 0});
    auto source = std::make_shared<test_names>();
    source->known["example.com"] = {at.local()};
    source->known["example.com http"] = {at.local()};
    resolver names({}, source);
    const connect_options options{.names = &names};
    stream one = co_await connect("example.com", at.local().port(), options);
    CHECK(one.peer() == at.local());
    stream two = co_await connect("example.com", "http", options);
    CHECK(two.peer() == at.local());
    stream three = co_await connect("127.0.0.1", at.local().port());
    CHECK(three.peer() == at.local());
    CHECK(co_await what_of("nosuch.example", 80, options) ==
          "cannot resolve nosuch.example: host not found");
    for (int i = 0; i < 3; ++i) co_await accept_one(at);
}

OURO_TEST_IO("localhost connects, whatever family answers") {
    listener at(endpoint{"127.0.0.1", 0});
    stream client = co_await connect("localhost", at.local().port());
    CHECK(client.peer() == at.local());
    co_await accept_one(at);
}

OURO_TEST_IO("an address that refuses makes way for the next at once") {
    listener at(endpoint{"127.0.0.1", 0});
    const time_point before = clock::exact_now();
    const connect_options patient{.attempt_delay = std::chrono::hours(24)};
    CHECK(co_await what_of_any(list(other_closed_port(), at.local()), patient) ==
          "connected to " + at.local().to_string());
    CHECK(clock::exact_now() - before < patient.attempt_delay);
    co_await accept_one(at);
}

OURO_TEST_IO("when all refuse, the error names every address") {
    const endpoint v6 = other_closed_port(), v4 = closed_port();
    CHECK(co_await what_of_any(list(v6, v4)) == "cannot connect to them (" + v6.to_string() +
                                                    ": Connection refused; " + v4.to_string() +
                                                    ": Connection refused): Connection refused");
    CHECK(co_await what_of_any(list(v4)) ==
          "cannot connect to " + v4.to_string() + ": Connection refused");
    const std::string none = co_await what_of_any(list());
    CHECK(none.ends_with("Cannot assign requested address"));
}

OURO_TEST("an address that keeps silent delays the next by the attempt delay only") {
    listener at(endpoint{"127.0.0.1", 0});
    const time_point before = clock::now();
    CHECK(co_await what_of_any(list(silent_v6, at.local())) ==
          "connected to " + at.local().to_string());
    CHECK(clock::now() - before == 250ms);
}

OURO_TEST("the families take turns, beginning with that of the first address") {
    listener at(endpoint{"127.0.0.1", 0});
    // IPv6, IPv4, IPv6, IPv4: the listener comes second instead of last.
    const time_point before = clock::now();
    co_await what_of_any(list(silent_v6, silent_v6.with_port(81), at.local(), silent));
    CHECK(clock::now() - before == 250ms);
    const time_point again = clock::now();
    co_await what_of_any(list(silent, silent.with_port(81), silent.with_port(82), at.local()));
    CHECK(clock::now() - again == 750ms);
    const connect_options hasty{.attempt_delay = 10ms};
    co_await what_of_any(list(silent, at.local()), hasty);
    CHECK(clock::now() - again == 760ms);
}

OURO_TEST("a slow first address that answers before the next wins") {
    listener slow(endpoint{"::1", 0}), quick(endpoint{"127.0.0.1", 0});
    sim::world::current().set_conditions({.delay_min = 100ms, .delay_max = 110ms});
    const std::string made = co_await what_of_any(list(slow.local(), quick.local()));
    CHECK(made == "connected to " + slow.local().to_string());
}

OURO_TEST("when all keep silent, the last to give up is the error") {
    const std::string what = co_await what_of_any(list(silent_v6, silent));
    CHECK(what ==
          "cannot connect to them ([2001:db8::1]:80: Connection timed out; "
          "192.0.2.1:80: Connection timed out): Connection timed out");
}

OURO_TEST("losers are cancelled and joined before the winner is handed out") {
    listener at(endpoint{"127.0.0.1", 0});
    const std::size_t before = executor::current().io().in_flight();
    const stream made =
        co_await connect_any(list(silent_v6, silent, at.local()), "them", connect_options{});
    CHECK(made.is_open());
    CHECK(executor::current().io().in_flight() == before);
}

namespace {

task<> connect_by_name() {
    listener at(endpoint{"127.0.0.1", 0});
    auto source = std::make_shared<test_names>();
    source->known["example.com"] = {other_closed_port(), at.local(), at.local()};
    source->takes = 1ms;
    resolver names({}, source);
    const connect_options options{.attempt_delay = 1ms, .names = &names};
    stream made = co_await connect("example.com", at.local().port(), options);
    co_await made.send_all("x");
}

}  // namespace

TEST_CASE("connecting by name can be cancelled anywhere") {
    const sweep_report swept = cancel_everywhere_on_all(connect_by_name);
    CHECK_MESSAGE(swept.clean(), swept.complaints);
    CHECK(swept.points > 5);
}

TEST_CASE("connecting past silent addresses can be cancelled anywhere") {
    auto scenario = []() -> task<> {
        listener at(endpoint{"127.0.0.1", 0});
        const stream made =
            co_await connect_any(list(silent_v6, silent, at.local()), "them", connect_options{});
        CHECK(made.is_open());
    };
    const sweep_report swept = cancel_everywhere(scenario);
    CHECK_MESSAGE(swept.clean(), swept.complaints);
    CHECK(swept.points > 5);
}

OURO_TEST("a name at which nobody answered is looked up again") {
    const listener here(endpoint("127.0.0.1:0"));
    auto source = std::make_shared<test_names>();
    source->known["moving.example"] = {closed_port().with_port(0)};
    resolver names({}, source);
    connect_options options;
    options.names = &names;
    const std::string host = "moving.example";
    const std::uint16_t closed = closed_port().port();
    const auto refused = co_await as_result(connect(host, closed, options));
    CHECK(refused.error() == std::errc::connection_refused);
    co_await connect(host, here.local().port(), options);
    co_await connect(host, here.local().port(), options);
    CHECK(source->asked == 2);

    // Nor is one believed at which somebody has waited in vain.
    source->known["moving.example"] = {silent.with_port(0)};
    names.clear();
    const auto waited = co_await as_result(timeout(1s, connect(host, std::uint16_t{80}, options)));
    CHECK(waited.error() == ouro::errc::timed_out);
    CHECK(names.size() == 0);
    const auto by_service = co_await as_result(timeout(1s, connect(host, "80", options)));
    CHECK(by_service.error() == ouro::errc::timed_out);
    CHECK(source->asked == 4);
}
