// pool_core.hpp: what every pool does, whatever it keeps; pool.hpp is the door.
//
//   1. open = idle + leased + being restored + being checked. Of open + being connected there are
//      at most `connections_max`.
//   2. While somebody waits, nothing is idle: what becomes free goes to the oldest waiter, so a
//      newcomer never overtakes.
//   3. Connecting is done by tasks of the pool's own. They serve whoever is the oldest when they
//      are done; a waiter that leaves takes nothing with it.
//   4. A failed attempt is told to the oldest of those who waited when it began. When none is open
//      and one attempt has failed, no further one is begun before all under way have ended; if all
//      failed, everybody who waited when they began is told. So nobody waits until his time is up
//      for a server that is down, and such a server sees a few attempts and not one per waiter.
//   5. What comes back and is not as it was lent is restored by a task of the pool's own, within a
//      time; who gave it back does not wait. It counts as on its way to a waiter meanwhile. When
//      that fails it is closed, so nobody ever sees what another has left behind.
//   6. Each connection has the generation in which its attempt began. `retire_all` begins another
//      one: what is older is lent no more, and closed when it is idle or comes back.
//   7. The core is counted: the pool, each lease and each task of its own hold it. So a lease that
//      comes home late and an attempt that ends late find it, and whether it was closed.
//   8. One timer stands for everything that is due: idle and old connections, checks, the next
//      attempt to have the minimum or that the rate allows. A timer is no task, so it keeps no run
//      from ending.
#pragma once

#include <ouro/runtime/engine/intrusive_list.hpp>
#include <ouro/runtime/engine/timers.hpp>
#include <ouro/runtime/result.hpp>
#include <ouro/runtime/sync/event.hpp>
#include <ouro/runtime/sync/wait_list.hpp>
#include <ouro/runtime/task.hpp>
#include <ouro/runtime/time/backoff.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace ouro::net {

class pool_acquire;
class pool_core;

/// How many connections a pool keeps, and for how long. A length of duration::max() is for ever.
struct pool_options {
    std::size_t connections_min = 0;   ///< opened ahead, and kept
    std::size_t connections_max = 10;  ///< at least 1
    std::size_t connecting_max = 4;    ///< attempts at a time; at least 1
    /// Attempts that begin in any one second; waiters keep their order meanwhile. 0, the default:
    /// no limit. For servers to which a connection is dear, when many clients begin at once.
    std::size_t connects_per_second_max = 0;
    std::size_t waiters_max = 1000;  ///< one more is told errc::overloaded; at least 1
    duration acquire_timeout = std::chrono::seconds(5);  ///< how long one of them waits
    duration connect_timeout = std::chrono::seconds(5);  ///< how long one attempt takes
    duration idle_timeout = std::chrono::minutes(5);     ///< unused that long: closed, above min
    duration lifetime = std::chrono::minutes(30);        ///< closed when that old and not in use
    double lifetime_jitter = 0.1;                        ///< lifetimes differ by up to that part
    duration check_interval = std::chrono::seconds(30);  ///< an idle one is asked that often
    duration check_timeout = std::chrono::seconds(1);    ///< no answer by then: closed
    duration restore_timeout = std::chrono::seconds(1);  ///< not restored by then: closed
    backoff_options retry = {};  ///< between attempts that nobody but the minimum asks for
};

/// What a pool is doing, and has done since it was made.
struct pool_figures {
    std::size_t open = 0;  ///< connections: idle, leased, being restored or checked
    std::size_t idle = 0;
    std::size_t leased = 0;
    std::size_t restoring = 0;
    std::size_t checking = 0;
    std::size_t connecting = 0;  ///< attempts under way
    std::size_t waiting = 0;     ///< tasks in the queue

    std::uint64_t acquired = 0;       ///< leases handed out
    std::uint64_t acquired_late = 0;  ///< of these, after waiting
    duration waited{};                ///< by all who waited together, whatever they got
    std::uint64_t connects = 0;       ///< attempts that succeeded
    std::uint64_t connects_failed = 0;
    std::uint64_t restored = 0;          ///< after they had come back
    std::uint64_t restore_failures = 0;  ///< closed because that failed, or took too long
    std::uint64_t timeouts = 0;          ///< waiters whose time was up
    std::uint64_t overloads = 0;         ///< refused because the queue was full
    std::uint64_t evicted_idle = 0;      ///< closed because nobody used them
    std::uint64_t evicted_old = 0;       ///< closed because of their age
    std::uint64_t evicted_unusable = 0;  ///< closed because they had died, or failed a check
    std::uint64_t evicted_retired = 0;   ///< closed because of retire_all()
    std::uint64_t discarded = 0;         ///< closed because lease.discard() said so
};

/// One open connection.
struct pool_entry : list_hook<> {
    pool_core* core = nullptr;
    void* connection = nullptr;
    time_point expires;  // its age is up
    time_point idle_since;
    time_point checked;  // used or asked last
    std::uint64_t generation = 0;
};

/// The untyped pool. Worker-local.
class pool_core : private timer {
public:
    explicit pool_core(const pool_options& options);
    pool_core(const pool_core&) = delete;
    pool_core& operator=(const pool_core&) = delete;
    virtual ~pool_core();

    /// Opens what the minimum asks for; once.
    void start() noexcept { connect_more(); }

    /// An idle connection now, or null. The caller has it leased.
    pool_entry* try_take() noexcept;

    /// A lease ends.
    void give_back(pool_entry& entry, bool discard) noexcept;

    /// Lends nothing any more that was made before now; see 6.
    void retire_all() noexcept;

    /// Fails who waits, closes what is idle, cancels what is under way; the rest is closed as it
    /// comes home.
    void shut() noexcept;
    bool closed() const noexcept { return closed_; }
    /// Shuts, and waits up to `grace` for leases and tasks; returns the leases still out.
    static task<std::size_t> close(class pool_core_ref core, duration grace);

    pool_figures figures() const noexcept;
    const pool_options& options() const noexcept { return options_; }

private:
    friend class pool_acquire;
    friend class pool_core_ref;

    /// A task of the pool's own, so that it can be cancelled.
    class own_task : public list_hook<> {
    public:
        explicit own_task(pool_core& core) noexcept;
        ~own_task() { unlink(); }
        void cancel() noexcept { chain_.cancel(cancel_reason::user); }

    private:
        chain& chain_;
    };

    virtual task<void*> connect() = 0;
    virtual bool usable(void* connection) noexcept = 0;
    virtual task<bool> check(void* connection) = 0;
    virtual bool needs_restore(void* connection) noexcept = 0;
    virtual task<bool> restore(void* connection) = 0;
    virtual void destroy(void* connection) noexcept = 0;

    static task<> connect_task(pool_core_ref core, std::uint64_t arrivals);
    static task<> check_task(pool_core_ref core, pool_entry& entry);
    static task<> restore_task(pool_core_ref core, pool_entry& entry);

    void fire() noexcept override;
    void sweep() noexcept;
    std::size_t unused_above_min() const noexcept;
    bool is_unused(const pool_entry& entry) const noexcept;
    bool is_unchecked(const pool_entry& entry) const noexcept;
    time_point due(const pool_entry& entry) const noexcept;
    void begin_check(pool_entry& entry) noexcept;
    void checked(pool_entry& entry, bool alive) noexcept;
    void begin_restore(pool_entry& entry) noexcept;
    void restored(pool_entry& entry, bool well) noexcept;
    void arm(time_point when) noexcept;

    void connect_more() noexcept;
    bool wants_another() const noexcept;
    bool rate_allows() noexcept;
    void connected(std::unique_ptr<pool_entry> entry) noexcept;
    void connect_failed(std::exception_ptr why, std::uint64_t arrivals) noexcept;

    /// Gives it to the oldest waiter, if there is one.
    bool serve(pool_entry& entry) noexcept;
    /// Or else puts it among the idle, as the first to be used.
    void place(pool_entry& entry) noexcept;
    void unlink_idle(pool_entry& entry) noexcept;
    bool is_fit(pool_entry& entry) noexcept;
    void lease() noexcept;
    void close_entry(pool_entry& entry) noexcept;
    void look_if_gone() noexcept;
    std::size_t open() const noexcept { return idle_count_ + leased_ + restoring_ + checking_; }
    bool gone() const noexcept { return leased_ + restoring_ + connecting_ + checking_ == 0; }

    void hold() noexcept { ++holders_; }
    void let_go() noexcept;

    const pool_options options_;
    intrusive_list<pool_entry> idle_;  // the one used last comes first
    intrusive_list<own_task> own_tasks_;
    wait_list waiters_;
    event gone_;
    backoff retry_;
    chance chance_;
    time_point retry_at_ = time_point::min();
    std::vector<time_point> begun_;  // the last attempts, as many as may begin in a second: a ring
    std::size_t oldest_begun_ = 0;   // of them
    std::uint64_t generation_ = 0;
    std::uint64_t arrivals_ = 0;      // waiters so far
    std::uint64_t failed_until_ = 0;  // the last arrival that an attempt failed for; see 4
    executor* home_;
    std::size_t idle_count_ = 0;
    std::size_t leased_ = 0;
    std::size_t restoring_ = 0;
    std::size_t checking_ = 0;
    std::size_t connecting_ = 0;
    std::size_t waiting_ = 0;
    std::size_t holders_ = 0;
    pool_figures counted_;
    bool closed_ = false;
};

/// Keeps a core alive.
class pool_core_ref {
public:
    explicit pool_core_ref(pool_core& core) noexcept : core_(&core) { core.hold(); }
    pool_core_ref(pool_core_ref&& other) noexcept : core_(std::exchange(other.core_, nullptr)) {}
    pool_core_ref& operator=(pool_core_ref other) noexcept {
        std::swap(core_, other.core_);
        return *this;
    }
    ~pool_core_ref() {
        if (core_) core_->let_go();
    }

    pool_core* operator->() const noexcept { return core_; }
    pool_core& operator*() const noexcept { return *core_; }
    explicit operator bool() const noexcept { return core_ != nullptr; }

private:
    pool_core* core_;
};

/// Waits for a connection; the untyped half of pool<C>::acquire_op.
class pool_acquire : public waiter, private timer {
public:
    bool await_ready() noexcept;
    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) noexcept {
        suspend(by.promise());
        return true;
    }

    void describe(leaf_description& into) const override;

protected:
    pool_acquire(pool_core& core, duration patience) noexcept
        : waiter("pool acquire"), core_(core), patience_(patience) {}
    ~pool_acquire();

    /// The leased connection; the caller has it then. Throws what came instead.
    pool_entry& take();
    result<pool_entry*> take_result();

private:
    friend class pool_core;

    void suspend(promise_base& frame) noexcept;
    void fire() noexcept override;
    void left() noexcept override;
    void stop_waiting() noexcept;
    void fail_with_state(errc why) noexcept;
    std::string text_of_failure() const;
    [[noreturn]] void throw_failure() const;
    failure_cause why_it_failed() const noexcept;

    pool_core& core_;
    duration patience_;
    std::uint64_t arrival_ = 0;
    time_point since_;               // when it began to wait
    pool_entry* granted_ = nullptr;  // leased to us, and not taken yet
    std::exception_ptr failure_;     // of the attempt that was made for us
    // When it failed, for the error's text:
    std::size_t leased_then_ = 0;
    std::size_t restoring_then_ = 0;
    std::size_t connecting_then_ = 0;
    std::size_t waiting_then_ = 0;
};

}  // namespace ouro::net
