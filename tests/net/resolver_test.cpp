#include <ouro/net/resolver.hpp>

#include "names.hpp"
#include "sockets.hpp"
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

using namespace ouro;
using namespace ouro::net;
using namespace std::chrono_literals;

namespace {

std::shared_ptr<test_names> example_names() {
    auto names = std::make_shared<test_names>();
    names->known["example.com"] = {"192.0.2.1:0", "[2001:db8::1]:0"};
    names->known["example.com http"] = {"192.0.2.1:80"};
    return names;
}

task<std::string> what_of(resolver& names, std::string host) {
    try {
        const auto found = co_await names.resolve(host, 80);
        co_return found.front().to_string();
    } catch (const std::system_error& error) {
        co_return error.what();
    }
}

task<std::size_t> count_addresses(resolver& names, std::string host) {
    const auto found = co_await names.resolve(host, 80);
    co_return found.size();
}

task<std::error_code> error_of_resolving(resolver& names, std::string host) {
    const auto found = co_await as_result(names.resolve(host, 80));
    co_return found.error();
}

/// On every real reactor and in one simulated world. What the system answers is no function of a
/// seed, and each of its name servers' answers takes its time: asking once per seed proves nothing.
void once_on_each_reactor(sim::test_body body) {
    std::vector<sim::test_setting> settings = sim::real_settings();
    settings.push_back({.kind = reactor_kind::sim, .seed = 1});
    for (const sim::test_setting& setting : settings) doctest_in(setting, body);
}

}  // namespace

OURO_TEST("a name yields its addresses with the port that was asked for") {
    resolver names({}, example_names());
    const auto found = co_await names.resolve("example.com", 443);
    REQUIRE(found.size() == 2);
    CHECK(found[0] == endpoint("192.0.2.1:443"));
    CHECK(found[1] == endpoint("[2001:db8::1]:443"));
    const auto by_service = co_await names.resolve("example.com", "http");
    REQUIRE(by_service.size() == 1);
    CHECK(by_service[0] == endpoint("192.0.2.1:80"));
    const auto by_number = co_await names.resolve("example.com", "8080");
    CHECK(by_number[0] == endpoint("192.0.2.1:8080"));
}

OURO_TEST("a literal address is answered at once") {
    auto source = example_names();
    resolver names({}, source);
    for (const char* text : {"127.0.0.1", "::1", "[::1]", "fe80::1%lo"}) {
        const auto found = co_await names.resolve(text, 80);
        REQUIRE(found.size() == 1);
        CHECK(found[0] == endpoint(text, 80));
    }
    const auto by_service = co_await names.resolve("127.0.0.1", "81");
    CHECK(by_service[0] == endpoint("127.0.0.1:81"));
    CHECK(source->asked == 0);
    CHECK(names.size() == 0);
}

OURO_TEST("an answer is remembered until its time is over") {
    auto source = example_names();
    resolver names({.ttl = 30s}, source);
    co_await names.resolve("example.com", 80);
    co_await names.resolve("EXAMPLE.com", 81);
    co_await sleep_for(30s - 1ms);
    co_await names.resolve("example.com", 80);
    CHECK(source->asked == 1);
    CHECK(names.stats().hits == 2);
    co_await sleep_for(1ms);
    co_await names.resolve("example.com", 80);
    CHECK(source->asked == 2);
    CHECK(names.stats().lookups == 2);
    CHECK(names.size() == 1);
}

OURO_TEST("a name that does not exist is an error that names it, remembered for less long") {
    auto source = example_names();
    resolver names({.negative_ttl = 5s}, source);
    CHECK(co_await what_of(names, "nosuch.example") ==
          "cannot resolve nosuch.example: host not found");
    CHECK(co_await error_of_resolving(names, "nosuch.example") == errc::host_not_found);
    CHECK(source->asked == 1);
    co_await sleep_for(5s);
    source->known["nosuch.example"] = {"192.0.2.9:0"};
    CHECK(co_await what_of(names, "nosuch.example") == "192.0.2.9:80");
    const auto bad_service = co_await as_result(names.resolve("example.com", "nosuch"));
    CHECK(bad_service.error() == errc::host_not_found);
}

OURO_TEST("other errors are not remembered") {
    auto source = example_names();
    source->failure = std::make_error_code(std::errc::resource_unavailable_try_again);
    resolver names({}, source);
    CHECK(co_await error_of_resolving(names, "example.com") ==
          std::errc::resource_unavailable_try_again);
    CHECK(names.size() == 0);
    source->failure = {};
    CHECK(co_await count_addresses(names, "example.com") == 2);
    source->breaks = true;
    CHECK(co_await error_of_resolving(names, "other.example") == std::errc::io_error);
    CHECK(names.size() == 1);
}

OURO_TEST("a name that is forgotten is looked up again, and no other") {
    auto source = example_names();
    resolver names({}, source);
    co_await names.resolve("example.com", 80);
    co_await names.resolve("example.com", "http");
    names.forget("Example.COM");
    CHECK(names.size() == 1);
    co_await names.resolve("example.com", "http");
    CHECK(names.stats().lookups == 2);
    co_await names.resolve("example.com", 80);
    CHECK(names.stats().lookups == 3);
    names.forget("example.com", "http");
    names.forget("nobody.example");
    CHECK(names.size() == 1);
}

OURO_TEST("without a time to live nothing is remembered") {
    auto source = example_names();
    resolver names({.ttl = {}, .negative_ttl = {}}, source);
    for (int i = 0; i < 3; ++i) co_await names.resolve("example.com", 80);
    co_await error_of_resolving(names, "nosuch.example");
    CHECK(source->asked == 4);
    CHECK(names.size() == 0);
}

OURO_TEST("what is no name is not looked up") {
    auto source = example_names();
    resolver names({}, source);
    const std::string longest(253, 'a');
    for (const std::string& text :
         {std::string(), std::string("*"), std::string("."), std::string("a\0b", 3), longest + "a"})
        CHECK(co_await error_of_resolving(names, text) == errc::host_not_found);
    CHECK(source->asked == 0);
    co_await error_of_resolving(names, longest);
    co_await error_of_resolving(names, longest + ".");
    CHECK(source->asked == 2);
    const auto no_service = co_await as_result(names.resolve("example.com", ""));
    CHECK(no_service.error() == errc::host_not_found);
    const auto long_service =
        co_await as_result(names.resolve("example.com", std::string(256, 'a')));
    CHECK(long_service.error() == errc::host_not_found);
    CHECK(source->asked == 2);
}

OURO_TEST("the memory is bounded; what was used least recently goes first") {
    auto source = example_names();
    for (char c : {'a', 'b', 'c'}) source->known[std::string(1, c)] = {"192.0.2.1:0"};
    resolver names({.entries_max = 2}, source);
    co_await names.resolve("a", 80);
    co_await names.resolve("b", 80);
    co_await names.resolve("a", 80);
    co_await names.resolve("c", 80);  // b goes
    CHECK(names.size() == 2);
    CHECK(source->asked == 3);
    co_await names.resolve("a", 80);
    CHECK(source->asked == 3);
    co_await names.resolve("b", 80);
    CHECK(source->asked == 4);
    names.clear();
    CHECK(names.size() == 0);
    co_await names.resolve("b", 80);
    CHECK(source->asked == 5);
}

OURO_TEST("tasks that ask for one name at the same time share one lookup") {
    auto source = example_names();
    source->takes = 1s;
    resolver names({}, source);
    std::vector<join_handle<std::size_t>> asking;
    for (int i = 0; i < 5; ++i) asking.push_back(spawn(count_addresses(names, "example.com")));
    for (auto& each : asking) CHECK(co_await each == 2);
    CHECK(source->asked == 1);
    CHECK(names.stats().joined == 4);
}

OURO_TEST("cancelling one of those who wait leaves the lookup to the others") {
    auto source = example_names();
    source->takes = 1s;
    resolver names({}, source);
    auto first = spawn(error_of_resolving(names, "example.com"));
    auto second = spawn(error_of_resolving(names, "example.com"));
    co_await settle();
    first.cancel();
    CHECK(co_await first == errc::cancelled);
    CHECK(co_await second == std::error_code());
    CHECK(source->asked == 1);
}

OURO_TEST("a lookup goes on for the memory when nobody waits any more") {
    auto source = example_names();
    source->takes = 1s;
    resolver names({}, source);
    const auto late = co_await as_result(timeout(10ms, names.resolve("example.com", 80)));
    CHECK(late.error() == errc::timed_out);
    co_await sleep_for(1s);
    co_await names.resolve("example.com", 80);
    CHECK(source->asked == 1);
    CHECK(names.stats().hits == 1);
}

OURO_TEST("a name that was given up is asked for again, and the first answer counts") {
    auto source = example_names();
    source->takes = 1h;
    resolver names({}, source);
    static_cast<void>(co_await as_result(timeout(10ms, names.resolve("example.com", 80))));
    source->takes = 1s;
    auto second = spawn(count_addresses(names, "example.com"));
    auto third = spawn(count_addresses(names, "example.com"));
    CHECK(co_await second == 2);
    CHECK(co_await third == 2);
    CHECK(source->asked == 2);
    CHECK(names.stats().joined == 1);
    co_await names.resolve("example.com", 80);
    CHECK(source->asked == 2);
}

OURO_TEST("a lookup that was given up may answer those who asked again, and no error of it does") {
    auto source = example_names();
    source->takes = 1s;
    resolver names({}, source);
    static_cast<void>(co_await as_result(timeout(10ms, names.resolve("example.com", 80))));
    source->takes = 1h;
    CHECK(co_await count_addresses(names, "example.com") == 2);

    source->takes = 1s;
    static_cast<void>(co_await as_result(timeout(10ms, names.resolve("example.com", "http"))));
    source->failure_of_first = std::make_error_code(std::errc::io_error);
    source->takes = 2s;
    const auto found = co_await names.resolve("example.com", "http");
    CHECK(found.size() == 1);
}

OURO_TEST("a resolver may be cleared, moved and destroyed while it looks up") {
    auto source = example_names();
    source->takes = 1s;
    auto names = std::make_unique<resolver>(resolver_options{}, source);
    auto asking = spawn(count_addresses(*names, "example.com"));
    co_await settle();
    names->clear();
    CHECK(names->size() == 0);
    names = std::make_unique<resolver>(std::move(*names));
    names.reset();
    CHECK(co_await asking == 2);
}

OURO_TEST_NAMED(ask_the_system, "the system knows localhost, and says what it does not know",
                once_on_each_reactor) {
    resolver names;
    const auto found = co_await names.resolve("localhost", 80);
    REQUIRE_FALSE(found.empty());
    for (const endpoint& each : found) {
        CHECK(each.is_loopback());
        CHECK(each.port() == 80);
    }
    const auto by_service = co_await names.resolve("localhost", "80");
    CHECK(by_service == found);
    // RFC 6761 reserves .invalid; without any name server the answer is "try again".
    const std::error_code why = co_await error_of_resolving(names, "nosuch.invalid");
    const bool known =
        why == errc::host_not_found || why == std::errc::resource_unavailable_try_again;
    CHECK(known);
}

OURO_TEST_IO("a worker has a resolver of its own") {
    resolver& own = resolver::of_this_worker();
    CHECK(&own == &resolver::of_this_worker());
    const auto found = co_await own.resolve("127.0.0.1", 1);
    CHECK(found.size() == 1);
}

TEST_CASE("resolving can be cancelled anywhere") {
    auto scenario = []() -> task<> {
        auto source = example_names();
        source->takes = 1ms;
        resolver names({}, source);
        auto two = [&](scope& tasks) -> task<> {
            tasks.spawn(count_addresses(names, "example.com"));
            co_await names.resolve("example.com", 80);
        };
        co_await with_scope(two);
    };
    const sweep_report swept = cancel_everywhere_on_all(scenario);
    CHECK_MESSAGE(swept.clean(), swept.complaints);
    CHECK(swept.points > 3);
}
