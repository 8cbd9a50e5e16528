// combine.hpp: several awaitables at once: all of them, or the first.
#pragma once

#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/task_group.hpp>

#include <array>
#include <optional>
#include <tuple>
#include <variant>
#include <vector>

namespace ouro {

/// A value of a branch as it stands in a tuple: void becomes std::monostate.
template <class T>
using branch_value = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

/// What any_of keeps of a branch: empty until it has ended well; `*` gives the value.
template <class T>
using branch_slot = std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*,
                                       std::optional<branch_value<T>>>;

/// Any awaitable as a task; tasks as they are.
template <class T>
task<T> into_task(task<T> body) {
    return body;
}
template <class Awaitable>
task<await_value<Awaitable>> await_in_task(Awaitable&& awaitable) {
    co_return co_await static_cast<Awaitable&&>(awaitable);
}
template <class Awaitable>
    requires(!is_task<std::decay_t<Awaitable>>::value)
task<await_value<Awaitable>> into_task(Awaitable&& awaitable) {
    // From here on the group answers for it: one that is refused never begins its branches.
    pass_on_awaited(awaitable, *executor::current().running());
    return await_in_task<Awaitable>(static_cast<Awaitable&&>(awaitable));
}

/// True when one of them is a temporary that a group would refer to.
template <class... Awaitables>
constexpr bool any_is_temporary = ((!std::is_lvalue_reference_v<Awaitables> &&
                                    !is_task<std::remove_cvref_t<Awaitables>>::value) ||
                                   ...);

/// Runs branches as root tasks and joins all of them.
class branch_group : public task_group {
protected:
    enum class until : std::uint8_t { all_ended, first_ended };

    branch_group(const char* what, until goal) noexcept : task_group(what), goal_(goal) {}
    ~branch_group() { assert_awaited(what()); }

    root_task* winner() const noexcept { return winner_; }
    void rethrow_failure() const;

    /// Before the branches begin: makes room for all, so that none is started when memory is short.
    /// False when the chain was asked to stop.
    bool may_begin(promise_base& frame, std::size_t branches) {
        note_awaited(frame);
        interrupted_ = frame.owner->cancelled();
        if (!interrupted_) executor::current().tasks().make_room(branches);
        return !interrupted_;
    }

    template <class T>
    join_handle<T> begin(task<T> body, promise_base& frame) {
        return join_handle<T>(start(std::move(body), frame.owner, frame.where));
    }

    /// The value of a branch that has ended well.
    template <class T>
    static branch_value<T> take(join_handle<T>& branch) {
        if constexpr (std::is_void_v<T>) {
            branch.operator co_await().await_resume();
            return {};
        } else {
            return branch.operator co_await().await_resume();
        }
    }

private:
    void member_ended(root_task& member) noexcept override;
    void race_ended(root_task& member) noexcept;

    until goal_;
    bool interrupted_ = false;     // cancelled before anything was started
    bool winner_gave_up_ = false;  // it ended because it was asked to
    root_task* winner_ = nullptr;  // the first to end
    std::exception_ptr failure_;   // of the first that failed (all) or of the winner (first)
};

template <bool Refers, class... Ts>
class [[nodiscard, gnu::warn_unused]] all_of_await final : public branch_group {
public:
    static constexpr bool refers_to_temporary = Refers;

    explicit all_of_await(task<Ts>... bodies)
        : branch_group("all_of", until::all_ended), bodies_(std::move(bodies)...) {}

    bool await_ready() const noexcept { return false; }
    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) {
        if (!may_begin(by.promise(), sizeof...(Ts))) return false;
        start_all(by.promise(), std::index_sequence_for<Ts...>());
        return wait_for_members(by.promise());
    }
    std::tuple<branch_value<Ts>...> await_resume() {
        rethrow_failure();
        return take_all(std::index_sequence_for<Ts...>());
    }

private:
    template <std::size_t... I>
    void start_all(promise_base& frame, std::index_sequence<I...>) {
        (std::get<I>(branches_).emplace(begin(std::move(std::get<I>(bodies_)), frame)), ...);
    }
    template <std::size_t... I>
    std::tuple<branch_value<Ts>...> take_all(std::index_sequence<I...>) {
        return {take(*std::get<I>(branches_))...};
    }

    std::tuple<task<Ts>...> bodies_;
    std::tuple<std::optional<join_handle<Ts>>...> branches_;
};

/// What any_of yields: which branch ended first, and its value; and the values of branches that
/// ended well before they noticed that they had lost, so that nothing they took is lost.
template <class... Ts>
class any_of_result {
    static constexpr bool same =
        (std::is_same_v<Ts, std::tuple_element_t<0, std::tuple<Ts...>>> && ...);

public:
    /// The position of the winner among the arguments.
    std::size_t index() const noexcept { return index_; }

    /// The value of branch `I` as a std::optional, or a pointer where the branch yields a
    /// reference; empty when it did not end well.
    template <std::size_t I>
    auto& get() noexcept {
        return std::get<I>(values_);
    }

    /// The winner's value, when all branches yield the same type.
    auto& value() noexcept
        requires same
    {
        return *pick(std::index_sequence_for<Ts...>());
    }

private:
    template <bool, class...>
    friend class any_of_await;

    template <std::size_t... I>
    auto pick(std::index_sequence<I...>) noexcept {
        using value = branch_value<std::tuple_element_t<0, std::tuple<Ts...>>>;
        std::remove_reference_t<value>* found = nullptr;
        ((I == index_ ? void(found = &*std::get<I>(values_)) : void()), ...);
        return found;
    }

    std::tuple<branch_slot<Ts>...> values_;
    std::size_t index_ = 0;
};

template <bool Refers, class... Ts>
class [[nodiscard, gnu::warn_unused]] any_of_await final : public branch_group {
public:
    static constexpr bool refers_to_temporary = Refers;

    explicit any_of_await(task<Ts>... bodies)
        : branch_group("any_of", until::first_ended), bodies_(std::move(bodies)...) {}

    bool await_ready() const noexcept { return false; }
    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) {
        if (!may_begin(by.promise(), sizeof...(Ts))) return false;
        start_all(by.promise(), std::index_sequence_for<Ts...>());
        return wait_for_members(by.promise());
    }
    any_of_result<Ts...> await_resume() {
        rethrow_failure();
        any_of_result<Ts...> outcome;
        take_all(outcome, std::index_sequence_for<Ts...>());
        return outcome;
    }

private:
    // Those that are ready at once end in the order in which they were started; so that is drawn,
    // and none of them is preferred.
    template <std::size_t... I>
    void start_all(promise_base& frame, std::index_sequence<I...> all) {
        const std::size_t first = executor::current().draw(sizeof...(I));
        (start_nth(frame, (first + I) % sizeof...(I), all), ...);
    }
    template <std::size_t... I>
    void start_nth(promise_base& frame, std::size_t which, std::index_sequence<I...>) {
        ((which == I ? start_one<I>(frame) : void()), ...);
    }
    template <std::size_t I>
    void start_one(promise_base& frame) {
        auto& branch = std::get<I>(branches_);
        branch.emplace(begin(std::move(std::get<I>(bodies_)), frame));
        ids_[I] = branch->id();
    }
    template <std::size_t... I>
    void take_all(any_of_result<Ts...>& outcome, std::index_sequence<I...>) {
        (take_one<I>(outcome), ...);
    }
    template <std::size_t I>
    void take_one(any_of_result<Ts...>& outcome) {
        auto& branch = *std::get<I>(branches_);
        if (ids_[I] == winner()->id()) outcome.index_ = I;
        if (branch.failed()) return;
        auto& slot = std::get<I>(outcome.values_);
        if constexpr (std::is_pointer_v<std::remove_reference_t<decltype(slot)>>)
            slot = std::addressof(take(branch));
        else
            slot.emplace(take(branch));
    }

    std::tuple<task<Ts>...> bodies_;
    std::tuple<std::optional<join_handle<Ts>>...> branches_;
    std::array<task_id, sizeof...(Ts)> ids_{};
};

/// `auto both = co_await all_of(x(), y()); auto& [a, b] = both;` runs all, waits for all, and
/// yields their values in order (std::monostate for void). The first failure cancels the others
/// and, when they have ended, is rethrown. Cancelling the awaiting chain cancels all of them.
///
/// Branches run on this worker, concurrently, not in parallel. Tasks it owns; to other arguments it
/// refers, so that one made of temporaries does not compile unless it is awaited in the expression
/// that makes it.
template <class... Awaitables>
auto all_of(Awaitables&&... awaitables) {
    return all_of_await<any_is_temporary<Awaitables...>, await_value<Awaitables>...>(
        into_task(std::forward<Awaitables>(awaitables))...);
}

/// `auto first = co_await any_of(x(), y());` yields the outcome of whichever ends first, after the
/// others were cancelled and have ended, too. A winner that failed is rethrown; what a loser throws
/// is dropped. Every branch runs at least up to its first wait. Of branches that are ready at once
/// none is preferred: the order in which they start is drawn. When the awaiting chain is
/// cancelled and a branch ends with a result all the same, that branch has won.
template <class... Awaitables>
    requires(sizeof...(Awaitables) > 0)
auto any_of(Awaitables&&... awaitables) {
    return any_of_await<any_is_temporary<Awaitables...>, await_value<Awaitables>...>(
        into_task(std::forward<Awaitables>(awaitables))...);
}

/// all_of for any number of tasks of one type.
template <class T>
class [[nodiscard, gnu::warn_unused]] all_of_range_await final : public branch_group {
    static_assert(!std::is_reference_v<T>, "a vector cannot hold references: yield pointers");

public:
    explicit all_of_range_await(std::vector<task<T>> bodies)
        : branch_group("all_of", until::all_ended), bodies_(std::move(bodies)) {}

    bool await_ready() const noexcept { return false; }
    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) {
        branches_.reserve(bodies_.size());
        if (!may_begin(by.promise(), bodies_.size())) return false;
        for (task<T>& body : bodies_) branches_.push_back(begin(std::move(body), by.promise()));
        return wait_for_members(by.promise());
    }
    std::vector<branch_value<T>> await_resume() {
        rethrow_failure();
        std::vector<branch_value<T>> values;
        values.reserve(branches_.size());
        for (join_handle<T>& branch : branches_) values.push_back(take(branch));
        return values;
    }

private:
    std::vector<task<T>> bodies_;
    std::vector<join_handle<T>> branches_;
};

template <class T>
all_of_range_await<T> all_of(std::vector<task<T>> bodies) {
    return all_of_range_await<T>(std::move(bodies));
}

}  // namespace ouro
