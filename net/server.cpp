#include <ouro/net/server.hpp>

#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/combine.hpp>
#include <ouro/runtime/dump.hpp>
#include <ouro/runtime/duration_text.hpp>
#include <ouro/runtime/engine/executor.hpp>
#include <ouro/runtime/log.hpp>
#include <ouro/runtime/run.hpp>
#include <ouro/runtime/task_group.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <deque>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ouro::net {
namespace {

constexpr std::size_t inbox_max = 64;  // connections on their way to one worker
/// How long accepting waits when there is no memory even to wait for a connection.
constexpr duration shortage_pause = std::chrono::milliseconds(100);
constexpr std::size_t named_max = 16;  // of those that are cancelled at the end

/// What a peer does to a connection, as opposed to what a handler does wrong.
bool is_departure(std::error_code why) noexcept {
    return why == std::errc::connection_reset || why == std::errc::broken_pipe ||
           why == std::errc::connection_aborted || why == std::errc::timed_out ||
           why == std::errc::host_unreachable || why == std::errc::network_unreachable ||
           why == std::errc::network_down || why == std::errc::not_connected ||
           why == errc::end_of_stream;
}

/// What an exception says, and the code when it has one.
struct failure_text {
    explicit failure_text(const std::exception_ptr& failure) {
        try {
            std::rethrow_exception(failure);
        } catch (const std::system_error& error) {
            code = error.code();
            words = error.what();
        } catch (const std::exception& error) {
            words = error.what();
        } catch (...) {
            words = "an exception of unknown type";
        }
    }

    std::error_code code;
    std::string words;
};

/// Names of connections for as long as their tasks live; "unix:" or an address with a port.
class peer_names {
public:
    std::string_view make(int fd) {
        if (free_.empty()) {
            free_.reserve(all_.size() + 1);  // giving back needs no memory
            free_.push_back(&all_.emplace_back());
        }
        name& place = *free_.back();
        const result<endpoint> peer = peer_endpoint(fd);
        const std::string text = peer ? peer->to_string() : "a peer that has gone";
        const std::size_t size = std::min(text.size(), place.size());
        std::copy_n(text.data(), size, place.data());
        free_.pop_back();
        return {place.data(), size};
    }

    void give_back(std::string_view name) noexcept {
        auto* place = reinterpret_cast<peer_names::name*>(const_cast<char*>(name.data()));
        free_.push_back(place);
    }

private:
    using name = std::array<char, 64>;

    std::deque<name> all_;
    std::vector<name*> free_;
};

}  // namespace

/// The connections of one worker while it serves.
class server::shift final : public task_group {
public:
    shift(server& of, part& mine, handler& how, std::source_location place)
        : task_group("connections"), server_(of), part_(mine), how_(how), place_(place) {}

    part& figures() noexcept { return part_; }

    /// Serves a connection that has its place in the limit.
    void begin(stream client) noexcept {
        std::string_view name;
        ++part_.accepted;
        try {
            name = names_.make(client.fd());
            root_task& member = start(how_.serve(std::move(client)), nullptr, place_);
            member.set_name(name);
            ++part_.open;
        } catch (...) {
            count(std::current_exception(), name);
            leave(name);
        }
    }

    /// Waits for the end of all connections. Asked to stop, it names those that are left, and
    /// cancels them.
    class all_gone_await {
    public:
        explicit all_gone_await(shift& of) noexcept : of_(of) {}
        bool await_ready() const noexcept { return false; }
        template <frame_promise P>
        bool await_suspend(std::coroutine_handle<P> by) noexcept {
            return of_.wait_for_members(by.promise());
        }
        void await_resume() const noexcept {}
        result<void> await_result() const noexcept { return {}; }

    private:
        shift& of_;
    };
    all_gone_await all_gone() noexcept { return all_gone_await(*this); }

    void cancel_all() noexcept { cancel_members(cancel_reason::shutdown); }

private:
    void member_ended(root_task& member) noexcept override {
        --part_.open;
        if (const std::exception_ptr failure = member.failure()) {
            if (member.cancelled() && is_cancellation(failure))
                ++part_.cancelled;
            else
                count(failure, member.name());
        }
        leave(member.name());
    }

    void leave(std::string_view name) noexcept {
        if (!name.empty()) names_.give_back(name);
        server_.room_.release();
    }

    /// A connection has failed; rule 2.
    void count(const std::exception_ptr& failure, std::string_view name) noexcept {
        try {
            const failure_text why(failure);
            if (is_departure(why.code)) {
                ++part_.broken;
                return;
            }
            ++part_.failed;
            if (log_enabled())
                log(log_level::error, "connection of " +
                                          std::string(name.empty() ? "a peer" : name) + " with " +
                                          server_.local_.to_string() + " failed: " + why.words +
                                          " (served at " + text_of(place_) + ')');
        } catch (const std::bad_alloc&) {
            ++part_.failed;
            log(log_level::error, "a connection failed, and there is no memory to say which");
        }
    }

    void cancel(cancel_reason) noexcept override {
        try {
            if (log_enabled()) name_who_stays();
        } catch (const std::bad_alloc&) {
            log(log_level::warning,
                "connections are cancelled, and there is no memory to name them");
        }
        cancel_all();
    }

    void name_who_stays() {
        std::string text = std::to_string(member_count()) + " connection" +
                           (member_count() == 1 ? "" : "s") + " with " +
                           server_.local_.to_string() + " did not end within " +
                           duration_text(server_.options_.drain) + ':';
        std::size_t named = 0;
        for_each_member([&](root_task& member) {
            if (++named > named_max) return;
            text += (named == 1 ? " " : ", ") + std::string(member.name()) + " at " +
                    text_of(member.frame().where);
        });
        if (named > named_max) text += " and " + std::to_string(named - named_max) + " more";
        log(log_level::warning, text);
    }

    static std::string text_of(const std::source_location& place) {
        return std::string(short_file_name(place.file_name())) + ':' + std::to_string(place.line());
    }

    server& server_;
    part& part_;
    handler& how_;
    std::source_location place_;
    peer_names names_;
};

server::server(const endpoint& where, const server_options& options)
    : server(listener(where, options.listen), options, where.is_ip()) {}

server::server(listener at, const server_options& options)
    : server(std::move(at), options, false) {}

server::server(listener at, const server_options& options, bool joinable)
    : options_(options),
      first_(std::move(at)),
      local_(first_.local()),
      home_(executor::current().worker()),
      workers_(worker_count()),
      joinable_(joinable || workers_ == 1),
      parts_(std::make_unique<part[]>(workers_)),
      room_(options.connections_max),
      stop_(0) {
    OURO_ASSERT(options.connections_max > 0 &&
                "server: a server without connections: connections_max is at least 1");
    if (workers_ == 1) return;
    if (joinable_) {
        // Rule 1: it listens, and alone. From now on those of the other workers may join it.
        set_socket_option(first_.fd(), SOL_SOCKET, SO_REUSEPORT, 1).value();
        options_.listen.reuse_port = true;
        return;
    }
    for (unsigned i = 0; i < workers_; ++i)
        parts_[i].inbox = std::make_unique<shared_channel<in_transit>>(inbox_max);
}

server::~server() {
    OURO_ASSERT(executor::current().worker() == home_ &&
                "a server is destroyed on the worker that made it");
    for (unsigned i = 0; i < workers_; ++i)
        OURO_ASSERT(!parts_[i].serving.load() && "a server is destroyed while it serves");
}

void server::stop() noexcept {
    stopping_.store(true, std::memory_order_relaxed);
    stop_.close();
}

task<> server::until_stopping() { co_await stop_.recv(); }

server_stats server::stats() const noexcept {
    server_stats sum;
    for (unsigned i = 0; i < workers_; ++i) {
        const part& one = parts_[i];
        sum.accepted += one.accepted;
        sum.open += one.open;
        sum.failed += one.failed;
        sum.broken += one.broken;
        sum.cancelled += one.cancelled;
        sum.full += one.full;
        sum.exhausted += one.exhausted;
    }
    return sum;
}

server::in_transit::~in_transit() {
    if (number_ >= 0) executor::current().io().close_at_once(number_);
}

stream server::in_transit::arrive() {
    stream arrived = stream::adopt(number_);
    number_ = -1;
    return arrived;
}

task<> server::work(handler& how, std::source_location place) {
    part& mine = own_part();
    OURO_ASSERT(!mine.serving.load() && "a server serves once on each worker");
    shift here(*this, mine, how, place);
    mine.serving.store(true);
    std::exception_ptr failure;
    try {
        co_await any_of(take(here), stop_.recv());
    } catch (...) {
        failure = std::current_exception();
    }
    mine.serving.store(false);
    stop();
    if (executor::current().worker() == home_) first_.close();  // it never came to accepting
    if (mine.inbox) {  // what is on its way here, and was not taken, is closed
        mine.inbox->close();
        while (mine.inbox->try_recv()) continue;
    }
    if (options_.drain > duration::zero())
        co_await shield(timeout(options_.drain, here.all_gone()));
    else
        here.cancel_all();
    co_await shield(here.all_gone());
    if (failure) std::rethrow_exception(failure);
}

/// Takes connections until it is cancelled.
task<> server::take(shift& here) {
    const bool at_home = executor::current().worker() == home_;
    OURO_ASSERT((!at_home || first_.is_open()) && "a server serves once");
    if (!joinable_) {
        if (at_home)
            co_await all_of(hand_out(std::move(first_)), take_handed(here));
        else
            co_await take_handed(here);
        co_return;
    }
    listener at = at_home ? std::move(first_) : listener(local_, options_.listen);
    co_await accept_for(here, std::move(at));
}

task<> server::accept_for(shift& here, listener at) {
    for (;;) {
        stream client;
        try {
            client = co_await next(at, here.figures());
        } catch (const std::bad_alloc&) {  // even for waiting; it passes
        }
        if (client.is_open())
            here.begin(std::move(client));
        else
            co_await sleep_for(shortage_pause);
    }
}

/// The next connection for which there is room.
task<stream> server::next(listener& at, part& mine) {
    stream client = co_await at.accept();
    mine.exhausted = at.stats().exhausted;
    if (shared_semaphore::permit place = room_.try_acquire()) {
        place.forget();
        co_return client;
    }
    ++mine.full;
    at.pause();
    shared_semaphore::permit place = co_await room_.acquire();
    place.forget();
    at.resume();
    co_return client;
}

task<> server::hand_out(listener at) {
    for (;;) {
        stream client;
        try {
            client = co_await next(at, own_part());
        } catch (const std::bad_alloc&) {  // even for waiting; it passes
        }
        if (!client.is_open()) {
            co_await sleep_for(shortage_pause);
            continue;
        }
        part& to = least_busy();
        to.coming.fetch_add(1, std::memory_order_relaxed);
        in_transit handed(std::move(client));
        const auto sent = co_await as_result(to.inbox->send(std::move(handed)));
        if (!sent) co_return;  // it is the end
    }
}

task<> server::take_handed(shift& here) {
    part& mine = here.figures();
    while (std::optional<in_transit> handed = co_await mine.inbox->recv()) {
        mine.coming.fetch_sub(1, std::memory_order_relaxed);
        stream client;
        try {
            client = handed->arrive();
        } catch (const std::system_error&) {
            ++mine.broken;
            room_.release();
            continue;
        }
        here.begin(std::move(client));
    }
}

/// Where the next connection goes: to the worker that has the fewest.
server::part& server::least_busy() noexcept {
    part* least = &own_part();
    std::uint64_t fewest = ~std::uint64_t{0};
    for (unsigned i = 0; i < workers_; ++i) {
        part& one = parts_[i];
        if (!one.serving.load(std::memory_order_relaxed)) continue;
        const std::uint64_t has = one.open + one.coming.load(std::memory_order_relaxed);
        if (has >= fewest) continue;
        least = &one;
        fewest = has;
    }
    return *least;
}

}  // namespace ouro::net
