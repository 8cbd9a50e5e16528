// task_group.hpp: tasks that end before the one that waits for them; base of scopes and
// combinators.
#pragma once

#include <ouro/runtime/spawn.hpp>

namespace ouro {

/// The leaf of a chain that waits for a group of root tasks of its own.
///
/// A request to cancel the chain is passed on to every member; the chain goes on when the last one
/// has ended.
class task_group : public leaf, protected task_owner {
public:
    void describe(leaf_description& into) const override;

protected:
    explicit task_group(const char* what) noexcept : what_(what) {}
    ~task_group() {
        OURO_ASSERT(members_.empty() &&
                    "a scope or group is destroyed while its tasks live: await it");
    }

    /// Starts a member; whoever wants its value makes a handle of the record before it ends.
    template <class T>
    root_task& start(task<T> body, chain* parent, std::source_location place) {
        root_task& member = start_root(std::move(body), this, parent, place);
        members_.push_back(member);
        return member;
    }

    void cancel_members(cancel_reason reason) noexcept;

    const char* what() const noexcept { return what_; }

    template <class Visitor>
    void for_each_member(Visitor&& visit) {
        members_.for_each(visit);
    }

    /// Suspends until the last member has ended; false when none is left.
    bool wait_for_members(promise_base& frame) noexcept;

    bool members_left() const noexcept { return !members_.empty(); }
    std::size_t member_count() const noexcept { return members_.count(); }

    /// A member has ended: what now? Called before the group looks whether it was the last.
    virtual void member_ended(root_task& member) noexcept = 0;

    void cancel(cancel_reason reason) noexcept override { cancel_members(reason); }

private:
    void task_ended(root_task& member) noexcept final;

    const char* what_;
    mutable intrusive_list<root_task, root_task> members_;
};

/// True when the exception is a std::system_error with errc::cancelled.
bool is_cancellation(const std::exception_ptr& failure) noexcept;

}  // namespace ouro
