// channel.hpp: a bounded queue between tasks: several producers, several consumers.
//
//   1. A slot is free, held by an item, or held by a permit: items + permits <= capacity.
//   2. Receivers wait only while there are no items; senders only while no slot is free. So an
//      arrival never overtakes whoever waits.
//   3. A value that meets a waiting receiver is put into that receiver's operation, and a sender
//      that waits has its value taken out by whoever frees a slot. Both were answered then,
//      whatever is asked of their chains before they run.
//   4. Capacity 0 is a rendezvous: there are no slots, and rule 3 is all there is.
#pragma once

#include <ouro/runtime/sync/holding.hpp>
#include <ouro/runtime/sync/ring.hpp>
#include <ouro/runtime/sync/wait_list.hpp>

#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace ouro {

/// Carries values from tasks to tasks of one worker, first in, first out, and makes producers wait
/// when consumers do not keep up.
///
///     co_await lines.send(std::move(line));                        // a producer
///     while (auto line = co_await lines.recv()) use(*line);        // a consumer, until close()
///
/// Each value goes to one receiver; waiting senders and receivers are served in arrival order.
/// Worker-local. Destroying it closes it: who waits is told as by close(), and must not use it
/// again. Items that nobody took are destroyed with it. Destroying it while somebody holds a permit
/// is a bug: asserted.
template <class T>
class channel {
    static_assert(std::is_nothrow_move_constructible_v<T>, "handing over must not fail");

    class sender;
    struct copy {
        T held;
    };

public:
    class permit;
    class send_op;
    class send_copy_op;
    class reserve_op;
    class recv_op;

    /// Room for `capacity` values, allocated now and never again. With 0, every send waits for the
    /// receiver that takes the value.
    explicit channel(std::size_t capacity) : items_(capacity) {}
    ~channel() {
        OURO_ASSERT(permits_ == 0 &&
                    "channel: destroyed while a permit lives: a channel outlives its permits");
        close();
    }
    channel(const channel&) = delete;
    channel& operator=(const channel&) = delete;

    /// Waits for a free slot and moves the value in. Throws errc::closed after close(), and
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

    /// Waits for a free slot and keeps it for a value to come. Throws like send. Not for
    /// capacity 0.
    reserve_op reserve() noexcept { return reserve_op(*this); }

    /// Waits for the oldest value. Empty at the end: the channel is closed, and every value in it
    /// and every permit was used. Throws errc::cancelled.
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

    /// A permit, or an empty one when it would have to wait or the channel is closed.
    [[nodiscard]] permit try_reserve() noexcept;

    /// No more values: senders, those that wait included, are told errc::closed. Receivers get what
    /// is there, and what permits still bring, and then the end.
    void close() noexcept;

    bool closed() const noexcept { return closed_; }
    /// Values that wait for a receiver.
    std::size_t size() const noexcept { return items_.size(); }
    std::size_t capacity() const noexcept { return items_.capacity(); }
    bool empty() const noexcept { return items_.empty(); }

private:
    struct share {
        static void give_back(channel& of) noexcept {
            OURO_ASSERT(of.permits_ > 0);
            --of.permits_;
            of.permit_used();
        }
    };

    bool slot_free() const noexcept { return items_.size() + permits_ < items_.capacity(); }
    bool can_send() const noexcept {
        return slot_free() || (capacity() == 0 && !receivers_.empty());
    }
    bool ended() const noexcept { return closed_ && items_.empty() && permits_ == 0; }

    void put(T&& value) noexcept;
    bool take(std::optional<T>& into) noexcept;
    void admit_senders() noexcept;
    void permit_used() noexcept;

    ring<T> items_;
    std::size_t permits_ = 0;
    bool closed_ = false;
    wait_list senders_;
    wait_list receivers_;
};

/// A slot of a channel, kept free for one value. Gives it back when it dies unused.
template <class T>
class [[nodiscard]] channel<T>::permit : public holding<channel, share> {
public:
    /// Holds no slot.
    permit() noexcept = default;

    /// Sends without waiting and without fail, also after close(). Once.
    void send(T value) noexcept {
        OURO_ASSERT(*this && "channel: sent by a permit that was used or moved from");
        channel& of = this->let_go();
        --of.permits_;
        of.put(std::move(value));
        of.permit_used();
    }

private:
    friend class channel;

    explicit permit(channel& of) noexcept : holding<channel, share>(of) {}
};

/// Somebody who waits for a slot: with a value to put into it, or to reserve it.
template <class T>
class channel<T>::sender : public waiter {
protected:
    sender(channel& of, T* value, const char* what) noexcept
        : waiter(what), of_(of), value_(value) {}
    ~sender() = default;

    wait_list& queue() noexcept { return of_.senders_; }

    channel& of_;
    T* value_;  // null: reserve

private:
    friend class channel;
};

/// Sends what it refers to; see channel::send.
template <class T>
class [[nodiscard, gnu::warn_unused]] channel<T>::send_op : public sync_op<send_op, void, sender> {
    using base = sync_op<send_op, void, sender>;

public:
    send_op(channel& of, T& value) noexcept : base(of, &value, "channel send") {}

private:
    friend base;

    bool attempt() noexcept {
        if (this->of_.closed_)
            this->fail(errc::closed);
        else if (this->of_.can_send())
            this->of_.put(std::move(*this->value_));
        else
            return false;
        return true;
    }
    void value() noexcept {}
};

/// Sends a copy that it holds; see channel::send.
template <class T>
class channel<T>::send_copy_op final : private copy, public send_op {
public:
    send_copy_op(channel& of, const T& value) : copy{value}, send_op(of, copy::held) {}
};

/// Waits for a slot to keep; see channel::reserve.
template <class T>
class [[nodiscard, gnu::warn_unused]] channel<T>::reserve_op final
    : public sync_op<reserve_op, permit, sender> {
    using base = sync_op<reserve_op, permit, sender>;

public:
    explicit reserve_op(channel& of) noexcept : base(of, nullptr, "channel reserve") {
        OURO_ASSERT(of.capacity() > 0 &&
                    "channel: a rendezvous has no slots: send, or give it a capacity");
    }

private:
    friend base;

    bool attempt() noexcept {
        if (this->of_.closed_)
            this->fail(errc::closed);
        else if (this->of_.slot_free())
            ++this->of_.permits_;
        else
            return false;
        return true;
    }
    permit value() noexcept { return permit(this->of_); }
};

/// Waits for a value; see channel::recv.
template <class T>
class [[nodiscard, gnu::warn_unused]] channel<T>::recv_op final
    : public sync_op<recv_op, std::optional<T>> {
    using base = sync_op<recv_op, std::optional<T>>;

public:
    explicit recv_op(channel& of) noexcept : base("channel recv"), of_(of) {}

private:
    friend base;
    friend class channel;

    bool attempt() noexcept { return of_.take(value_) || of_.ended(); }
    wait_list& queue() noexcept { return of_.receivers_; }
    // Not `return std::move(value_)`: that reads the value and its flag as one word, right after
    // they were written as two, and the processor has to wait for the store.
    std::optional<T> value() noexcept {
        if (!value_) return std::nullopt;
        return std::optional<T>(std::move(*value_));
    }

    channel& of_;
    std::optional<T> value_;
};

/// Gives the value to the receiver that waits longest, else to a slot that the caller knows free.
template <class T>
void channel<T>::put(T&& value) noexcept {
    if (receivers_.empty()) {
        items_.push(std::move(value));
        return;
    }
    OURO_ASSERT(items_.empty() && "channel: somebody waits for what is there");
    receivers_.template front<recv_op>().value_.emplace(std::move(value));
    receivers_.wake_one();
}

template <class T>
bool channel<T>::take(std::optional<T>& into) noexcept {
    if (!items_.empty()) {
        into.emplace(std::move(items_.front()));
        items_.drop_front();
        if (!senders_.empty()) admit_senders();
        return true;
    }
    if (capacity() > 0 || senders_.empty()) return false;
    into.emplace(std::move(*senders_.template front<sender>().value_));
    senders_.wake_one();
    return true;
}

/// Lets in as many waiting senders as there are free slots.
template <class T>
void channel<T>::admit_senders() noexcept {
    while (!senders_.empty() && slot_free()) {
        sender& oldest = senders_.template front<sender>();
        if (oldest.value_)
            put(std::move(*oldest.value_));
        else
            ++permits_;
        senders_.wake_one();
    }
}

/// After a permit has gone: its slot may be free now, or the end reached.
template <class T>
void channel<T>::permit_used() noexcept {
    admit_senders();
    if (ended()) receivers_.wake_all();
}

template <class T>
void channel<T>::close() noexcept {
    closed_ = true;
    senders_.wake_all(errc::closed);
    if (ended()) receivers_.wake_all();
}

template <class T>
result<void> channel<T>::try_send(T&& value) noexcept {
    if (closed_) return errc::closed;
    if (!can_send()) return errc::overloaded;
    put(std::move(value));
    return {};
}

template <class T>
std::optional<T> channel<T>::try_recv() noexcept {
    std::optional<T> value;
    take(value);
    return value;
}

template <class T>
typename channel<T>::permit channel<T>::try_reserve() noexcept {
    if (closed_ || !slot_free()) return permit();
    ++permits_;
    return permit(*this);
}

}  // namespace ouro
