// shared_channel.hpp: a bounded queue between workers and threads.
//
// The rules of channel.hpp, under the lock of shared_waiter.hpp: receivers wait only while there
// are no items, senders only while there is no room; a value that meets a waiting receiver is put
// into it, and a waiting sender's value is taken out of it by whoever makes room.
#pragma once

#include <ouro/runtime/sync/ring.hpp>
#include <ouro/runtime/sync/shared_waiter.hpp>

#include <concepts>
#include <cstddef>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

namespace ouro {

/// Carries values between tasks of any workers and plain threads, first in, first out, and holds
/// producers back when consumers do not keep up.
///
///     co_await jobs.send(std::move(job));                   // a task on any worker
///     jobs.send_blocking(std::move(job));                   // a plain thread
///     while (auto job = co_await jobs.recv()) do_it(*job);  // a task, until close()
///
/// Every call is allowed from any thread, but what awaits needs a worker and what blocks must not
/// be on one. Each value goes to one receiver; waiting senders and receivers are served in arrival
/// order and go on on their own worker. Nothing is allocated after construction. Within one worker,
/// `channel` does the same without a lock. Destroying one while somebody waits is a bug.
template <class T>
class shared_channel {
    static_assert(std::is_nothrow_move_constructible_v<T>, "handing over must not fail");

public:
    class send_op;
    class send_copy_op;
    class recv_op;

    /// Room for `capacity` values, allocated now and never again. With 0, every send waits for the
    /// receiver that takes the value.
    explicit shared_channel(std::size_t capacity) : items_(capacity) {}

    /// Waits for room and moves the value in. Throws errc::closed after close(), and
    /// errc::cancelled; the value has not been moved from then.
    ///
    /// Await it in the expression that makes it: it refers to its argument.
    send_op send(T&& value) noexcept { return send_op(*this, value); }
    /// The same with a copy, made at once.
    send_copy_op send(const T& value)
        requires std::copy_constructible<T>
    {
        return send_copy_op(*this, value);
    }

    /// Waits for the oldest value. Empty at the end: the channel is closed and nothing is left in
    /// it. Throws errc::cancelled.
    recv_op recv() noexcept { return recv_op(*this); }

    /// Sends without waiting. errc::overloaded when it would have to wait, errc::closed after
    /// close(); the value has not been moved from then.
    result<void> try_send(T&& value) noexcept;
    result<void> try_send(const T& value)
        requires std::copy_constructible<T>
    {
        return try_send(T(value));
    }

    /// The oldest value, if there is one.
    std::optional<T> try_recv() noexcept;

    /// send() for plain threads and for calls inside blocking(): blocks the calling thread while
    /// there is no room. errc::closed after close(); the value has not been moved from then.
    result<void> send_blocking(T&& value) noexcept;
    result<void> send_blocking(const T& value)
        requires std::copy_constructible<T>
    {
        return send_blocking(T(value));
    }

    /// recv() for plain threads and for calls inside blocking().
    std::optional<T> recv_blocking() noexcept;

    /// No more values: senders, those that wait included, are told errc::closed. Receivers get what
    /// is there, and then the end.
    void close() noexcept;

    bool closed() const noexcept {
        const std::lock_guard held(lock_);
        return closed_;
    }
    /// Values that wait for a receiver, at this moment.
    std::size_t size() const noexcept {
        const std::lock_guard held(lock_);
        return items_.size();
    }
    std::size_t capacity() const noexcept { return items_.capacity(); }

private:
    // Under the lock.

    bool has_room() const noexcept {
        return !items_.full() || (items_.capacity() == 0 && !receivers_.empty());
    }
    void put(T&& value, shared_wait_list& woken) noexcept;
    bool take(std::optional<T>& into, shared_wait_list& woken) noexcept;
    bool ended() const noexcept { return closed_ && items_.empty(); }

    static T& offered_by(shared_waiter& sender) noexcept {
        return *static_cast<T*>(sender.subject());
    }

    mutable std::mutex lock_;  // guards everything below, but for the capacity
    ring<T> items_;
    bool closed_ = false;
    shared_wait_list senders_;    // subject: T, to be moved from
    shared_wait_list receivers_;  // subject: std::optional<T>, to be filled
};

/// Sends what it refers to; see shared_channel::send.
template <class T>
class [[nodiscard, gnu::warn_unused]] shared_channel<T>::send_op : public shared_op<send_op, void> {
    using base = shared_op<send_op, void>;

public:
    send_op(shared_channel& of, T& value) noexcept : base("shared_channel send", &value), of_(of) {}

private:
    friend base;

    std::mutex& lock() noexcept { return of_.lock_; }
    bool attempt(shared_wait_list& woken) noexcept {
        if (of_.closed_)
            this->fail(errc::closed);
        else if (of_.has_room())
            of_.put(std::move(*static_cast<T*>(this->subject())), woken);
        else
            return false;
        return true;
    }
    shared_wait_list& queue() noexcept { return of_.senders_; }
    void left(shared_wait_list&) noexcept {}
    void value() noexcept {}

    shared_channel& of_;
};

/// Sends a copy that it holds; see shared_channel::send.
template <class T>
class shared_channel<T>::send_copy_op final : private std::optional<T>, public send_op {
public:
    send_copy_op(shared_channel& of, const T& value)
        : std::optional<T>(value), send_op(of, **static_cast<std::optional<T>*>(this)) {}
};

/// Waits for a value; see shared_channel::recv.
template <class T>
class [[nodiscard, gnu::warn_unused]] shared_channel<T>::recv_op final
    : public shared_op<recv_op, std::optional<T>> {
    using base = shared_op<recv_op, std::optional<T>>;

public:
    explicit recv_op(shared_channel& of) noexcept : base("shared_channel recv", &value_), of_(of) {}

private:
    friend base;

    std::mutex& lock() noexcept { return of_.lock_; }
    bool attempt(shared_wait_list& woken) noexcept {
        return of_.take(value_, woken) || of_.ended();
    }
    shared_wait_list& queue() noexcept { return of_.receivers_; }
    void left(shared_wait_list&) noexcept {}
    std::optional<T> value() noexcept {
        if (!value_) return std::nullopt;
        return std::optional<T>(std::move(*value_));
    }

    shared_channel& of_;
    std::optional<T> value_;
};

/// Gives the value to the receiver that waits longest, else to the room that the caller knows of.
template <class T>
void shared_channel<T>::put(T&& value, shared_wait_list& woken) noexcept {
    if (receivers_.empty()) {
        items_.push(std::move(value));
        return;
    }
    OURO_ASSERT(items_.empty() && "shared_channel: somebody waits for what is there");
    static_cast<std::optional<T>*>(receivers_.front().subject())->emplace(std::move(value));
    receivers_.answer_front(woken);
}

template <class T>
bool shared_channel<T>::take(std::optional<T>& into, shared_wait_list& woken) noexcept {
    if (!items_.empty()) {
        into.emplace(std::move(items_.front()));
        items_.drop_front();
        if (!senders_.empty()) {
            items_.push(std::move(offered_by(senders_.front())));
            senders_.answer_front(woken);
        }
        return true;
    }
    if (senders_.empty()) return false;
    OURO_ASSERT(items_.capacity() == 0 && "shared_channel: a sender waits though there is room");
    into.emplace(std::move(offered_by(senders_.front())));
    senders_.answer_front(woken);
    return true;
}

template <class T>
result<void> shared_channel<T>::try_send(T&& value) noexcept {
    shared_wait_list woken;
    {
        const std::lock_guard held(lock_);
        if (closed_) return errc::closed;
        if (!has_room()) return errc::overloaded;
        put(std::move(value), woken);
    }
    woken.wake_all();
    return {};
}

template <class T>
std::optional<T> shared_channel<T>::try_recv() noexcept {
    std::optional<T> value;
    shared_wait_list woken;
    {
        const std::lock_guard held(lock_);
        take(value, woken);
    }
    woken.wake_all();
    return value;
}

template <class T>
result<void> shared_channel<T>::send_blocking(T&& value) noexcept {
    shared_thread_waiter self(&value);
    shared_wait_list woken;
    bool must_wait = false;
    {
        const std::lock_guard held(lock_);
        if (closed_) return errc::closed;
        must_wait = !has_room();
        if (must_wait)
            senders_.push_back(self);
        else
            put(std::move(value), woken);
    }
    woken.wake_all();
    if (must_wait) self.sleep();
    return self.failed() ? result<void>(self.error()) : result<void>();
}

template <class T>
std::optional<T> shared_channel<T>::recv_blocking() noexcept {
    std::optional<T> value;
    shared_thread_waiter self(&value);
    shared_wait_list woken;
    bool must_wait = false;
    {
        const std::lock_guard held(lock_);
        must_wait = !take(value, woken) && !closed_;
        if (must_wait) receivers_.push_back(self);
    }
    woken.wake_all();
    if (must_wait) self.sleep();
    return value;
}

template <class T>
void shared_channel<T>::close() noexcept {
    shared_wait_list woken;
    {
        const std::lock_guard held(lock_);
        closed_ = true;
        senders_.answer_all(woken, errc::closed);
        receivers_.answer_all(woken, errc());  // they wait, so nothing is left: the end
    }
    woken.wake_all();
}

}  // namespace ouro
