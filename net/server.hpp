// server.hpp: accepts on every worker of the run, serves each connection in a task of its own, and
// stops in good order.
//
//     task<> echo(net::stream client) {
//         std::array<std::byte, 4096> block;
//         while (std::size_t got = co_await client.recv(block))
//             co_await client.send_all(std::span(block).first(got));
//     }
//
//     task<> serve() {
//         net::server front("127.0.0.1:7000");  // "Address already in use" is thrown here
//         std::printf("listening on %s\n", front.local().to_string().c_str());
//         co_await front.serve(echo);  // until stop(), or until it is cancelled
//     }
//
//     int main() { return ouro::run(serve(), {.workers = 2}); }
//
//   1. One port. The first socket is bound and listens without SO_REUSEPORT, so a port on which
//      anybody listens is an error. Only then may the sockets of the other workers join it, and the
//      kernel spreads the connections. A Unix socket, or a listener that is handed in, cannot be
//      joined: one worker accepts there, and gives each connection to the worker that has fewest.
//   2. A connection is a task, named after its peer in dumps. When it fails, that is logged and
//      counted, and nobody else notices. That a peer went away is no failure: it is only counted.
//   3. The limit of connections is one for all workers. While it is reached, nobody accepts.
//   4. The end: no more connections are accepted; those that are open have `drain` to come to their
//      end; then they are named, cancelled, and waited for.
#pragma once

#include <ouro/net/listener.hpp>
#include <ouro/net/stream.hpp>
#include <ouro/runtime/engine/counter.hpp>
#include <ouro/runtime/engine/executor.hpp>
#include <ouro/runtime/remote.hpp>
#include <ouro/runtime/sync/shared_channel.hpp>
#include <ouro/runtime/sync/shared_semaphore.hpp>
#include <ouro/runtime/task.hpp>

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

namespace ouro::net {

/// What servers listen with, unless they are told otherwise: connections notice that their peer is
/// gone. A silent one is asked after a minute and given up after two; one that takes nothing of
/// what was sent to it, be it gone or stuck, is given up after two minutes, too.
constexpr listener_options watchful_listener() noexcept {
    listener_options made;
    made.accepted.keep_alive = keep_alive();
    made.accepted.user_timeout = std::chrono::minutes(2);
    return made;
}

/// How to serve.
struct server_options {
    /// Socket options, the backlog, and what connections are given. With `listen.reuse_port` other
    /// processes of the same user may listen on the port as well, as for a rolling restart; without
    /// it, one that listens already is an error.
    listener_options listen = watchful_listener();
    /// Connections that are served at the same time, by all workers together. Above it accepting
    /// pauses: each worker may hold those that it had already taken, the kernel's backlog the rest.
    std::size_t connections_max = 10'000;
    /// How long connections may go on once the server stops. When the run stops, runtime_options::
    /// grace counts as well, so this should be shorter. Zero: they are cancelled at once.
    duration drain = std::chrono::seconds(5);
};

/// What a server has seen so far, on all workers.
struct server_stats {
    std::uint64_t accepted = 0;   ///< connections that were taken
    std::uint64_t open = 0;       ///< that are being served
    std::uint64_t failed = 0;     ///< whose handler threw: each was logged
    std::uint64_t broken = 0;     ///< whose peer went away: reset, timed out, unreachable
    std::uint64_t cancelled = 0;  ///< that were open when the time to drain was over
    std::uint64_t full = 0;       ///< times a worker waited since connections_max were open
    std::uint64_t exhausted = 0;  ///< times it paused, because descriptors or memory ran out
};

/// Serves a connection: a callable that takes a stream and returns a task.
template <class F>
concept connection_handler = requires(F& f, stream client) {
    { f(std::move(client)) } -> std::same_as<task<>>;
};

/// Makes a handler.
template <class F>
concept handler_maker = !connection_handler<F> && requires(F& f) {
    { f() } -> connection_handler;
};

/// A listening address and those who are served there; see the top of this file.
///
/// Made inside a run, and destroyed on the same worker when serve() has ended. Not movable.
class server {
public:
    /// Binds and listens: from now on the kernel takes connections. Port 0 takes a free one, the
    /// same for all workers; see local(). Throws std::system_error, whose what() reads "cannot
    /// listen on 127.0.0.1:8080: Address already in use".
    explicit server(const endpoint& where, const server_options& options = {});

    /// Serves what comes through `at`, which listens already: of this program, or taken over from
    /// another. The options' `listen` is not looked at.
    explicit server(listener at, const server_options& options = {});

    server(const server&) = delete;
    server& operator=(const server&) = delete;
    ~server();

    /// The address it listens on, with the actual port.
    const endpoint& local() const noexcept { return local_; }

    /// Accepts on every worker of the run, and awaits the end of all connections; once.
    ///
    /// `what` is a handler, of which every worker gets a copy, or makes one when it is called
    /// without arguments, on the worker that will use it, perhaps on several at the same time.
    /// Either lives until the last connection of its worker has ended, so handlers may be lambdas
    /// that capture. A handler that keeps no errors for itself may throw them, see server_stats.
    ///
    /// Returns after stop(). Throws errc::cancelled when it was cancelled, as a signal does, and
    /// std::system_error when a worker can no longer accept; in both cases after the same end.
    template <class F>
        requires connection_handler<F> || handler_maker<F>
    task<> serve(F what, std::source_location place = std::source_location::current()) {
        if (workers_ == 1) {
            co_await serve_here(std::move(what), place);
        } else {
            const on_one_worker<F> there(*this, std::move(what), place);
            co_await on_each_worker(there, place);
        }
    }

    /// What serve() does, on this worker only: for workers that have something of their own beside
    /// it. To be called on each worker of the run. When it ends on one, the whole server stops.
    template <class F>
        requires connection_handler<F> || handler_maker<F>
    task<> serve_here(F what, std::source_location place = std::source_location::current()) {
        if constexpr (connection_handler<F>) {
            typed_handler<F> how(what);
            co_await work(how, place);
        } else {
            auto made = what();
            typed_handler<decltype(made)> how(made);
            co_await work(how, place);
        }
    }

    /// Begins the end, see rule 4; again: nothing. From any worker, and before serve(), too.
    void stop() noexcept;
    bool stopping() const noexcept { return stopping_.load(std::memory_order_relaxed); }

    /// Returns when the end has begun: for tasks that then tell long-lived connections to leave.
    task<> until_stopping();

    /// From any worker.
    server_stats stats() const noexcept;

private:
    class shift;

    /// What serves a connection, without its type.
    class handler {
    public:
        virtual task<> serve(stream client) = 0;

    protected:
        ~handler() = default;
    };

    template <class F>
    class typed_handler final : public handler {
    public:
        explicit typed_handler(F& f) noexcept : f_(f) {}

    private:
        task<> serve(stream client) override { return f_(std::move(client)); }
        F& f_;
    };

    /// Calls serve_here where it is called.
    template <class F>
    struct on_one_worker {
        on_one_worker(server& of, F f, std::source_location from)
            : self(of), what(std::move(f)), place(from) {}
        task<> operator()() { return self.serve_here(std::move(what), place); }

        server& self;
        F what;
        std::source_location place;
    };

    /// A connection on its way to another worker: it belongs to none, and whoever destroys it
    /// closes it.
    class in_transit {
    public:
        explicit in_transit(stream from) noexcept : number_(from.release()) {}
        in_transit(in_transit&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
        in_transit& operator=(in_transit&& other) noexcept {
            std::swap(number_, other.number_);
            return *this;
        }
        ~in_transit();

        /// Makes it the current worker's; throws as stream::adopt does.
        stream arrive();

    private:
        int number_;
    };

    /// One worker's part.
    struct alignas(64) part {
        counter accepted, open, failed, broken, cancelled, full, exhausted;
        std::atomic<std::uint64_t> coming = 0;  // handed over, and not yet taken there
        std::atomic<bool> serving = false;
        std::unique_ptr<shared_channel<in_transit>> inbox;  // null: it has a listener of its own
    };

    server(listener at, const server_options& options, bool joinable);

    part& own_part() noexcept { return parts_[executor::current().worker()]; }
    task<> work(handler& how, std::source_location place);
    task<> take(shift& here);
    task<> accept_for(shift& here, listener at);
    task<> hand_out(listener at);
    task<> take_handed(shift& here);
    task<stream> next(listener& at, part& mine);
    part& least_busy() noexcept;

    server_options options_;
    listener first_;  // until its worker serves
    endpoint local_;
    const unsigned home_;
    const unsigned workers_;
    const bool joinable_;  // every worker has a listener; else the first one hands out
    std::unique_ptr<part[]> parts_;
    shared_semaphore room_;      // connections that may still come
    shared_channel<bool> stop_;  // nothing is sent; closed when the end begins
    std::atomic<bool> stopping_ = false;
};

}  // namespace ouro::net
