// How a run ends:
//
//  1. request_stop() has each worker cancel its tasks and go on until they have ended, or until
//     the grace period is over.
//  2. `busy_` counts the workers that still have tasks, and the messages under way that may start
//     one without a task waiting for them (spawn_on). Who sends such a message counts it first
//     (`departed`); who receives it counts itself again (`stay`) before it starts a task, and only
//     then takes the message off (`arrived`). Calls that a task waits for need no count, since its
//     worker is counted.
//  3. Zero is final: nobody may count from zero to one. A sender may be a thread of the pool whose
//     call nobody waits for any more, or a task that outlived the grace period; its message is
//     refused. So is everything once the grace period is over, or one that spawns for ever would
//     keep the run alive. A call of such a task that arrives at zero is not answered.
//  4. At zero every loop ends. Executors die behind one more gate (`left_`), since a sibling may
//     still be waking them, and after `over_` has turned away the threads that are no workers and
//     those inside a `visit` have left. An executor in which tasks were left behind is never
//     destroyed: what they wait for may still refer to it, and they to each other.
//  5. A worker that has left may start a task after all, out of a timer or a completion of its own.
//     It counts itself again, unless it is too late; then the task is named as left behind.
//  6. This object itself is shared: by run(), by each thread of the pools (blocking_pool.hpp, 1),
//     and by the handles of remote tasks. Its loops are null when they are gone.
//  7. A child that is forked inside a run has a copy of it that is never turned again: its first
//     run() forgets that the thread was a worker.
//
// How a deadlock is found:
//
//  A worker that is stuck by itself signs in before it sleeps and signs out before it takes what
//  was posted, each time changing `sleepers_`. The one whose signing in makes the number complete
//  looks into all inboxes, and then whether `sleepers_` is what it was. If all were empty and
//  nobody moved meanwhile, there was a moment when all slept and nothing was under way: only
//  somebody outside could wake them, and who counts on that says so (executor::expect_post), which
//  is not being stuck.

#include <ouro/runtime/workers.hpp>

#include <ouro/runtime/dump.hpp>
#include <ouro/runtime/duration_text.hpp>
#include <ouro/runtime/engine/blocking_pool.hpp>
#include <ouro/runtime/log.hpp>
#include <ouro/runtime/metrics.hpp>
#include <ouro/runtime/signals.hpp>

#include <pthread.h>

#include <cstdio>
#include <mutex>
#include <optional>
#include <utility>

namespace ouro {
namespace {

/// Sets a flag when the grace period is over.
class alarm final : public timer {
public:
    explicit alarm(bool& flag) noexcept : flag_(flag) {}

private:
    void fire() noexcept override { flag_ = true; }

    bool& flag_;
};

/// Keeps what must not be destroyed, where a leak checker finds it.
template <class T>
void abandon(std::unique_ptr<T> what) {
    static std::mutex lock;
    static auto& all = *new std::vector<std::unique_ptr<T>>;
    const std::lock_guard held(lock);
    all.push_back(std::move(what));
}

/// Refuses a number that would leave something undone for ever.
void demand_one(std::size_t number, const char* name) {
    if (number > 0) return;
    throw std::system_error(std::make_error_code(std::errc::invalid_argument),
                            std::string("runtime_options::") + name + " is 0; the least is 1");
}

const runtime_options& checked(const runtime_options& options) {
    demand_one(options.workers, "workers");
    demand_one(options.blocking_threads_max, "blocking_threads_max");
    demand_one(options.file_threads_max, "file_threads_max");
    demand_one(options.lookup_threads_max, "lookup_threads_max");
    demand_one(options.blocking_queue_max, "blocking_queue_max");
    return options;
}

constexpr std::uint64_t one_sleeper = 1;
constexpr std::uint64_t one_change = std::uint64_t{1} << 32;
constexpr std::uint64_t sleepers_mask = one_change - 1;

}  // namespace

/// Stops the run when its main task has ended.
class workers::main_watch final : public task_owner {
public:
    explicit main_watch(workers& run) noexcept : run_(run) {}
    void task_ended(root_task& main) noexcept override {
        OURO_ASSERT(run_.own_slot().main == &main);
        run_.own_slot().main = nullptr;
        run_.main_was_asked_ = main.cancelled();
        run_.request_stop();
    }

private:
    workers& run_;
};

constinit thread_local workers* workers::of_thread_ = nullptr;
constinit thread_local bool workers::forked_ = false;

workers::workers(const runtime_options& options)
    : options_(checked(options)), slots_(options.workers), busy_(options.workers) {
    const auto make_pool = [&](blocking_lane which, unsigned threads_max) {
        pools_[static_cast<unsigned>(which)] = std::make_unique<blocking_pool>(
            this, blocking_pool::limits{.threads_max = threads_max,
                                        .queue_max = options.blocking_queue_max});
    };
    make_pool(blocking_lane::calls, options.blocking_threads_max);
    make_pool(blocking_lane::files, options.file_threads_max);
    make_pool(blocking_lane::lookups, options.lookup_threads_max);
}

workers::~workers() = default;

// --- threads --------------------------------------------------------------------------------

/// In a child that was forked inside a run, that run and its loops are copies that nobody turns.
void workers::watch_forks() {
    static const int watched = ::pthread_atfork(nullptr, nullptr, [] { forked_ = true; });
    if (watched != 0) throw_error(error_of(-watched));
    if (!std::exchange(forked_, false)) return;
    executor::forget();
    of_thread_ = nullptr;
}

void workers::run(task<> main) {
    watch_forks();
    workers* const outer = std::exchange(of_thread_, this);
    start_threads();
    work(0, &main);
    for (slot& worker : slots_)
        if (worker.thread.joinable()) worker.thread.join();
    const duration patience = left_behind() > 0 ? duration::zero() : options_.grace;
    for (const auto& pool : pools_) pool->shut_down(patience);
    of_thread_ = outer;
    for (slot& worker : slots_)
        if (worker.failure) std::rethrow_exception(worker.failure);
}

void workers::start_threads() {
    for (unsigned i = 1; i < count(); ++i) {
        try {
            slots_[i].thread = std::thread([this, i] { work(i, nullptr); });
        } catch (...) {
            slots_[i].failure = std::current_exception();
            failed_to_start_ = true;
            arrive(left_, count() - i);
            arrive(up_, count() - i);
            return;
        }
    }
}

void workers::arrive(std::atomic<unsigned>& at_gate, unsigned n) noexcept {
    at_gate.fetch_add(n);
    at_gate.notify_all();
}

void workers::await_all(std::atomic<unsigned>& at_gate) noexcept {
    for (unsigned seen = at_gate.load(); seen < count(); seen = at_gate.load()) at_gate.wait(seen);
}

void workers::work(unsigned worker, task<>* main) noexcept {
    slot& self = slots_[worker];
    of_thread_ = this;
    std::unique_ptr<executor> loop;
    try {
        loop = make_loop(worker);
    } catch (...) {
        self.failure = std::current_exception();
        failed_to_start_ = true;
    }
    arrive(up_);
    await_all(up_);
    if (!failed_to_start_) serve(*loop, main);
    arrive(left_);
    await_all(left_);
    end_visits();
    self.loop = nullptr;
    if (loop && loop->tasks().alive() > 0) {
        executor::forget();
        abandon(std::move(loop));
    }
}

std::unique_ptr<executor> workers::make_loop(unsigned worker) {
    slot& self = slots_[worker];
    OURO_ASSERT(self.loop == nullptr && "a worker has one loop");
    std::string reason;
    auto loop =
        std::make_unique<executor>(make_reactor(options_.reactor, reason), worker, options_.turn);
    self.reactor_choice = std::string(loop->io().name()) + ": " + reason;
    loop->guard_sleep(this);
    self.meter = loop_meter::make(*loop, options_);
    self.loop = loop.get();
    if (log_enabled())
        log(log_level::info,
            "worker " + std::to_string(worker) + ": reactor " + self.reactor_choice);
    return loop;
}

// --- a worker's life ------------------------------------------------------------------------

void workers::serve(executor& loop, task<>* main) {
    std::optional<run_signals> signals;
    if (loop.worker() == 0) signals.emplace(*this, loop);
    main_watch watch(*this);
    if (main) {
        root_task& root = start_root(std::move(*main), &watch, nullptr, {});
        root.set_name("main");
        slots_[0].main = &root;
    }
    while (!stopping()) {
        turn(loop);
        if (own_slot().found_deadlock) report_deadlock();
    }
    drain(loop);
    while (loop.tasks().alive() == 0 && loop.io().in_flight() > 0) loop.turn();
    if (loop.tasks().alive() > 0) name_left_behind(loop);
}

void workers::turn(executor& loop) {
    if (loop.worker() == 0) run_signals::dispatch();
    loop.turn();
}

void workers::drain(executor& loop) {
    slot& self = own_slot();
    OURO_ASSERT(!self.draining);
    alarm grace(self.grace_over);
    self.draining = true;
    loop.tasks().cancel_all(cancel_reason::shutdown);
    if (self.main) self.main->cancel(cancel_reason::shutdown);
    loop.timers().arm(grace, after(loop.now(), options_.grace).time_since_epoch().count());
    while (busy_.load(std::memory_order_acquire) > 0) {
        if (may_leave(self, loop)) {
            if (loop.tasks().alive() > 0) name_left_behind(loop);
            self.counted = false;
            one_less_busy();
            continue;
        }
        turn(loop);
        if (loop.tasks().alive() > 0 && !self.grace_over) static_cast<void>(stay());
    }
    if (grace.armed()) loop.timers().disarm(grace);
}

/// True when this worker is counted in busy_ and has no reason to be any more.
bool workers::may_leave(const slot& self, executor& loop) const noexcept {
    return self.counted && (self.grace_over || loop.tasks().alive() == 0);
}

/// Says it once; those that come later are counted with the rest of the worker.
void workers::name_left_behind(executor& loop) {
    if (std::exchange(own_slot().named, true)) return;
    grace_over_ = true;
    left_behind_ += loop.tasks().alive();
    const std::string who = dump_tasks();
    std::fprintf(stderr, "ouro: these tasks did not end within the grace period of %s:\n%s",
                 duration_text(options_.grace).c_str(), who.c_str());
}

bool workers::departed() noexcept {
    return !grace_over_.load(std::memory_order_relaxed) && one_more_busy();
}

bool workers::stay() noexcept {
    slot& self = own_slot();
    if (!self.counted) self.counted = one_more_busy();
    return self.counted;
}

/// False at zero.
bool workers::one_more_busy() noexcept {
    unsigned seen = busy_.load(std::memory_order_relaxed);
    while (seen > 0)
        if (busy_.compare_exchange_weak(seen, seen + 1, std::memory_order_acq_rel)) return true;
    return false;
}

void workers::one_less_busy() noexcept {
    const unsigned before = busy_.fetch_sub(1, std::memory_order_acq_rel);
    OURO_ASSERT(before > 0 && "a worker leaves once");
    if (before == 1) wake_all();
}

void workers::request_stop() noexcept {
    stopping_ = true;
    wake_all();
}

void workers::wake_all() noexcept {
    for (slot& worker : slots_)
        if (executor* loop = worker.loop.load()) loop->wake();
}

void workers::end_visits() noexcept {
    over_ = true;
    while (visitors_.load() > 0) std::this_thread::yield();
}

unsigned workers::least_loaded() noexcept {
    const executor* here = executor::current_or_null();
    // Calls that have not been awaited yet are on no way: so equals take turns.
    const unsigned first = next_of_equals_.load(std::memory_order_relaxed) % count();
    unsigned best = here ? here->worker() : first;
    std::size_t least = load(best);
    for (unsigned i = 0; i < count(); ++i) {
        const unsigned worker = (first + i) % count();
        const std::size_t its = load(worker);
        if (its >= least) continue;
        best = worker;
        least = its;
    }
    next_of_equals_.store(best + 1, std::memory_order_relaxed);
    return best;
}

std::size_t workers::load(unsigned worker) noexcept {
    return at(worker).tasks().alive() + on_the_way(worker).load(std::memory_order_relaxed);
}

// --- deadlock and dumps ---------------------------------------------------------------------

bool workers::may_sleep(bool stuck) noexcept {
    slot& self = own_slot();
    if (self.draining) return !may_leave(self, executor::current());
    if (stopping()) return false;
    if (!stuck) return true;
    constexpr std::uint64_t signing_in = one_change + one_sleeper;
    OURO_ASSERT(!self.signed_in);
    self.signed_in = true;
    const std::uint64_t now = sleepers_.fetch_add(signing_in) + signing_in;
    OURO_ASSERT((now & sleepers_mask) <= count());
    if ((now & sleepers_mask) != count()) return true;
    if (!nothing_posted() || sleepers_.load() != now || stopping()) return true;
    self.found_deadlock = true;
    return false;
}

void workers::woke() noexcept {
    slot& self = own_slot();
    if (std::exchange(self.signed_in, false)) sleepers_.fetch_add(one_change - one_sleeper);
}

bool workers::nothing_posted() const noexcept {
    for (const slot& worker : slots_)
        if (worker.loop.load()->has_posted()) return false;
    return true;
}

void workers::report_deadlock() {
    if (stopping()) return;
    deadlocked_ = true;
    const std::string who = dump_all_tasks(std::chrono::seconds(1));
    std::fprintf(stderr, "ouro: deadlock: nothing is ready and nothing can ever wake\n%s",
                 who.c_str());
    request_stop();
}

void workers::print_tasks() noexcept {
    for (slot& worker : slots_)
        if (!worker.print.posted.exchange(true)) worker.loop.load()->post(worker.print);
}

void workers::print_call::run() noexcept {
    posted = false;
    const std::string who = dump_tasks();
    std::fwrite(who.data(), 1, who.size(), stderr);
}

unsigned worker_count() noexcept {
    const workers* run = workers::current_or_null();
    return run ? run->count() : 1;
}

unsigned this_worker() noexcept { return executor::current().worker(); }

void request_stop() noexcept {
    workers& run = workers::current();
    if (const workers::visit inside(run); inside) run.request_stop();
}

}  // namespace ouro
