// pubsub_load: loads a pub/sub server and counts every message.
//
// Each publisher has its own channel and its own subscribers. Every message carries its number and
// the time it was made, and all have the same length, so that each subscriber can tell what was
// lost, came twice or out of order, and how long it took.
//
// With --tls the connections are under TLS: --ca FILE says whom to trust, if not whom the system
// trusts, --server-name whom the certificate is for, if not the address, and --cert FILE and
// --key FILE what to show to a server that asks.

#include "arguments.hpp"
#include "load_report.hpp"
#include <ouro/net/connect.hpp>
#include <ouro/net/stream.hpp>
#include <ouro/net/tls/handshake.hpp>
#include <ouro/runtime/run.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/sync/event.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

using namespace ouro;
using namespace std::chrono_literals;
using examples::load_report;

namespace {

constexpr std::size_t number_digits = 10;
constexpr std::size_t time_digits = 16;
constexpr std::size_t message_min = number_digits + 1 + time_digits + 2;
constexpr std::size_t receive_bytes = 64 * 1024;
constexpr duration patience = 10s;  // without any progress, what is missing counts as lost
constexpr duration handshake_time_max = 60s;  // thousands of them wait their turn

struct plan {
    net::endpoint server;
    unsigned publishers = 5;
    unsigned subscribers = 25;  // of each publisher
    std::uint64_t rate = 50;    // messages a second and publisher; 0: as fast as the window allows
    std::uint64_t window = 64;  // messages that may be on the way when the rate is 0
    std::size_t size = 64;      // bytes of a message with its CRLF
    unsigned seconds = 10;
    std::shared_ptr<const net::tls::client_context> trust;  // null: clear
    std::string server_name;
};

/// One channel: its publisher and what its subscribers have seen.
struct feed {
    std::string name;
    std::vector<std::uint64_t> received;  // by subscriber
    event progress;                       // set whenever one of them got something
    std::uint64_t sent = 0;
    std::uint64_t messages = UINT64_MAX;  // how many there will be, once known
    bool done = false;
};

void put_hex(char* at, std::size_t digits, std::uint64_t value) {
    for (std::size_t i = digits; i-- > 0; value >>= 4) at[i] = "0123456789abcdef"[value & 15];
}

std::uint64_t get_hex(const char* at, std::size_t digits) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < digits; ++i) {
        const auto c = static_cast<unsigned char>(at[i]);
        value = value << 4 | ((c & 15) + (c >> 6) * 9);
    }
    return value;
}

std::uint64_t now_ns() {
    return static_cast<std::uint64_t>(clock::exact_now().time_since_epoch().count());
}

/// Writes message `number` with the current time.
void make_message(char* at, std::size_t size, std::uint64_t number, std::uint64_t now) {
    put_hex(at, number_digits, number);
    at[number_digits] = ' ';
    put_hex(at + number_digits + 1, time_digits, now);
    std::memset(at + message_min - 2, '.', size - message_min);
    std::memcpy(at + size - 2, "\r\n", 2);
}

/// Sends the greeting and waits for the server's OK.
task<> greet(net::stream& server, std::string greeting) {
    co_await server.send_all(greeting);
    std::array<std::byte, 4> answer;
    for (std::size_t got = 0; got < answer.size();) {
        const std::size_t n = co_await server.recv(std::span(answer).subspan(got));
        if (n == 0) throw std::runtime_error("the server closed the connection instead of OK");
        got += n;
    }
    if (std::memcmp(answer.data(), "OK\r\n", answer.size()) != 0)
        throw std::runtime_error("the server refused: " + greeting);
}

task<net::stream> reach(const plan& how) {
    net::stream wire = co_await net::connect(how.server);
    if (!how.trust) co_return wire;
    net::tls::handshake_options options;
    options.time_limit = handshake_time_max;
    auto made = co_await net::tls_connect(std::move(wire), *how.trust, how.server_name, options);
    co_return std::move(made.stream);
}

class load {
public:
    explicit load(const plan& what) : plan_(what) {
        for (unsigned i = 0; i < plan_.publishers; ++i) {
            auto& one = feeds_.emplace_back(std::make_unique<feed>());
            one->name = "load-" + std::to_string(i);
            one->received.resize(plan_.subscribers);
        }
    }

    task<load_report> run() {
        auto body = [this](scope& tasks) -> task<> {
            for (auto& one : feeds_)
                for (unsigned i = 0; i < plan_.subscribers; ++i)
                    tasks.spawn(&load::subscribe, *this, *one, i);
            while (subscribed_ < plan_.publishers * plan_.subscribers) co_await ready_.wait();
            start_ = clock::exact_now();
            auto bar = tasks.spawn(&load::show_progress, *this);
            auto publishing = [this](scope& publishers) -> task<> {
                for (auto& one : feeds_) publishers.spawn(&load::publish, *this, *one);
                co_return;
            };
            co_await with_scope(publishing);
            co_await wait_for_the_last();
            end_ = clock::exact_now();
            bar.cancel();
            examples::draw_progress(1s, 1s, report_.delivered);
            tasks.cancel();
        };
        co_await with_scope(body);
        co_return summary();
    }

private:
    static task<> subscribe(load& self, feed& from, unsigned index) {
        auto server = co_await reach(self.plan_);
        co_await greet(server, "SUBSCRIBE " + from.name + "\r\n");
        ++self.subscribed_;
        self.ready_.set();
        std::vector<std::byte> space(receive_bytes);
        std::size_t kept = 0;  // bytes of a message that is not complete
        for (;;) {
            const std::size_t got = co_await server.recv(std::span(space).subspan(kept));
            if (got == 0) throw std::runtime_error("the server closed a subscriber's connection");
            const std::size_t have = kept + got;
            const std::size_t used = self.take(from, index, {space.data(), have});
            kept = have - used;
            std::memmove(space.data(), space.data() + used, kept);
            from.progress.set();
        }
    }

    static task<> publish(load& self, feed& into) {
        auto server = co_await reach(self.plan_);
        co_await greet(server, "PUBLISH " + into.name + "\r\n");
        if (self.plan_.rate > 0)
            co_await self.publish_paced(server, into);
        else
            co_await self.publish_windowed(server, into);
        into.messages = into.sent;
        co_await server.send_all("BYE\r\n");
    }

    /// Sends message k at k / rate; whoever comes late sends what has become due meanwhile.
    task<> publish_paced(net::stream& server, feed& into) {
        const std::uint64_t total = plan_.rate * plan_.seconds;
        std::string batch;
        while (into.sent < total) {
            const duration since = clock::exact_now() - start_;
            const auto due =
                static_cast<std::uint64_t>(since.count()) * plan_.rate / 1'000'000'000 + 1;
            const std::uint64_t count = std::min(due, total) - into.sent;
            if (count > 0) {
                fill(batch, into, std::min<std::uint64_t>(count, 1024));
                co_await server.send_all(batch);
                continue;
            }
            const auto next = duration(into.sent * 1'000'000'000 / plan_.rate + 1);
            co_await sleep_until(start_ + next);
        }
    }

    /// Keeps `window` messages on the way, counted by the slowest subscriber.
    task<> publish_windowed(net::stream& server, feed& into) {
        const time_point end = start_ + std::chrono::seconds(plan_.seconds);
        std::string batch;
        while (clock::exact_now() < end) {
            const auto slowest = *std::min_element(into.received.begin(), into.received.end());
            const std::uint64_t room = slowest + plan_.window - into.sent;
            if (room == 0) {
                into.progress.reset();
                co_await into.progress.wait();
                continue;
            }
            fill(batch, into, room);
            co_await server.send_all(batch);
        }
    }

    void fill(std::string& batch, feed& into, std::uint64_t count) {
        batch.resize(count * plan_.size);
        const std::uint64_t now = now_ns();
        for (std::uint64_t i = 0; i < count; ++i)
            make_message(batch.data() + i * plan_.size, plan_.size, into.sent + i, now);
        into.sent += count;
    }

    /// Counts the complete messages in `bytes`; returns how many bytes they take.
    std::size_t take(feed& from, unsigned index, std::span<const std::byte> bytes) {
        const std::uint64_t now = now_ns();
        const char* at = reinterpret_cast<const char*>(bytes.data());
        std::size_t used = 0;
        for (; used + plan_.size <= bytes.size(); used += plan_.size, at += plan_.size) {
            if (std::memcmp(at + plan_.size - 2, "\r\n", 2) != 0)
                throw std::runtime_error("a message was damaged on its way");
            const std::uint64_t number = get_hex(at, number_digits);
            std::uint64_t& expected = from.received[index];
            if (number > expected) report_.lost += number - expected;
            if (number < expected)
                ++(number + 1 == expected ? report_.duplicated : report_.out_of_order);
            expected = std::max(expected, number + 1);
            ++report_.delivered;
            report_.latency.record(now - get_hex(at + number_digits + 1, time_digits));
        }
        return used;
    }

    task<> wait_for_the_last() {
        for (auto& one : feeds_) {
            for (;;) {
                const auto slowest = *std::min_element(one->received.begin(), one->received.end());
                if (slowest >= one->messages) break;
                one->progress.reset();
                const auto moved = co_await as_result(timeout(patience, one->progress.wait()));
                if (moved.error() == errc::timed_out) break;
                moved.value();
            }
        }
    }

    static task<> show_progress(load& self) {
        for (;;) {
            co_await sleep_for(200ms);
            const duration since = clock::now() - self.start_;
            examples::draw_progress(since, std::chrono::seconds(self.plan_.seconds),
                                    self.report_.delivered);
        }
    }

    load_report summary() {
        load_report& all = report_;
        for (auto& one : feeds_) {
            all.sent += one->sent;
            all.expected += one->sent * plan_.subscribers;
            for (const std::uint64_t got : one->received)
                if (got < one->sent) all.lost += one->sent - got;
        }
        all.elapsed = end_ - start_;
        return std::move(all);
    }

    plan plan_;
    std::vector<std::unique_ptr<feed>> feeds_;
    event ready_;
    unsigned subscribed_ = 0;
    time_point start_;
    time_point end_;
    load_report report_;
};

plan read_plan(const examples::arguments& given) {
    plan what;
    const std::string where = given.text("connect", "127.0.0.1:8080");
    const auto server = net::endpoint::parse(where);
    if (!server)
        examples::wrong_usage("--connect needs an address such as 127.0.0.1:8080, not '" + where +
                              "'");
    what.server = *server;
    what.publishers = static_cast<unsigned>(given.number("publishers", 5, 1, 10'000));
    what.subscribers = static_cast<unsigned>(given.number("subscribers", 25, 1, 10'000));
    what.rate = given.text("rate", "50") == "max"
                    ? 0
                    : static_cast<std::uint64_t>(given.number("rate", 50, 1, 10'000'000));
    what.window = static_cast<std::uint64_t>(given.number("window", 64, 1, 1'000'000));
    what.size = static_cast<std::size_t>(given.number("size", 64, message_min, 60'000));
    what.seconds = static_cast<unsigned>(given.number("seconds", 10, 1, 3'600));
    if (given.has("tls")) {
        net::tls::client_options options;
        options.ca_file = given.text("ca", "");
        options.certificate.certificate_file = given.text("cert", "");
        options.certificate.key_file = given.text("key", "");
        what.trust = std::make_shared<const net::tls::client_context>(options);
        what.server_name = given.text("server-name", what.server.host());
    }
    return what;
}

task<int> measure(const plan& what, std::string json_file) {
    load work(what);
    const load_report report = co_await work.run();
    examples::print_report(report);
    if (!json_file.empty()) examples::write_json(report, json_file);
    co_return report.flawless() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) try {
    const examples::arguments given(
        argc, argv,
        {"connect", "publishers", "subscribers", "rate", "window", "size", "seconds", "json",
         "reactor", "ca", "server-name", "cert", "key"},
        {"tls"});
    const plan what = read_plan(given);
    const std::string reactor = given.choice("reactor", "auto", {"auto", "uring", "epoll"});
    runtime_options options;
    if (reactor != "auto")
        options.reactor.kind = reactor == "uring" ? reactor_kind::uring : reactor_kind::epoll;
    return run(measure(what, given.text("json", "")), options);
} catch (const std::exception& problem) {
    std::fprintf(stderr, "%s\n", problem.what());  // which file, and what is wrong with it
    return 1;
}
