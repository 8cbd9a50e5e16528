// broadcast.hpp: every receiver sees every value; who is too slow is told how many it missed.
#pragma once

#include <ouro/runtime/sync/wait_list.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

namespace ouro {

/// What a broadcast receiver throws that was overtaken: errc::lagged, and by how many values.
class lagged_error : public std::system_error {
public:
    explicit lagged_error(std::uint64_t missed);

    /// Values that were overwritten before this receiver took them.
    std::uint64_t missed() const noexcept { return missed_; }

private:
    std::uint64_t missed_;
};

/// Sends each value to all who have subscribed, keeping the last `capacity` of them.
///
///     broadcast<news> feed(64);
///     broadcast<news>::receiver mine = feed.subscribe();   // sees what is sent from now on
///     while (auto item = co_await mine.recv()) …           // until feed.close()
///
/// Sending never waits: it overwrites the oldest value, and a receiver that had not taken that one
/// is told so. Values are copied out, the last reader gets the original; make large ones a
/// shared_ptr. A value is destroyed when everybody has read it or it is overwritten.
/// Worker-local. Destroying it closes it: who waits gets the end, and so does every receiver that
/// asks later; what it kept for them is gone.
template <std::copy_constructible T>
class broadcast {
public:
    class receiver;
    class recv_op;

    /// Room for `capacity` values, at least 1, allocated now and never again.
    explicit broadcast(std::size_t capacity) : slots_(capacity) {
        OURO_ASSERT(capacity > 0 && "broadcast: keeps nothing: its capacity is at least 1");
    }
    ~broadcast() {
        close();
        while (!following_.empty()) following_.pop_front().of_ = nullptr;
    }
    broadcast(const broadcast&) = delete;
    broadcast& operator=(const broadcast&) = delete;

    /// Sends to all who are subscribed now; returns how many. The value is dropped when there are
    /// none. Asserts that it is not closed.
    std::size_t send(T value);

    /// A receiver of everything that is sent from now on.
    receiver subscribe() noexcept { return receiver(*this); }

    /// No more values: receivers get what is kept for them, and then the end.
    void close() noexcept {
        closed_ = true;
        waiters_.wake_all();
    }

    bool closed() const noexcept { return closed_; }
    std::size_t receivers() const noexcept { return receivers_; }
    std::size_t capacity() const noexcept { return slots_.size(); }

private:
    struct slot {
        std::optional<T> value;
        std::size_t unread = 0;  // receivers that have yet to read it
    };

    slot& at(std::uint64_t position) noexcept { return slots_[position % slots_.size()]; }
    /// The oldest position that has not been overwritten.
    std::uint64_t oldest() const noexcept {
        return next_ > slots_.size() ? next_ - slots_.size() : 0;
    }
    /// One receiver less has to read the value there.
    void drop_read(std::uint64_t position) noexcept {
        slot& read = at(position);
        OURO_ASSERT(read.unread > 0 && "broadcast: a value was read by more than were to read it");
        if (--read.unread == 0) read.value.reset();
    }

    std::vector<slot> slots_;
    std::uint64_t next_ = 0;  // how many were sent; the position of the next
    std::size_t receivers_ = 0;
    bool closed_ = false;
    intrusive_list<receiver, receiver> following_;
    wait_list waiters_;  // receivers that have read everything
};

/// One subscription: a position in what is sent. Movable while nobody waits on it.
template <std::copy_constructible T>
class [[nodiscard]] broadcast<T>::receiver : public list_hook<receiver> {
public:
    receiver(receiver&& other) noexcept : position_(0) { take_over(other); }
    receiver& operator=(receiver&& other) noexcept {
        if (this == &other) return *this;
        leave();
        take_over(other);
        return *this;
    }
    ~receiver() { leave(); }

    /// Another receiver at the same position.
    receiver clone() const noexcept;

    /// Waits for the next value; empty after close(). Throws lagged_error once when values were
    /// overwritten before they were read, then goes on with the oldest that is kept; and
    /// errc::cancelled. With as_result a lag is errc::lagged; `missed()` tells how many.
    recv_op recv() noexcept { return recv_op(*this); }

    /// The next value, if it is here. errc::lagged as above.
    result<std::optional<T>> try_recv();

    /// Values that can be read without waiting.
    std::size_t pending() const noexcept;

    /// How many values were lost the last time that a lag was reported.
    std::uint64_t missed() const noexcept { return missed_; }

private:
    friend class broadcast;

    explicit receiver(broadcast& of) noexcept : of_(&of), position_(of.next_) {
        ++of.receivers_;
        of.following_.push_back(*this);
    }

    void take_over(receiver& other) noexcept {
        if (other.of_) other.unlink();
        of_ = std::exchange(other.of_, nullptr);
        position_ = other.position_;
        missed_ = other.missed_;
        if (of_) of_->following_.push_back(*this);
    }
    void leave() noexcept;
    bool something_to_say() const noexcept {
        return !of_ || position_ != of_->next_ || of_->closed_;
    }
    /// Reports a lag, once.
    bool lagged() noexcept;
    std::optional<T> read();

    broadcast* of_ = nullptr;  // null when it was moved from, or its broadcast is gone
    std::uint64_t position_;   // of the next value to read
    std::uint64_t missed_ = 0;
};

/// Waits for the next value; see broadcast::receiver::recv.
template <std::copy_constructible T>
class [[nodiscard, gnu::warn_unused]] broadcast<T>::recv_op final
    : public sync_op<recv_op, std::optional<T>> {
    using base = sync_op<recv_op, std::optional<T>>;

public:
    explicit recv_op(receiver& at) noexcept : base("broadcast"), at_(at) {}

    // Values stay in the ring until the receiver runs, so a lag is found out here.
    std::optional<T> await_resume() {
        if (this->failed()) throw_error(this->error());
        if (at_.lagged()) throw lagged_error(at_.missed());
        return at_.read();
    }
    result<std::optional<T>> await_result() {
        if (this->failed()) return this->error();
        return at_.try_recv();
    }

private:
    friend base;

    bool attempt() noexcept { return at_.something_to_say(); }
    wait_list& queue() noexcept { return at_.of_->waiters_; }

    receiver& at_;
};

template <std::copy_constructible T>
std::size_t broadcast<T>::send(T value) {
    OURO_ASSERT(!closed_ && "broadcast: sent after close");
    if (receivers_ == 0) return 0;
    slot& into = at(next_);
    into.value.reset();
    into.value.emplace(std::move(value));
    into.unread = receivers_;
    ++next_;
    waiters_.wake_all();
    return receivers_;
}

template <std::copy_constructible T>
void broadcast<T>::receiver::leave() noexcept {
    if (!of_) return;
    this->unlink();
    for (std::uint64_t at = std::max(position_, of_->oldest()); at < of_->next_; ++at)
        of_->drop_read(at);
    OURO_ASSERT(of_->receivers_ > 0 && position_ <= of_->next_);
    --of_->receivers_;
    of_ = nullptr;
}

template <std::copy_constructible T>
typename broadcast<T>::receiver broadcast<T>::receiver::clone() const noexcept {
    OURO_ASSERT(of_ != nullptr &&
                "broadcast: the broadcast of this receiver is gone: let it live longer");
    receiver twin(*of_);
    twin.position_ = position_;
    for (std::uint64_t at = std::max(position_, of_->oldest()); at < of_->next_; ++at)
        ++of_->at(at).unread;
    return twin;
}

template <std::copy_constructible T>
std::size_t broadcast<T>::receiver::pending() const noexcept {
    if (!of_) return 0;
    return static_cast<std::size_t>(of_->next_ - std::max(position_, of_->oldest()));
}

template <std::copy_constructible T>
bool broadcast<T>::receiver::lagged() noexcept {
    if (!of_) return false;
    const std::uint64_t oldest = of_->oldest();
    if (position_ >= oldest) return false;
    missed_ = oldest - position_;
    position_ = oldest;
    return true;
}

template <std::copy_constructible T>
std::optional<T> broadcast<T>::receiver::read() {
    if (!of_ || position_ == of_->next_) return std::nullopt;
    OURO_ASSERT(position_ >= of_->oldest() && position_ < of_->next_);
    slot& from = of_->at(position_);
    std::optional<T> value;
    if (from.unread == 1)
        value.emplace(std::move(*from.value));
    else
        value.emplace(*from.value);
    of_->drop_read(position_);
    ++position_;
    return value;
}

template <std::copy_constructible T>
result<std::optional<T>> broadcast<T>::receiver::try_recv() {
    if (lagged()) return errc::lagged;
    return read();
}

}  // namespace ouro
