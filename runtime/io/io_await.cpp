#include <ouro/runtime/io/io_await.hpp>

#include <ouro/runtime/engine/executor.hpp>

#include <string>

namespace ouro {

bool io_await::suspend(promise_base& frame) noexcept {
    if (!wait(frame)) {
        result_ = -ECANCELED;
        return false;
    }
    if (side_ == side::read ? on_->begin_read(*this) : on_->begin_write(*this)) {
        starting_ = true;
        const bool pending = submit(on_->through());
        starting_ = false;
        if (pending) return true;
    } else {
        result_ = -EBADF;
    }
    // Completed without suspending; a task that does so again and again must yield in between.
    return answered_at_once();
}

void io_await::completed(std::int32_t result, std::uint32_t flags) noexcept {
    result_ = result;
    flags_ = flags;
    side_ == side::read ? on_->end_read() : on_->end_write();
    if (!starting_) resume();
}

void io_await::describe(leaf_description& into) const {
    into.text(std::string(name_) + " fd " + std::to_string(fd()));
}

}  // namespace ouro
