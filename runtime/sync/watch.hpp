// watch.hpp: the latest value of something, and waiting for it to change.
#pragma once

#include <ouro/runtime/sync/wait_list.hpp>

#include <cstddef>
#include <cstdint>
#include <utility>

namespace ouro {

/// A value that some set and others follow; only the latest counts.
///
///     watch<settings> current(load());
///     watch<settings>::receiver mine = current.subscribe();
///     for (;;) { apply(mine.get()); co_await mine.changed(); }
///
/// Worker-local. Destroying it closes it: who waits is told errc::closed, and so is every receiver
/// that asks for a change later; their get() is a bug then, asserted.
template <class T>
class watch {
public:
    class receiver;
    class changed_op;

    explicit watch(T initial) : value_(std::move(initial)) {}
    ~watch() {
        close();
        while (!receivers_.empty()) receivers_.pop_front().of_ = nullptr;
    }
    watch(const watch&) = delete;
    watch& operator=(const watch&) = delete;

    /// The latest value; the reference stays valid, what it refers to changes.
    const T& get() const noexcept { return value_; }

    /// Replaces the value and wakes who waits for a change.
    void set(T value) {
        value_ = std::move(value);
        announce();
    }

    /// Changes the value in place: `change(T&)`.
    template <class Change>
    void modify(Change&& change) {
        std::forward<Change>(change)(value_);
        announce();
    }

    /// A receiver that has seen the present value.
    receiver subscribe() noexcept { return receiver(*this); }

    /// No more changes: who waits for one, or will, is told errc::closed.
    void close() noexcept {
        closed_ = true;
        waiters_.wake_all();
    }

    bool closed() const noexcept { return closed_; }
    /// Walks the list; for reports and tests.
    std::size_t receivers() const noexcept { return receivers_.count(); }

private:
    void announce() noexcept {
        ++version_;
        waiters_.wake_all();
    }

    T value_;
    std::uint64_t version_ = 0;
    bool closed_ = false;
    intrusive_list<receiver, receiver> receivers_;
    wait_list waiters_;  // receivers that have seen the present value
};

/// Follows a watch. Movable while nobody waits on it.
template <class T>
class [[nodiscard]] watch<T>::receiver : public list_hook<receiver> {
public:
    receiver(const receiver& other) noexcept : seen_(other.seen_) { follow(other.of_); }
    receiver(receiver&& other) noexcept : seen_(other.seen_) {
        follow(other.of_);
        other.unfollow();
    }
    receiver& operator=(receiver other) noexcept {
        unfollow();
        seen_ = other.seen_;
        follow(other.of_);
        return *this;
    }
    ~receiver() { unfollow(); }

    /// The latest value; does not count as having seen it.
    const T& get() const noexcept {
        OURO_ASSERT(
            of_ != nullptr &&
            "watch: the watch of this receiver is gone: let it live longer, or co_await changed()");
        return of_->get();
    }

    /// Whether there is a value that this receiver has not seen.
    bool has_changed() const noexcept { return of_ && seen_ != of_->version_; }

    /// Counts the present value as seen.
    void mark_seen() noexcept {
        if (of_) seen_ = of_->version_;
    }

    /// Returns when there is a value that this receiver has not seen, and counts it as seen.
    /// Several changes in between are one. Throws errc::closed when there will be none, and
    /// errc::cancelled.
    changed_op changed() noexcept { return changed_op(*this); }

    /// Returns once `wanted(const T&)` is true, at once when it is already. Throws like changed.
    template <class Predicate>
    task<> wait_for(Predicate wanted) {
        if (executor::current().running()->owner->cancelled()) throw_error(errc::cancelled);
        if (!of_) throw_error(errc::closed);
        mark_seen();
        while (!wanted(get())) co_await changed();
    }

private:
    friend class watch;

    explicit receiver(watch& of) noexcept : seen_(of.version_) { follow(&of); }

    void follow(watch* of) noexcept {
        of_ = of;
        if (of_) of_->receivers_.push_back(*this);
    }
    void unfollow() noexcept {
        if (of_) this->unlink();
        of_ = nullptr;
    }

    watch* of_ = nullptr;  // null when it was moved from, or its watch is gone
    std::uint64_t seen_;
};

/// Waits for a change; see watch::receiver::changed.
template <class T>
class [[nodiscard, gnu::warn_unused]] watch<T>::changed_op final
    : public sync_op<changed_op, void> {
    using base = sync_op<changed_op, void>;

public:
    explicit changed_op(receiver& at) noexcept : base("watch"), at_(at) {}

    // A change that comes between being woken by close() and running still counts.
    void await_resume() { await_result().value(); }
    result<void> await_result() noexcept {
        if (this->failed()) return this->error();
        if (!at_.has_changed()) return errc::closed;
        at_.mark_seen();
        return {};
    }

private:
    friend base;

    bool attempt() noexcept { return at_.has_changed() || !at_.of_ || at_.of_->closed_; }
    wait_list& queue() noexcept { return at_.of_->waiters_; }

    receiver& at_;
};

}  // namespace ouro
