// descriptor.hpp: a file descriptor that is closed exactly once, and never under an operation.
#pragma once

#include <ouro/runtime/check.hpp>
#include <ouro/runtime/engine/executor.hpp>
#include <ouro/runtime/engine/passage.hpp>
#include <ouro/runtime/io/buffer_pool.hpp>

#include <memory>
#include <utility>

namespace ouro {

/// Told when the last operation on a descriptor has ended; see descriptor::begin_close.
class idle_waiter {
public:
    virtual void became_idle() noexcept = 0;

protected:
    ~idle_waiter() = default;
};

/// Outlives its owner because its write is in flight; see descriptor::leave_write_to.
class descriptor_heir {
public:
    /// The descriptor dies first: closing `number` is up to the heir, once its write has ended
    /// (close_inherited).
    virtual void inherit(int number, std::unique_ptr<passage> through) noexcept = 0;

protected:
    ~descriptor_heir() = default;
};

/// Owns a descriptor of this worker's reactor.
///
/// It belongs to the worker that made it, whose reactor knows its number: used or closed on another
/// one it is an assertion. release() there and adopt() here hand it over.
///
/// Knows the operation that reads and the one that writes: there is at most one of each in flight.
/// A second one that begins meanwhile is an assertion, and so is moving or destroying it, since the
/// kernel would go on with the old number. An operation on one that is closed or moved from is an
/// error: std::errc::bad_file_descriptor.
class descriptor {
public:
    descriptor() noexcept = default;
    /// `through` takes the operations on it in the reactor's place; null: nothing does.
    explicit descriptor(int number, std::unique_ptr<passage> through = nullptr) noexcept
        : number_(number), through_(std::move(through)), home_(executor::current_or_null()) {}
    descriptor(descriptor&& other) noexcept
        : number_(std::exchange(other.number_, -1)),
          through_(std::move(other.through_)),
          leases_(std::move(other.leases_)),
          home_(other.home_) {
        if (!other.idle()) other.misused(moved_in_use);
    }
    descriptor& operator=(descriptor&& other) noexcept {
        if (!other.idle()) other.misused(moved_in_use);
        close();
        number_ = std::exchange(other.number_, -1);
        through_ = std::move(other.through_);
        leases_ = std::move(other.leases_);
        home_ = other.home_;
        return *this;
    }
    ~descriptor() { close(); }

    int number() const noexcept { return number_; }
    bool is_open() const noexcept { return number_ >= 0; }
    bool idle() const noexcept { return !reading_ && !writing_; }

    op* reading() const noexcept { return reading_; }
    op* writing() const noexcept { return writing_; }

    /// Notes what reads now. False when it is not open (closed, being closed, moved from), which is
    /// an error of the operation's: std::errc::bad_file_descriptor.
    [[nodiscard]] bool begin_read(op& operation) noexcept {
        if (!is_open() || closing()) return false;
        if (!at_home()) misused(used_elsewhere);
        if (reading_) misused("a second task receives while one does: let one, or take turns");
        reading_ = &operation;
        return true;
    }
    /// The same for what writes.
    [[nodiscard]] bool begin_write(op& operation) noexcept {
        if (!is_open() || closing()) return false;
        if (!at_home()) misused(used_elsewhere);
        if (writing_) misused("a second task sends while one does: use a writer, or take turns");
        writing_ = &operation;
        return true;
    }
    void end_read() noexcept {
        reading_ = nullptr;
        if (closing()) operation_ended();
    }
    void end_write() noexcept {
        writing_ = nullptr;
        heir_ = nullptr;
        if (closing()) operation_ended();
    }

    /// What takes the operations on it in the reactor's place, or null.
    passage* through() const noexcept { return through_.get(); }
    /// Puts something there and yields what was there before. Nothing may be in flight.
    std::unique_ptr<passage> pass_through(std::unique_ptr<passage> next) noexcept {
        if (!idle()) misused("given a layer while a task sends or receives on it");
        return std::exchange(through_, std::move(next));
    }

    /// Asks what is in flight to stop; until it is closed, nothing new may begin. `waiter` is told
    /// when the last operation has ended, and closes. Something must be in flight.
    void begin_close(idle_waiter& waiter) noexcept;
    bool closing() const noexcept { return waiter_ != nullptr; }

    /// Leaves the write in flight to itself: nobody awaits it any more. The descriptor may now be
    /// closed under it, which hands its number to `heir`; unless that happened, the heir calls
    /// end_write when the write has ended.
    void leave_write_to(descriptor_heir& heir) noexcept {
        OURO_ASSERT(writing_ && !heir_);
        heir_ = &heir;
    }

    /// Closes it, if it is open; a ring may do so at the end of the turn. Nothing may be in flight
    /// but a write that was left to an heir.
    void close() noexcept;
    /// Closes it, if it is open, before this returns. Nothing may be in flight.
    void close_at_once() noexcept;

    /// Gives up ownership. The reactor forgets the number, and takes back that it made the
    /// descriptor non-blocking; a passage ends. Receive buffers that came from here count no more.
    int release() noexcept;

    /// Counts the receive buffers that came from here and are still held.
    lease_quota& leases() noexcept { return leases_; }

private:
    /// Its number for somebody to close; -1 when it is not open.
    int give_up() noexcept;
    static constexpr const char* used_elsewhere =
        "used on another worker than its own: release() there, adopt() here";
    static constexpr const char* moved_in_use =
        "moved while a task sends or receives on it: await that first, or refer to it";

    bool at_home() const noexcept { return !home_ || home_ == executor::current_or_null(); }
    /// Ends the program as an assertion does.
    [[noreturn]] void misused(const char* how) const noexcept;
    void operation_ended() noexcept;
    void bequeath() noexcept;

    int number_ = -1;
    std::unique_ptr<passage> through_;
    lease_quota leases_;
    executor* home_ = nullptr;  // null: it was made outside of a run
    op* reading_ = nullptr;
    op* writing_ = nullptr;
    idle_waiter* waiter_ = nullptr;
    descriptor_heir* heir_ = nullptr;
};

/// Closes what an heir got, now that its write has ended.
void close_inherited(int number, std::unique_ptr<passage> through) noexcept;

}  // namespace ouro
