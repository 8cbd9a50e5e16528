// shared_oneshot.hpp: one value, once, from any thread to any other.
//
// Both ends refer to one cell, freed by whoever lets go last. Its `state_` says who may touch
// what:
//
//   open      nothing yet; the sender may put a value, the receiver may begin to wait
//   waiting   the receiver waits; waiter_ is valid
//   full      a value is there and belongs to the receiver
//   closed    the sender is gone and left no value
//   taken     the receiver is gone, or has taken the value
//
// Each side changes it with one atomic step, and what it had prepared before is the other's from
// then on. The sender leaves `open` or `waiting` once; whoever finds `waiting` wakes the receiver,
// whose request to cancel then comes too late.
#pragma once

#include <ouro/runtime/sync/shared_waiter.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace ouro {

/// The untyped half of the cell between the two ends.
class shared_oneshot_state {
public:
    enum class state : std::uint8_t { open, waiting, full, closed, taken };

    state now() const noexcept { return state_.load(std::memory_order_acquire); }

    // The sender's side.

    /// Announces the value that was put into the cell. False when nobody will take it.
    bool fill() noexcept { return leave_open(state::full); }
    /// Announces that there will be none.
    void close() noexcept { leave_open(state::closed); }

    // The receiver's side.

    /// Begins to wait. False when there is nothing to wait for any more.
    bool begin_wait(shared_waiter& waiter) noexcept;
    /// Ends waiting without an answer. False when one is on its way.
    bool end_wait() noexcept;
    /// Nobody will receive from now on. True when a value is there, to be destroyed or taken.
    bool take() noexcept;

    /// One of the ends lets go. True for the last.
    bool let_go() noexcept { return ends_.fetch_sub(1, std::memory_order_acq_rel) == 1; }

private:
    bool leave_open(state next) noexcept;

    std::atomic<state> state_ = state::open;
    std::atomic<std::uint8_t> ends_ = 2;
    shared_waiter* waiter_ = nullptr;
};

/// The cell, with room for the value.
template <class T>
class shared_oneshot_cell final : public shared_oneshot_state {
public:
    void put(T&& value) noexcept { std::construct_at(storage(), std::move(value)); }
    void drop() noexcept { std::destroy_at(storage()); }
    T get() noexcept {
        T value = std::move(*storage());
        drop();
        return value;
    }

private:
    T* storage() noexcept { return reinterpret_cast<T*>(bytes_); }

    alignas(T) std::byte bytes_[sizeof(T)];
};

/// The end that sends; movable, on any thread.
template <class T>
class [[nodiscard]] shared_oneshot_sender {
public:
    /// Belongs to no receiver.
    shared_oneshot_sender() noexcept = default;
    shared_oneshot_sender(shared_oneshot_sender&& other) noexcept
        : cell_(std::exchange(other.cell_, nullptr)) {}
    shared_oneshot_sender& operator=(shared_oneshot_sender other) noexcept {
        std::swap(cell_, other.cell_);
        return *this;
    }
    /// Without a value sent before, the receiver is told errc::closed.
    ~shared_oneshot_sender() {
        if (!cell_) return;
        cell_->close();
        let_go();
    }

    /// Hands the value over; never waits. False, and the value is dropped, when the receiver is
    /// gone. Once: it belongs to no receiver afterwards.
    bool send(T value) noexcept {
        OURO_ASSERT(cell_ != nullptr &&
                    "shared_oneshot: sent twice, or after a move: it sends once");
        cell_->put(std::move(value));
        const bool wanted = cell_->fill();
        if (!wanted) cell_->drop();
        let_go();
        return wanted;
    }

    /// Whether nobody would receive a value: the receiver is gone, or a value was sent.
    bool is_closed() const noexcept {
        return !cell_ || cell_->now() == shared_oneshot_state::state::taken;
    }

private:
    template <class>
    friend struct shared_oneshot_ends;

    void let_go() noexcept {
        if (cell_->let_go()) delete cell_;
        cell_ = nullptr;
    }

    shared_oneshot_cell<T>* cell_ = nullptr;
};

/// The end that receives; movable, on any thread, while nobody waits on it.
template <class T>
class [[nodiscard]] shared_oneshot_receiver {
    static_assert(std::is_nothrow_move_constructible_v<T>, "handing over must not fail");

public:
    class recv_op;

    /// Belongs to no sender.
    shared_oneshot_receiver() noexcept = default;
    shared_oneshot_receiver(shared_oneshot_receiver&& other) noexcept
        : cell_(std::exchange(other.cell_, nullptr)) {}
    shared_oneshot_receiver& operator=(shared_oneshot_receiver other) noexcept {
        std::swap(cell_, other.cell_);
        return *this;
    }
    ~shared_oneshot_receiver() {
        if (cell_ && cell_->take()) cell_->drop();
        let_go();
    }

    /// Waits for the value. Throws errc::closed when the sender is gone without having sent one, or
    /// the value was taken before; and errc::cancelled, after which it may be called again.
    recv_op recv() noexcept { return recv_op(*this); }

    /// The value if it is here.
    std::optional<T> try_recv() noexcept {
        if (!cell_ || cell_->now() != shared_oneshot_state::state::full) return std::nullopt;
        return take();
    }

    /// recv() for plain threads and for calls inside blocking(): blocks the calling thread. Empty
    /// when the sender is gone without having sent a value, or the value was taken before.
    std::optional<T> recv_blocking() noexcept {
        if (!cell_) return std::nullopt;
        shared_thread_waiter self(nullptr);
        if (cell_->begin_wait(self)) self.sleep();
        return take();
    }

private:
    template <class>
    friend struct shared_oneshot_ends;

    /// The value of a cell that is full or closed; it is of no more use afterwards.
    std::optional<T> take() noexcept {
        std::optional<T> value;
        if (cell_->take()) value.emplace(cell_->get());
        let_go();
        return value;
    }

    void let_go() noexcept {
        if (cell_ && cell_->let_go()) delete cell_;
        cell_ = nullptr;
    }

    shared_oneshot_cell<T>* cell_ = nullptr;
};

/// What shared_oneshot() makes.
template <class T>
struct shared_oneshot_ends {
    shared_oneshot_ends() { sender.cell_ = receiver.cell_ = new shared_oneshot_cell<T>; }

    shared_oneshot_sender<T> sender;
    shared_oneshot_receiver<T> receiver;
};

/// `auto [reply, answer] = shared_oneshot<int>();` makes both ends, and the one allocation that
/// they share. Within one worker, `oneshot` does without.
template <class T>
shared_oneshot_ends<T> shared_oneshot() {
    return {};
}

/// Waits for the value; see shared_oneshot_receiver::recv.
template <class T>
class [[nodiscard, gnu::warn_unused]] shared_oneshot_receiver<T>::recv_op final
    : public shared_task_waiter {
public:
    explicit recv_op(shared_oneshot_receiver& of) noexcept
        : shared_task_waiter("shared_oneshot", nullptr), of_(of) {}

    bool await_ready() const noexcept { return false; }
    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) noexcept {
        promise_base& frame = by.promise();
        if (frame.owner->cancelled()) {
            fail(errc::cancelled);
            return go_on(frame);
        }
        if (!of_.cell_) return go_on(frame);
        wait_here(frame);  // first: from begin_wait on it may be woken
        if (of_.cell_->begin_wait(as_waiter())) return true;
        wait_no_more();
        return go_on(frame);
    }

    T await_resume() { return await_result().value(); }
    result<T> await_result() noexcept {
        if (failed()) return error();
        if (!of_.cell_) return errc::closed;
        std::optional<T> value = of_.take();
        if (!value) return errc::closed;
        return std::move(*value);
    }

private:
    bool leave() noexcept override { return of_.cell_->end_wait(); }

    shared_oneshot_receiver& of_;
};

}  // namespace ouro
