// task_map.hpp: who lives on a worker: its root tasks, in slabs of records.
#pragma once

#include <ouro/runtime/engine/chain.hpp>
#include <ouro/runtime/engine/counter.hpp>
#include <ouro/runtime/engine/intrusive_list.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string_view>
#include <vector>

namespace ouro {

class root_task;
class task_map;
struct root_start;

/// Names a root task of one worker; never used twice while the worker lives. Its upper 40 bits
/// count the tasks of that worker and are what people are shown, see root_task::number.
using task_id = std::uint64_t;

/// Is told when a root task that it started is over; scopes and combinators derive from it.
class task_owner {
public:
    /// The task has finished; its frame still exists, `failure()` tells how.
    virtual void task_ended(root_task& task) noexcept = 0;

protected:
    ~task_owner() = default;
};

/// A spawned task: the root frame of a chain, with a name, an id and a birthday.
///
/// It lives in a slab. The record goes back when the frame has finished and neither a handle nor
/// an owner needs it; the frame is destroyed then, and never while it could still run.
class alignas(64) root_task final : public chain, public list_hook<root_task> {
public:
    enum class state : std::uint8_t { free, alive, finished };

    root_task() noexcept = default;

    task_id id() const noexcept { return id_; }
    /// The how-manieth task of its worker it is; how reports call it.
    std::uint64_t number() const noexcept { return id_ >> 24; }
    std::string_view name() const noexcept { return {name_, name_bytes_}; }
    /// The text must outlive the task; a literal, as a rule. Its first 64 KiB count.
    void set_name(std::string_view name) noexcept {
        name_ = name.data();
        name_bytes_ = static_cast<std::uint16_t>(std::min<std::size_t>(name.size(), UINT16_MAX));
    }
    time_point born() const noexcept { return born_; }
    std::source_location birthplace() const noexcept { return birthplace_; }
    bool finished() const noexcept { return state_ == state::finished; }
    promise_base& frame() const noexcept { return *frame_; }
    task_owner* owner() const noexcept { return owner_; }

    /// Why it failed; null after success and while it runs.
    std::exception_ptr failure() const noexcept;

    /// Marks the record as needed by one handle or join more, or by one less.
    void hold() noexcept {
        ++holders_;
        OURO_ASSERT(holders_ != 0);
    }
    void let_go() noexcept;

    /// Says that a join takes the outcome: a failure is then not lost when the handle goes. Once.
    void take_outcome() noexcept {
        OURO_ASSERT(!joined_ &&
                    "join_handle: a task is joined once, and its outcome taken by that");
        joined_ = outcome_known_ = true;
    }

    /// Registers who is to be told of the end; null: nobody any more. Used by join.
    void set_joiner(task_owner* joiner) noexcept {
        assert_at_home();
        OURO_ASSERT((!joiner_ || !joiner) &&
                    "join_handle: one join at a time: let one task await it and tell the others");
        joiner_ = joiner;
    }

    /// A task is known to its own worker only. Whoever has a handle elsewhere has a bug.
    void assert_at_home() const noexcept;

    void ended() noexcept override;

private:
    friend class task_map;

    /// Becomes the record of a new task; every member is set anew, or was left as new.
    void begin(const root_start& how, time_point now) noexcept;
    void release_if_unneeded() noexcept;

    task_id id_ = 0;
    union {
        promise_base* frame_ = nullptr;
        root_task* next_free_;  // while it is free
    };
    task_owner* owner_ = nullptr;   // the scope, until told
    task_owner* joiner_ = nullptr;  // a waiting join, until told
    std::exception_ptr (*read_failure_)(promise_base&) noexcept = nullptr;
    const char* name_ = nullptr;
    time_point born_;
    std::source_location birthplace_;
    std::uint16_t name_bytes_ = 0;
    std::uint16_t holders_ = 0;
    std::uint16_t home_ = 0;  // task_map::tag_
    state state_ = state::free;
    bool outcome_known_ : 1 = false;  // to an owner or a join
    bool joined_ : 1 = false;
};

// There may be a million of them, and the end of each touches it all: two cache lines.
static_assert(sizeof(root_task) == 128);

/// Everything needed to start a root task.
struct root_start {
    promise_base* frame;
    std::exception_ptr (*read_failure)(promise_base&) noexcept;
    task_owner* owner = nullptr;
    chain* parent = nullptr;
    std::source_location birthplace;
};

/// The root tasks of one worker.
class task_map {
public:
    task_map() noexcept;
    ~task_map();
    task_map(const task_map&) = delete;
    task_map& operator=(const task_map&) = delete;

    /// Makes sure that the next `count` starts need no memory. May throw std::bad_alloc.
    void make_room(std::size_t count) {
        while (room_ < count) grow();
    }

    /// Takes a suspended frame and makes it ready to run as a root. There must be room.
    root_task& start(const root_start& how) noexcept;

    /// Tasks that have not finished. From any thread.
    std::size_t alive() const noexcept { return alive_; }
    /// Records in use: the living, and the finished whose handle is still held.
    std::size_t records() const noexcept { return records_; }
    /// Records that there is memory for. It grows by need; after a spike, what lies behind the last
    /// record in use is given back.
    std::size_t capacity() const noexcept { return slabs_.size() * slab_records; }

    /// The task of that id, or null when it is over.
    root_task* find(task_id id) noexcept;

    /// Asks every task to stop, now and as soon as it is started. Tasks that have an owner are
    /// left to it: scopes pass the request on.
    void cancel_all(cancel_reason reason) noexcept;

    /// Visits each living task in the order of their records. The visitor may start tasks.
    template <class Visitor>
    void for_each(Visitor&& visit) {
        for (std::size_t at = 0; at < slabs_.size() * slab_records; ++at) {
            root_task& task = record(at);
            if (task.state_ == root_task::state::alive) visit(task);
        }
    }

private:
    friend class root_task;

    static constexpr std::size_t slab_records = 64;
    static constexpr std::size_t slabs_kept = 16;  // 128 KiB

    static std::uint16_t new_tag() noexcept;

    root_task& record(std::size_t at) noexcept {
        return slabs_[at / slab_records][at % slab_records];
    }
    void grow();
    void give_back() noexcept;
    void release(root_task& task) noexcept;

    std::vector<std::unique_ptr<root_task[]>> slabs_;
    root_task* free_ = nullptr;
    std::size_t room_ = 0;  // records that are free
    cancel_reason stopping_ = cancel_reason::none;
    counter alive_;
    std::size_t records_ = 0;
    std::size_t low_water_ = SIZE_MAX;  // so few records in use are worth a look at the memory
    task_id started_ = 0;
    const std::uint16_t tag_ = new_tag();  // tells the maps of a process apart
};

}  // namespace ouro
