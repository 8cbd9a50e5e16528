#include <ouro/net/connect.hpp>

#include <ouro/net/socket_options.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/engine/executor.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/sync/event.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>

#include <netinet/in.h>
#include <sys/time.h>

#include <algorithm>
#include <cerrno>
#include <optional>

namespace ouro::net {
namespace {

// How long a ring may wait for room in the backlog of a Unix socket. It does so on a thread of the
// kernel's, and now and then a request to cancel misses that thread, so the wait must end by
// itself.
constexpr timeval full_backlog_wait{0, 50'000};

// How long to pause before trying again.
constexpr duration full_backlog_pause_min = std::chrono::milliseconds(1);
constexpr duration full_backlog_pause_max = std::chrono::milliseconds(50);

reactor& io() noexcept { return executor::current().io(); }

/// A socket that is ready to connect to `where`.
result<descriptor> prepare_socket(const endpoint& where, const connect_options& options) noexcept {
    const int opened = io().open_socket(where.domain(), SOCK_STREAM, 0);
    if (opened < 0) return error_of(opened);
    descriptor fd(opened);
    result<void> done = set_stream_options(opened, where.domain(), options.stream);
    if (!done) return done.error();
    if (options.local.family() == address_family::none) return fd;

    // Leave the port open until the peer is known: one local port can serve many peers.
    if (options.local.is_ip() && options.local.port() == 0)
        done = set_socket_option(opened, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    if (!done) return done.error();
    const int bound = io().bind(opened, options.local.address(), options.local.length());
    if (bound < 0) return error_of(bound);
    return fd;
}

/// When nobody listens on a port that the system hands out by itself, TCP may connect a socket to
/// itself: both ends happen to have the same address.
bool is_connected_to_itself(int fd, const endpoint& peer) noexcept {
    if (!peer.is_ip() || !peer.is_loopback()) return false;
    const result<endpoint> local = local_endpoint(fd);
    return local && *local == peer.unmapped();
}

void limit_sending(int fd, timeval to) noexcept {
    static_cast<void>(io().set_option(fd, SOL_SOCKET, SO_SNDTIMEO, &to, sizeof to));
}

bool is_full_backlog(std::error_code error) noexcept {
    return error == std::errc::device_or_resource_busy ||
           error == std::errc::resource_unavailable_try_again;
}

task<result<stream>> try_once(endpoint where, const connect_options& options) {
    result<descriptor> fd = prepare_socket(where, options);
    if (!fd) co_return fd.error();
    if (where.is_unix()) limit_sending(fd->number(), full_backlog_wait);
    auto done = co_await as_result(connect_op(*fd, where.address(), where.length()));
    if (!done) co_return done.error();
    if (is_connected_to_itself(fd->number(), where)) co_return error_of(-ECONNREFUSED);
    if (where.is_unix()) limit_sending(fd->number(), {});
    co_return stream(*std::move(fd));
}

task<result<stream>> try_connect(endpoint where, const connect_options& options) {
    for (duration pause = full_backlog_pause_min;;
         pause = std::min(pause * 2, full_backlog_pause_max)) {
        result<stream> made = co_await try_once(where, options);
        if (made || !where.is_unix() || !is_full_backlog(made.error())) co_return made;
        auto waited = co_await as_result(sleep_for(pause));
        if (!waited) co_return waited.error();
    }
}

/// The same addresses with the families taking turns, beginning with the first one's.
std::vector<endpoint> take_turns(const std::vector<endpoint>& addresses) {
    std::vector<endpoint> families[2];
    for (const endpoint& each : addresses)
        families[each.family() == addresses.front().family() ? 0 : 1].push_back(each);
    std::vector<endpoint> mixed;
    mixed.reserve(addresses.size());
    for (std::size_t i = 0; mixed.size() < addresses.size(); ++i)
        for (const std::vector<endpoint>& family : families)
            if (i < family.size()) mixed.push_back(family[i]);
    return mixed;
}

/// Attempts to connect to one of several addresses. Lives in the frame that waits for them all.
class race {
public:
    race(const std::vector<endpoint>& addresses, const connect_options& options)
        : addresses_(take_turns(addresses)), options_(options) {}

    /// Starts attempts until one has won or all have failed, and cancels those left.
    task<> run(scope& attempts) {
        for (const endpoint& where : addresses_) {
            changed_.reset();
            ++running_;
            attempts.spawn(attempt(where));
            auto news = co_await as_result(timeout(options_.attempt_delay, changed_.wait()));
            if (news.error() == errc::cancelled) throw_error(errc::cancelled);
            if (winner_) break;
        }
        while (!winner_ && running_ > 0) {
            changed_.reset();
            co_await changed_.wait();
        }
        attempts.cancel();
    }

    std::optional<stream>& winner() noexcept { return winner_; }
    std::error_code last_error() const noexcept { return last_error_; }
    /// "[::1]:80: Connection refused; 127.0.0.1:80: …".
    const std::string& failures() const noexcept { return failures_; }

private:
    task<> attempt(endpoint where) {
        result<stream> made = co_await try_connect(where, options_);
        --running_;
        if (!made)
            note_failure(where, made.error());
        else if (!winner_)
            winner_ = *std::move(made);
        changed_.set();
    }

    void note_failure(const endpoint& where, std::error_code why) {
        last_error_ = why;
        if (!failures_.empty()) failures_ += "; ";
        failures_ += where.to_string() + ": " + why.message();
    }

    std::vector<endpoint> addresses_;
    const connect_options& options_;
    event changed_;  // an attempt has ended
    std::size_t running_ = 0;
    std::optional<stream> winner_;
    std::error_code last_error_ = std::make_error_code(std::errc::address_not_available);
    std::string failures_;
};

resolver& names_of(const connect_options& options) {
    return options.names ? *options.names : resolver::of_this_worker();
}

}  // namespace

task<stream> connect(endpoint where, connect_options options) {
    result<stream> made = co_await try_connect(where, options);
    if (made) co_return *std::move(made);
    if (made.error() == errc::cancelled) throw_error(errc::cancelled);
    throw std::system_error(made.error(), "cannot connect to " + where.to_string());
}

task<stream> connect_any(std::vector<endpoint> addresses, std::string name,
                         connect_options options) {
    if (addresses.size() == 1) {
        const endpoint only = addresses.front();
        co_return co_await connect(only, options);
    }
    race all(addresses, options);
    auto run = [&all](scope& attempts) { return all.run(attempts); };
    co_await with_scope(run);
    if (all.winner()) co_return *std::move(all.winner());
    throw std::system_error(all.last_error(),
                            "cannot connect to " + name + " (" + all.failures() + ")");
}

// When nobody answers, the name may have moved: what was known of it is forgotten, also when
// whoever waited has lost his patience.

task<stream> connect(std::string host, std::uint16_t port, connect_options options) {
    auto addresses = co_await names_of(options).resolve(host, port);
    auto name = host + ':' + std::to_string(port);
    try {
        co_return co_await connect_any(std::move(addresses), std::move(name), options);
    } catch (...) {
        names_of(options).forget(host);
        throw;
    }
}

task<stream> connect(std::string host, std::string service, connect_options options) {
    auto addresses = co_await names_of(options).resolve(host, service);
    auto name = host + ':' + service;
    try {
        co_return co_await connect_any(std::move(addresses), std::move(name), options);
    } catch (...) {
        names_of(options).forget(host, service);
        throw;
    }
}

}  // namespace ouro::net
