// tls_engine: what the engine takes for a record, without a socket: the twin of
// benches/floor/tls_record.c, which does the same with OpenSSL alone.
//
//   tls_engine tls_echo_64 --seconds 1 --connections 64 --cert cert.pem --key key.pem
//   {"operations": …, "wall_ns": …, "cpu_ns": …, "bytes": …}
//
// The server's side alone is timed, called as a stream calls it.

#include "examples/arguments.hpp"
#include <ouro/net/tls/context.hpp>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <vector>

using namespace ouro;
using net::tls::engine;

namespace {

struct work {
    std::string_view name;
    std::size_t bytes;
    std::size_t batch;
    bool reads, writes;
};

constexpr std::size_t record_bytes = 16 * 1024;
constexpr work works[] = {
    {"tls_echo_64", 64, 256, true, true},
    {"tls_bulk_receive", record_bytes, 16, true, false},
    {"tls_bulk_send", record_bytes, 16, false, true},
};

using bytes = std::vector<std::byte>;
using engines = std::vector<std::unique_ptr<engine>>;

std::int64_t read_clock(clockid_t which) noexcept {
    std::timespec now{};
    ::clock_gettime(which, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

void expect(bool good, const char* what) {
    if (!good) throw std::runtime_error(what);
}

/// As the wire does: what came is put where the engine wants it.
void deliver(engine& to, std::span<const std::byte> what) {
    while (!what.empty()) {
        const std::span<std::byte> space = to.space();
        const std::size_t n = std::min(space.size(), what.size());
        std::memcpy(space.data(), what.data(), n);
        to.received(n);
        what = what.subspan(n);
        expect(what.empty() || !to.ready(), "a record came in pieces that were not expected");
    }
}

void carry(engine& from, engine& to) {
    while (!from.pending().empty()) {
        const bytes what(from.pending().begin(), from.pending().end());
        from.sent(what.size());
        for (std::size_t at = 0; at < what.size();) {
            const std::span<std::byte> space = to.space();
            const std::size_t n = std::min(space.size(), what.size() - at);
            std::memcpy(space.data(), what.data() + at, n);
            to.received(n);
            at += n;
            if (!to.handshake_done()) to.handshake();
        }
    }
}

void shake_hands(engine& client, engine& server) {
    client.handshake();
    for (int round = 0; round < 8; ++round) {
        carry(client, server);
        carry(server, client);
    }
    std::byte none;
    client.take({&none, 1});  // the ticket
    expect(client.handshake_done() && server.handshake_done(), "the handshake failed");
}

/// What a put has made, appended.
void append_pending(engine& of, bytes& to) {
    const auto made = of.pending();
    to.insert(to.end(), made.begin(), made.end());
    of.sent(made.size());
}

void put_all(engine& by, std::span<const std::byte> what) {
    const iovec from{const_cast<std::byte*>(what.data()), what.size()};
    expect(by.put({&from, 1}) == static_cast<int>(what.size()), "put");
}

class batch {
public:
    batch(const work& of, const engines& clients, const engines& servers)
        : work_(of), clients_(clients), servers_(servers), clear_(of.bytes), into_(record_bytes) {
        for (std::size_t i = 0; i < clear_.size(); ++i) clear_[i] = std::byte(i * 7 + 3);
        wire_.reserve(of.batch * (of.bytes + 64));
        out_.reserve(of.batch * (of.bytes + 64));
    }

    void make_records() {
        wire_.clear();
        ends_.clear();
        for (std::size_t i = 0; i < work_.batch; ++i) {
            put_all(turn(clients_, i), clear_);
            append_pending(turn(clients_, i), wire_);
            ends_.push_back(wire_.size());
        }
    }

    /// What is timed.
    void serve() {
        std::size_t at = 0;
        out_.clear();
        for (std::size_t i = 0; i < work_.batch; ++i) {
            engine& server = turn(servers_, i);
            std::span<const std::byte> what = clear_;
            if (work_.reads) {
                deliver(server, std::span(wire_).subspan(at, ends_[i] - at));
                at = ends_[i];
                expect(server.ready(), "a record is missing");
                const int got = server.take(into_);
                expect(got == static_cast<int>(work_.bytes), "take");
                what = std::span(into_).first(static_cast<std::size_t>(got));
            }
            if (!work_.writes) continue;
            put_all(server, what);
            append_pending(server, out_);
        }
    }

    void check() {
        std::span<const std::byte> left = out_;
        bytes got(work_.bytes);
        const std::size_t each = out_.size() / work_.batch;
        for (std::size_t i = 0; work_.writes && i < work_.batch; ++i) {
            deliver(turn(clients_, i), left.first(each));
            left = left.subspan(each);
            expect(turn(clients_, i).take(got) == static_cast<int>(got.size()) && got == clear_,
                   "a record differs");
        }
        if (!work_.writes)
            expect(std::equal(clear_.begin(), clear_.end(), into_.begin()), "a record differs");
    }

private:
    static engine& turn(const engines& all, std::size_t number) {
        return *all[number % all.size()];
    }

    const work& work_;
    const engines& clients_;
    const engines& servers_;
    bytes clear_, into_, wire_, out_;
    std::vector<std::size_t> ends_;
};

void measure(const work& of, double seconds, const examples::arguments& given) {
    net::tls::server_options secure;
    secure.identities = {{.certificate_file = given.text("cert", "cert.pem"),
                          .key_file = given.text("key", "key.pem")}};
    const net::tls::server_context ours(secure);
    net::tls::client_options trusting;
    trusting.check = net::tls::verify::none;
    const net::tls::client_context theirs(trusting);
    engines clients, servers;
    for (std::int64_t i = given.number("connections", 1, 1, 64); i > 0; --i) {
        servers.push_back(ours.make_engine());
        clients.push_back(theirs.make_engine("localhost"));
        shake_hands(*clients.back(), *servers.back());
    }

    batch all(of, clients, servers);
    const auto whole = static_cast<std::int64_t>(seconds * 1e9);
    const std::int64_t start = read_clock(CLOCK_MONOTONIC);
    std::int64_t wall = 0, cpu = 0, now = 0;
    std::size_t operations = 0;
    while ((now = read_clock(CLOCK_MONOTONIC) - start) < whole || operations == 0) {
        if (of.reads) all.make_records();
        const std::int64_t cpu_before = read_clock(CLOCK_PROCESS_CPUTIME_ID);
        const std::int64_t wall_before = read_clock(CLOCK_MONOTONIC);
        all.serve();
        const std::int64_t cpu_after = read_clock(CLOCK_PROCESS_CPUTIME_ID);
        const std::int64_t wall_after = read_clock(CLOCK_MONOTONIC);
        all.check();
        if (now < whole / 5) continue;  // warm-up
        operations += of.batch;
        wall += wall_after - wall_before;
        cpu += cpu_after - cpu_before;
    }
    std::printf("{\"operations\": %zu, \"wall_ns\": %lld, \"cpu_ns\": %lld, \"bytes\": %zu}\n",
                operations, static_cast<long long>(wall), static_cast<long long>(cpu),
                operations * of.bytes);
}

}  // namespace

int main(int argc, char** argv) try {
    const std::string_view name = argc > 1 ? argv[1] : "";
    const auto* const found = std::find_if(std::begin(works), std::end(works),
                                           [name](const work& each) { return each.name == name; });
    if (found == std::end(works))
        examples::wrong_usage(
            "which work? tls_echo_64, tls_bulk_receive and tls_bulk_send are known");
    const examples::arguments given(argc - 1, argv + 1, {"seconds", "connections", "cert", "key"});
    measure(*found, std::stod(given.text("seconds", "1")), given);
    return 0;
} catch (const std::exception& problem) {
    std::fprintf(stderr, "tls_engine: %s\n", problem.what());
    return 1;
}
