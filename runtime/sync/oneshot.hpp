// oneshot.hpp: one value, once, from one task to another.
#pragma once

#include <ouro/runtime/sync/wait_list.hpp>

#include <optional>
#include <type_traits>
#include <utility>

namespace ouro {

template <class T>
class oneshot_receiver;

/// The end that sends. The two ends know each other, and the value travels in the receiver: there
/// is no shared state and no allocation. Worker-local; movable.
template <class T>
class [[nodiscard]] oneshot_sender {
public:
    class closed_op;

    /// Belongs to no receiver.
    oneshot_sender() noexcept = default;
    oneshot_sender(oneshot_sender&& other) noexcept { take_over(other); }
    oneshot_sender& operator=(oneshot_sender&& other) noexcept;
    /// Without a value sent before, the receiver is told errc::closed.
    ~oneshot_sender() {
        if (peer_) leave();
    }

    /// Hands the value over. False, and the value is dropped, when the receiver is gone. Once: it
    /// belongs to no receiver afterwards.
    bool send(T value) noexcept;

    /// Whether nobody would receive a value: the receiver is gone, or a value was sent.
    bool is_closed() const noexcept { return peer_ == nullptr; }

    /// Returns when is_closed(): the receiver is gone, so that the work would be in vain. Throws
    /// errc::cancelled. The sender must stay where it is meanwhile.
    closed_op closed() noexcept { return closed_op(*this); }

private:
    template <class>
    friend class oneshot_receiver;
    template <class>
    friend struct oneshot_ends;

    void take_over(oneshot_sender& other) noexcept;
    void leave() noexcept;

    oneshot_receiver<T>* peer_ = nullptr;
    wait_list waiters_;  // for the receiver to go
};

/// The end that receives. Worker-local; movable while nobody waits on it.
template <class T>
class [[nodiscard]] oneshot_receiver {
    static_assert(std::is_nothrow_move_constructible_v<T>, "handing over must not fail");

public:
    class recv_op;

    /// Belongs to no sender.
    oneshot_receiver() noexcept = default;
    oneshot_receiver(oneshot_receiver&& other) noexcept { take_over(other); }
    oneshot_receiver& operator=(oneshot_receiver&& other) noexcept;
    ~oneshot_receiver() { leave(); }

    /// Waits for the value. Throws errc::closed when the sender is gone without having sent one, or
    /// the value was taken before; and errc::cancelled, after which it may be called again.
    recv_op recv() noexcept { return recv_op(*this); }

    /// The value if it is here.
    std::optional<T> try_recv() noexcept { return std::exchange(value_, std::nullopt); }

    /// Whether no value is here and none will come.
    bool is_closed() const noexcept { return peer_ == nullptr && !value_; }

private:
    template <class>
    friend class oneshot_sender;
    template <class>
    friend struct oneshot_ends;

    void take_over(oneshot_receiver& other) noexcept;
    void leave() noexcept;
    void deliver(T value) noexcept;

    oneshot_sender<T>* peer_ = nullptr;
    std::optional<T> value_;
    wait_list waiters_;  // empty unless a value may still come
};

/// What oneshot() makes.
template <class T>
struct oneshot_ends {
    oneshot_ends() noexcept {
        sender.peer_ = &receiver;
        receiver.peer_ = &sender;
    }

    oneshot_sender<T> sender;
    oneshot_receiver<T> receiver;
};

/// `auto [reply, answer] = oneshot<int>();` makes both ends.
template <class T>
oneshot_ends<T> oneshot() noexcept {
    return {};
}

/// Waits for the value; see oneshot_receiver::recv.
template <class T>
class [[nodiscard, gnu::warn_unused]] oneshot_receiver<T>::recv_op final
    : public sync_op<recv_op, T> {
public:
    explicit recv_op(oneshot_receiver& of) noexcept : sync_op<recv_op, T>("oneshot"), of_(of) {}

private:
    friend sync_op<recv_op, T>;
    friend class oneshot_receiver;

    bool attempt() noexcept {
        if (of_.value_) {
            value_.emplace(std::move(*of_.value_));
            of_.value_.reset();
            return true;
        }
        if (of_.peer_) return false;
        this->fail(errc::closed);
        return true;
    }
    wait_list& queue() noexcept { return of_.waiters_; }
    T value() noexcept { return std::move(*value_); }

    oneshot_receiver& of_;
    std::optional<T> value_;
};

/// Waits for the receiver to go; see oneshot_sender::closed.
template <class T>
class [[nodiscard, gnu::warn_unused]] oneshot_sender<T>::closed_op final
    : public sync_op<closed_op, void> {
public:
    explicit closed_op(oneshot_sender& of) noexcept
        : sync_op<closed_op, void>("oneshot closed"), of_(of) {}

private:
    friend sync_op<closed_op, void>;

    bool attempt() noexcept { return of_.is_closed(); }
    wait_list& queue() noexcept { return of_.waiters_; }
    void value() noexcept {}

    oneshot_sender& of_;
};

template <class T>
void oneshot_sender<T>::take_over(oneshot_sender& other) noexcept {
    OURO_ASSERT(other.waiters_.empty() &&
                "oneshot: moved while somebody waits on it: refer to it instead");
    peer_ = std::exchange(other.peer_, nullptr);
    if (peer_) peer_->peer_ = this;
}

template <class T>
oneshot_sender<T>& oneshot_sender<T>::operator=(oneshot_sender&& other) noexcept {
    if (this == &other) return *this;
    if (peer_) leave();
    take_over(other);
    return *this;
}

template <class T>
void oneshot_sender<T>::leave() noexcept {
    oneshot_receiver<T>& receiver = *std::exchange(peer_, nullptr);
    OURO_ASSERT(receiver.peer_ == this);
    receiver.peer_ = nullptr;
    receiver.waiters_.wake_all(errc::closed);
    waiters_.wake_all();
}

template <class T>
bool oneshot_sender<T>::send(T value) noexcept {
    if (!peer_) return false;
    oneshot_receiver<T>& receiver = *peer_;
    receiver.deliver(std::move(value));
    leave();
    return true;
}

template <class T>
void oneshot_receiver<T>::deliver(T value) noexcept {
    OURO_ASSERT(!value_ && "oneshot: a value is sent once");
    if (waiters_.empty()) {
        value_.emplace(std::move(value));
        return;
    }
    waiters_.template front<recv_op>().value_.emplace(std::move(value));
    waiters_.wake_one();
}

template <class T>
void oneshot_receiver<T>::take_over(oneshot_receiver& other) noexcept {
    OURO_ASSERT(other.waiters_.empty() &&
                "oneshot: moved while somebody waits on it: refer to it instead");
    value_ = other.try_recv();
    peer_ = std::exchange(other.peer_, nullptr);
    if (peer_) peer_->peer_ = this;
}

template <class T>
oneshot_receiver<T>& oneshot_receiver<T>::operator=(oneshot_receiver&& other) noexcept {
    if (this == &other) return *this;
    leave();
    take_over(other);
    return *this;
}

template <class T>
void oneshot_receiver<T>::leave() noexcept {
    OURO_ASSERT(waiters_.empty() &&
                "oneshot: destroyed while somebody waits on it: end that task first");
    if (!peer_) return;
    oneshot_sender<T>& sender = *std::exchange(peer_, nullptr);
    OURO_ASSERT(sender.peer_ == this);
    sender.peer_ = nullptr;
    sender.waiters_.wake_all();
}

}  // namespace ouro
