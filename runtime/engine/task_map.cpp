#include <ouro/runtime/engine/task_map.hpp>

#include <ouro/runtime/engine/executor.hpp>
#include <ouro/runtime/log.hpp>
#include <ouro/runtime/task_group.hpp>

#include <algorithm>
#include <atomic>
#include <new>
#include <string>
#include <system_error>
#include <utility>

namespace ouro {
namespace {

// An id is (number << 24 | position + 1), so that a stale id finds nothing.
constexpr task_id position_bits = 24;
constexpr task_id position_mask = (task_id{1} << position_bits) - 1;

std::string describe_failure(const std::exception_ptr& failure) {
    try {
        std::rethrow_exception(failure);
    } catch (const std::exception& error) {
        return error.what();
    } catch (...) {
        return "an exception of unknown type";
    }
}

std::string describe_task(const root_task& task) {
    std::string text = "task " + std::to_string(task.number());
    if (!task.name().empty()) text += " \"" + std::string(task.name()) + '"';
    const auto place = task.birthplace();
    if (place.line() == 0) return text;  // spawned as a callable: nobody knows
    return text + " spawned at " + place.file_name() + ':' + std::to_string(place.line());
}

void report_lost_failure(const root_task& task, const std::exception_ptr& failure) noexcept {
    if (task.cancelled() && is_cancellation(failure)) return;
    ++executor::current().stats().failed_detached;
    if (!log_enabled()) return;
    try {
        log(log_level::error, describe_task(task) + " failed: " + describe_failure(failure));
    } catch (const std::bad_alloc&) {
        log(log_level::error, "a task failed, and there is no memory to say which");
    }
}

}  // namespace

std::exception_ptr root_task::failure() const noexcept {
    return finished() ? read_failure_(*frame_) : nullptr;
}

void root_task::assert_at_home() const noexcept {
    OURO_ASSERT(
        home_ == executor::current().tasks().tag_ &&
        "join_handle: a task of another worker: keep the handle where the task is, or call_on");
}

void root_task::begin(const root_start& how, time_point now) noexcept {
    OURO_ASSERT(state_ == state::free && holders_ == 0 && joiner_ == nullptr);
    renew(how.parent ? how.parent->deadline() : time_point::max());
    frame_ = how.frame;
    owner_ = how.owner;
    read_failure_ = how.read_failure;
    name_ = nullptr;
    name_bytes_ = 0;
    born_ = now;
    birthplace_ = how.birthplace;
    state_ = state::alive;
    outcome_known_ = joined_ = false;
}

void root_task::ended() noexcept {
    OURO_ASSERT(state_ == state::alive);
    OURO_ASSERT(waiting_for() == nullptr && "a task ends while it waits");
    state_ = state::finished;
    --executor::current().tasks().alive_;
    if (holders_ == 0 && !owner_) {
        if (auto why = failure()) report_lost_failure(*this, why);
    }
    // Whoever is told only makes frames ready, so the record is not let go of meanwhile.
    if (task_owner* joiner = std::exchange(joiner_, nullptr)) joiner->task_ended(*this);
    if (owner_) {
        outcome_known_ = true;
        owner_->task_ended(*this);
    }
    release_if_unneeded();
}

void root_task::let_go() noexcept {
    assert_at_home();
    OURO_ASSERT(holders_ > 0);
    if (--holders_ > 0 || !finished()) return;
    if (!outcome_known_) {
        if (auto why = failure()) report_lost_failure(*this, why);
    }
    release_if_unneeded();
}

void root_task::release_if_unneeded() noexcept {
    if (holders_ == 0) executor::current().tasks().release(*this);
}

std::uint16_t task_map::new_tag() noexcept {
    static std::atomic<std::uint16_t> latest = 0;
    return latest.fetch_add(1, std::memory_order_relaxed);
}

task_map::task_map() noexcept = default;

task_map::~task_map() = default;

void task_map::grow() {
    const task_id base = slabs_.size() * slab_records;
    OURO_ASSERT(base + slab_records < position_mask);
    root_task* slab = slabs_.emplace_back(std::make_unique<root_task[]>(slab_records)).get();
    for (std::size_t i = slab_records; i-- > 0;) {
        slab[i].id_ = base + i + 1;
        slab[i].next_free_ = free_;
        free_ = &slab[i];
    }
    room_ += slab_records;
    OURO_ASSERT(room_ + records_ == capacity());
    if (slabs_.size() > slabs_kept) low_water_ = capacity() / 8;
}

/// Frees the slabs behind the last record in use, and looks again when half as many are left. So
/// there are few looks between two times of growth, each as long as the growth was.
void task_map::give_back() noexcept {
    std::size_t kept = slabs_.size();
    const auto is_free = [](const root_task& task) {
        return task.state_ == root_task::state::free;
    };
    while (kept > slabs_kept &&
           std::all_of(&slabs_[kept - 1][0], &slabs_[kept - 1][0] + slab_records, is_free))
        --kept;
    low_water_ = kept > slabs_kept && records_ > 0 ? records_ / 2 : SIZE_MAX;
    if (kept == slabs_.size()) return;
    slabs_.resize(kept);
    free_ = nullptr;
    room_ = 0;
    for (std::size_t at = capacity(); at-- > 0;) {
        root_task& task = record(at);
        if (!is_free(task)) continue;
        task.next_free_ = free_;
        free_ = &task;
        ++room_;
    }
    OURO_ASSERT(room_ + records_ == capacity());
}

root_task& task_map::start(const root_start& how) noexcept {
    OURO_ASSERT(room_ > 0);
    OURO_ASSERT(how.frame->owner == nullptr && "spawn: a task is begun once");
    root_task& task = *free_;
    free_ = task.next_free_;
    --room_;

    executor& here = executor::current();
    task.id_ = ++started_ << position_bits | (task.id_ & position_mask);
    task.home_ = tag_;
    task.begin(how, here.now());
    how.frame->owner = &task;
    if (stopping_ != cancel_reason::none && !how.owner) task.cancel(stopping_);
    ++alive_;
    ++records_;
    ++here.stats().spawned;
    here.make_ready(*how.frame);
    return task;
}

void task_map::release(root_task& task) noexcept {
    OURO_ASSERT(task.state_ == root_task::state::finished);
    OURO_ASSERT(task.holders_ == 0 && task.joiner_ == nullptr);
    OURO_ASSERT(records_ > 0);
    task.state_ = root_task::state::free;
    --records_;
    promise_base* frame = std::exchange(task.frame_, nullptr);
    task.next_free_ = free_;
    free_ = &task;
    ++room_;
    frame->handle().destroy();
    if (records_ == low_water_) give_back();
}

root_task* task_map::find(task_id id) noexcept {
    const task_id position = (id & position_mask) - 1;
    if (position >= slabs_.size() * slab_records) return nullptr;
    root_task& task = record(position);
    return task.id_ == id && task.state_ == root_task::state::alive ? &task : nullptr;
}

void task_map::cancel_all(cancel_reason reason) noexcept {
    OURO_ASSERT(reason != cancel_reason::none);
    stopping_ = reason;
    for_each([&](root_task& task) {
        if (!task.owner_) task.cancel(reason);
    });
}

}  // namespace ouro
