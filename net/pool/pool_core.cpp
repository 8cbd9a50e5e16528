#include <ouro/net/pool/pool_core.hpp>

#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/timeout.hpp>

#include <algorithm>
#include <cstdio>
#include <new>
#include <string>
#include <system_error>

namespace ouro::net {
namespace {

/// "2 s", "1.5 s", "200 ms"
std::string text_of(duration length) {
    const std::chrono::duration<double> seconds = length;
    const bool short_one = length < std::chrono::seconds(1);
    char digits[32];
    std::snprintf(digits, sizeof digits, "%.4g", seconds.count() * (short_one ? 1000 : 1));
    return digits + std::string(short_one ? " ms" : " s");
}

}  // namespace

// --- waiting --------------------------------------------------------------------------------

bool pool_acquire::await_ready() noexcept {
    executor& here = executor::current();
    if (here.running()->owner->cancelled())
        fail(errc::cancelled);
    else if (core_.closed_)
        fail_with_state(errc::closed);
    else if (pool_entry* entry = core_.try_take())
        granted_ = entry;
    else if (core_.waiting_ < core_.options_.waiters_max)
        return false;
    else {
        fail_with_state(errc::overloaded);
        ++core_.counted_.overloads;
    }
    return may_go_on(here);
}

void pool_acquire::suspend(promise_base& frame) noexcept {
    const bool waits = !granted_ && !failed();
    waiter::suspend(core_.waiters_, frame);
    if (!waits) return;
    arrival_ = ++core_.arrivals_;
    ++core_.waiting_;
    since_ = clock::exact_now();
    const time_point until = after(since_, patience_);
    executor::current().timers().arm(*this, until.time_since_epoch().count());
    core_.connect_more();
}

void pool_acquire::fire() noexcept {
    OURO_ASSERT(core_.waiting_ > 0 && !granted_);
    unlink();
    fail_with_state(errc::timed_out);
    --core_.waiting_;
    core_.counted_.waited += clock::now() - since_;
    ++core_.counted_.timeouts;
    resume();
}

/// Cancelled; what is being connected for it will serve somebody else.
void pool_acquire::left() noexcept { stop_waiting(); }

void pool_acquire::stop_waiting() noexcept {
    OURO_ASSERT(core_.waiting_ > 0 && !granted_ && !failure_);
    --core_.waiting_;
    core_.counted_.waited += std::max(clock::now() - since_, duration::zero());
    executor::current().timers().disarm(*this);
}

void pool_acquire::fail_with_state(errc why) noexcept {
    fail(why);
    leased_then_ = core_.leased_;
    restoring_then_ = core_.restoring_;
    connecting_then_ = core_.connecting_;
    waiting_then_ = core_.waiting_;
}

pool_acquire::~pool_acquire() {
    assert_used();
    if (granted_) core_.give_back(*granted_, false);
}

pool_entry& pool_acquire::take() {
    if (failure_) std::rethrow_exception(failure_);
    if (failed()) throw_failure();
    OURO_ASSERT(granted_ && "pool: a connection is taken once");
    return *std::exchange(granted_, nullptr);
}

/// "all 8 connections are leased (max 8), 2 being connected, 3 waiting (max 1000)"
std::string pool_acquire::text_of_failure() const {
    const pool_options& limits = core_.options_;
    std::string text;
    if (leased_then_ == limits.connections_max)
        text = "all " + std::to_string(leased_then_) + " connections are leased (max " +
               std::to_string(limits.connections_max) + ")";
    else
        text = std::to_string(leased_then_) + " of at most " +
               std::to_string(limits.connections_max) + " connections are leased";
    if (restoring_then_ > 0) text += ", " + std::to_string(restoring_then_) + " being restored";
    if (connecting_then_ > 0) text += ", " + std::to_string(connecting_then_) + " being connected";
    if (waiting_then_ > 0)
        text += ", " + std::to_string(waiting_then_) + " waiting (max " +
                std::to_string(limits.waiters_max) + ")";
    if (error() == errc::timed_out) text += ", waited " + text_of(patience_);
    if (error() == errc::closed) text = "the pool is closed, " + text;
    return text;
}

void pool_acquire::throw_failure() const {
    if (error() == errc::cancelled) throw_error(error());
    throw std::system_error(error(), text_of_failure());
}

/// With its words, too, as a result; but under load, when many are refused at once, they cost more
/// than the refusal.
failure_cause pool_acquire::why_it_failed() const noexcept {
    const std::error_code code = error();
    if (code == errc::cancelled || code == errc::overloaded) return code;
    try {
        return {code, std::make_exception_ptr(std::system_error(code, text_of_failure()))};
    } catch (const std::bad_alloc&) {
        return code;
    }
}

result<pool_entry*> pool_acquire::take_result() {
    if (failure_) return result_of([this] { return &take(); });
    if (failed()) return why_it_failed();
    return std::exchange(granted_, nullptr);
}

void pool_acquire::describe(leaf_description& into) const {
    into.text("pool acquire, " + std::to_string(core_.leased_) + " of " +
              std::to_string(core_.options_.connections_max) + " leased");
}

// --- taking and giving back -----------------------------------------------------------------

pool_core::pool_core(const pool_options& options)
    : options_(options),
      retry_(options.retry),
      chance_(options.retry.seed),
      begun_(options.connects_per_second_max, time_point::min()),
      home_(&executor::current()) {
    OURO_ASSERT(options.connections_max > 0 && options.connecting_max > 0 &&
                "pool_options: connections_max and connecting_max are at least 1");
    OURO_ASSERT(options.waiters_max > 0 && "pool_options: waiters_max is at least 1");
    OURO_ASSERT(options.connections_min <= options.connections_max &&
                "pool_options: connections_min is at most connections_max");
    OURO_ASSERT(options.check_interval > duration::zero() &&
                "pool_options: check_interval is more than zero");
    OURO_ASSERT(options.lifetime_jitter >= 0 && options.lifetime_jitter <= 1 &&
                "pool_options: lifetime_jitter is from 0 to 1");
}

pool_core::~pool_core() { OURO_ASSERT(closed_ && idle_.empty()); }

void pool_core::let_go() noexcept {
    OURO_ASSERT(holders_ > 0);
    if (--holders_ == 0) delete this;
}

pool_entry* pool_core::try_take() noexcept {
    OURO_ASSERT(home_ == &executor::current() &&
                "pool: used on another worker: have one for each (per_worker)");
    OURO_ASSERT((idle_.empty() || waiters_.empty()) && "pool: somebody waits for what is idle");
    while (!idle_.empty()) {
        pool_entry& entry = idle_.front();
        unlink_idle(entry);
        if (is_fit(entry)) {
            lease();
            return &entry;
        }
        close_entry(entry);
        connect_more();
    }
    return nullptr;
}

void pool_core::lease() noexcept {
    ++leased_;
    ++counted_.acquired;
    hold();
}

void pool_core::give_back(pool_entry& entry, bool discard) noexcept {
    OURO_ASSERT(home_ == &executor::current() &&
                "pool: used on another worker: have one for each (per_worker)");
    OURO_ASSERT(leased_ > 0 && entry.core == this && !entry.linked());
    --leased_;
    entry.checked = clock::now();
    if (discard) ++counted_.discarded;
    if (discard || closed_ || !is_fit(entry)) {
        close_entry(entry);
        connect_more();
    } else if (needs_restore(entry.connection)) {
        begin_restore(entry);
    } else {
        place(entry);
    }
    look_if_gone();
    let_go();
}

// Not closed here: whoever finds that all are outdated may be one of them, in the middle of it.
void pool_core::retire_all() noexcept {
    ++generation_;
    if (!idle_.empty()) arm(clock::now());
}

/// False, and counted, when it must not be used any more.
bool pool_core::is_fit(pool_entry& entry) noexcept {
    if (entry.generation != generation_) {
        ++counted_.evicted_retired;
        return false;
    }
    if (!usable(entry.connection)) {
        ++counted_.evicted_unusable;
        return false;
    }
    if (entry.expires <= clock::now()) {
        ++counted_.evicted_old;
        return false;
    }
    return true;
}

bool pool_core::serve(pool_entry& entry) noexcept {
    if (waiters_.empty()) return false;
    auto& oldest = waiters_.front<pool_acquire>();
    oldest.stop_waiting();
    oldest.granted_ = &entry;
    lease();
    ++counted_.acquired_late;
    waiters_.wake_one();
    return true;
}

void pool_core::place(pool_entry& entry) noexcept {
    if (serve(entry)) return;
    entry.idle_since = clock::now();
    idle_.push_front(entry);
    ++idle_count_;
    arm(due(entry));
}

void pool_core::close_entry(pool_entry& entry) noexcept {
    OURO_ASSERT(!entry.linked());
    const std::unique_ptr<pool_entry> last(&entry);
    destroy(entry.connection);
}

// --- connecting -----------------------------------------------------------------------------

pool_core::own_task::own_task(pool_core& core) noexcept
    : chain_(*executor::current().running()->owner) {
    core.own_tasks_.push_back(*this);
    if (core.closed_) cancel();
}

bool pool_core::wants_another() const noexcept {
    if (closed_ || connecting_ >= options_.connecting_max) return false;
    if (failed_until_ != 0 && connecting_ > 0 && open() == 0) return false;
    const std::size_t reserved = open() + connecting_;
    if (reserved >= options_.connections_max) return false;
    if (connecting_ + restoring_ < waiting_) return true;
    return reserved < options_.connections_min && clock::now() >= retry_at_;
}

void pool_core::connect_more() noexcept {
    while (wants_another() && rate_allows()) {
        try {
            spawn(connect_task(pool_core_ref(*this), arrivals_)).set_name("pool connect");
            ++connecting_;
        } catch (...) {  // out of memory
            connect_failed(std::current_exception(), arrivals_);
            return;
        }
    }
}

/// Whether an attempt may begin now, which it does then; or else when the next one may.
bool pool_core::rate_allows() noexcept {
    if (begun_.empty()) return true;
    time_point& oldest = begun_[oldest_begun_];
    const time_point now = clock::now();
    if (oldest != time_point::min() && oldest + std::chrono::seconds(1) > now) {
        arm(oldest + std::chrono::seconds(1));
        return false;
    }
    oldest = now;
    oldest_begun_ = (oldest_begun_ + 1) % begun_.size();
    return true;
}

task<> pool_core::connect_task(pool_core_ref core, std::uint64_t arrivals) {
    const own_task self(*core);
    std::unique_ptr<pool_entry> entry;
    std::exception_ptr failure;
    try {
        entry = std::make_unique<pool_entry>();
        entry->generation = core->generation_;
        entry->connection = co_await timeout(core->options_.connect_timeout, core->connect());
    } catch (...) {
        failure = std::current_exception();
    }
    OURO_ASSERT(core->connecting_ > 0);
    --core->connecting_;
    if (failure)
        core->connect_failed(failure, arrivals);
    else
        core->connected(std::move(entry));
    core->look_if_gone();
}

void pool_core::connected(std::unique_ptr<pool_entry> entry) noexcept {
    OURO_ASSERT(open() + connecting_ < options_.connections_max && "pool: more than it may have");
    ++counted_.connects;
    failed_until_ = 0;
    retry_.reset();
    retry_at_ = time_point::min();
    const time_point now = clock::now();
    const double part = static_cast<double>(options_.lifetime.count()) * options_.lifetime_jitter;
    duration age = options_.lifetime;
    if (age != duration::max())
        age -= chance_.between(duration::zero(), duration(static_cast<std::int64_t>(part)));
    entry->core = this;
    entry->expires = after(now, age);
    entry->checked = now;
    const bool is_outdated = entry->generation != generation_;
    if (is_outdated) ++counted_.evicted_retired;
    if (closed_ || is_outdated)
        close_entry(*entry.release());
    else
        place(*entry.release());
    connect_more();
}

void pool_core::connect_failed(std::exception_ptr why, std::uint64_t arrivals) noexcept {
    ++counted_.connects_failed;
    failed_until_ = std::max(failed_until_, arrivals);
    const bool hopeless = open() + connecting_ == 0;
    const std::uint64_t last = hopeless ? failed_until_ : arrivals;
    if (connecting_ == 0) failed_until_ = 0;
    while (!waiters_.empty()) {
        auto& oldest = waiters_.front<pool_acquire>();
        if (oldest.arrival_ > last) break;  // came later: there will be an attempt for it
        oldest.stop_waiting();
        oldest.failure_ = why;
        waiters_.wake_one();
        if (!hopeless) break;
    }
    if (closed_) return;
    if (open() + connecting_ < options_.connections_min) {
        retry_at_ = after(clock::now(), retry_.next());
        arm(retry_at_);
    }
    connect_more();
}

// --- keeping up -----------------------------------------------------------------------------

void pool_core::arm(time_point when) noexcept {
    if (closed_ || when == time_point::max()) return;
    const std::int64_t at = when.time_since_epoch().count();
    timer_wheel& timers = executor::current().timers();
    if (armed()) {
        if (this->when() <= at) return;
        timers.disarm(*this);
    }
    timers.arm(*this, at);
}

/// When something is next to be done about an idle connection; what is overdue was seen to.
time_point pool_core::due(const pool_entry& entry) const noexcept {
    time_point next = entry.expires;
    if (!is_unused(entry)) next = std::min(next, after(entry.idle_since, options_.idle_timeout));
    if (!is_unchecked(entry)) next = std::min(next, after(entry.checked, options_.check_interval));
    return next;
}

bool pool_core::is_unused(const pool_entry& entry) const noexcept {
    return after(entry.idle_since, options_.idle_timeout) <= clock::now();
}

bool pool_core::is_unchecked(const pool_entry& entry) const noexcept {
    return after(entry.checked, options_.check_interval) <= clock::now();
}

void pool_core::fire() noexcept {
    const pool_core_ref alive(*this);
    sweep();
    connect_more();
}

// What is to be closed or asked is taken out first: closing runs the connection's own code.
void pool_core::sweep() noexcept {
    intrusive_list<pool_entry> to_close, to_check;
    std::size_t checks_left =
        options_.connecting_max - std::min(checking_, options_.connecting_max);
    std::size_t unused_left = unused_above_min();
    time_point next = retry_at_ > clock::now() ? retry_at_ : time_point::max();

    idle_.for_each([&](pool_entry& entry) {
        const bool fit = is_fit(entry);
        const bool unused = fit && is_unused(entry) && unused_left > 0;
        if (!fit || unused) {
            if (unused) ++counted_.evicted_idle;
            if (unused_left > 0) --unused_left;
            unlink_idle(entry);
            to_close.push_back(entry);
        } else if (is_unchecked(entry) && checks_left > 0) {
            --checks_left;
            unlink_idle(entry);
            to_check.push_back(entry);
        } else {
            next = std::min(next, due(entry));
        }
    });

    arm(next);
    while (!to_check.empty()) begin_check(to_check.pop_front());
    while (!to_close.empty()) close_entry(to_close.pop_front());
}

/// How many of those that nobody used may go, so that the minimum is left.
std::size_t pool_core::unused_above_min() const noexcept {
    return open() - std::min(open(), options_.connections_min);
}

void pool_core::unlink_idle(pool_entry& entry) noexcept {
    OURO_ASSERT(idle_count_ > 0);
    entry.unlink();
    --idle_count_;
}

void pool_core::begin_check(pool_entry& entry) noexcept {
    OURO_ASSERT(checking_ < options_.connecting_max);
    ++checking_;
    try {
        spawn(check_task(pool_core_ref(*this), entry)).set_name("pool check");
    } catch (...) {  // out of memory: that says nothing about the connection
        checked(entry, true);
    }
}

task<> pool_core::check_task(pool_core_ref core, pool_entry& entry) {
    const own_task self(*core);
    bool alive = false;
    try {
        alive = co_await timeout(core->options_.check_timeout, core->check(entry.connection));
    } catch (...) {
        alive = false;  // whatever it was, it does not answer
    }
    core->checked(entry, alive);
}

void pool_core::checked(pool_entry& entry, bool alive) noexcept {
    OURO_ASSERT(checking_ > 0 && !entry.linked());
    --checking_;
    entry.checked = clock::now();
    if (!alive) ++counted_.evicted_unusable;
    if (!alive || closed_ || !is_fit(entry)) {
        close_entry(entry);
    } else if (!serve(entry)) {
        // Behind those that were used later, so that what is not needed stays unused.
        idle_.push_back(entry);
        ++idle_count_;
    }
    arm(clock::now());  // others may have waited to be asked
    connect_more();
    look_if_gone();
}

// --- restoring ------------------------------------------------------------------------------

void pool_core::begin_restore(pool_entry& entry) noexcept {
    ++restoring_;
    try {
        spawn(restore_task(pool_core_ref(*this), entry)).set_name("pool restore");
    } catch (...) {  // out of memory: nobody must see it as it is
        restored(entry, false);
    }
}

task<> pool_core::restore_task(pool_core_ref core, pool_entry& entry) {
    const own_task self(*core);
    bool well = false;
    try {
        well = co_await timeout(core->options_.restore_timeout, core->restore(entry.connection));
    } catch (...) {
        well = false;  // whatever it was, it is not as it was lent
    }
    core->restored(entry, well);
}

void pool_core::restored(pool_entry& entry, bool well) noexcept {
    OURO_ASSERT(restoring_ > 0 && !entry.linked());
    --restoring_;
    entry.checked = clock::now();
    ++(well ? counted_.restored : counted_.restore_failures);
    if (!well || closed_ || !is_fit(entry)) {
        close_entry(entry);
        connect_more();
    } else {
        place(entry);
    }
    look_if_gone();
}

// --- the end --------------------------------------------------------------------------------

void pool_core::shut() noexcept {
    closed_ = true;
    if (armed()) executor::current().timers().disarm(*this);
    while (!waiters_.empty()) {
        auto& oldest = waiters_.front<pool_acquire>();
        oldest.fail_with_state(errc::closed);
        oldest.stop_waiting();
        waiters_.wake_one(errc::closed);
    }
    while (!idle_.empty()) {
        pool_entry& entry = idle_.front();
        unlink_idle(entry);
        close_entry(entry);
    }
    own_tasks_.for_each([](own_task& each) { each.cancel(); });
    look_if_gone();
}

void pool_core::look_if_gone() noexcept {
    if (closed_ && gone()) gone_.set();
}

task<std::size_t> pool_core::close(pool_core_ref core, duration grace) {
    core->shut();
    if (!core->gone()) {
        const auto waited = co_await as_result(timeout(grace, core->gone_.wait()));
        if (waited.error() == errc::cancelled) throw_error(errc::cancelled);
    }
    co_return core->leased_;
}

pool_figures pool_core::figures() const noexcept {
    pool_figures now = counted_;
    now.open = open();
    now.idle = idle_count_;
    now.leased = leased_;
    now.restoring = restoring_;
    now.checking = checking_;
    now.connecting = connecting_;
    now.waiting = waiting_;
    return now;
}

}  // namespace ouro::net
