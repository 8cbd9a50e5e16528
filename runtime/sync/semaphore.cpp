#include <ouro/runtime/sync/semaphore.hpp>

namespace ouro {

void semaphore::grant() noexcept {
    while (!waiters_.empty()) {
        const std::size_t wanted = waiters_.front<acquire_op>().count_;
        if (wanted > free_) return;
        free_ -= wanted;
        waiters_.wake_one();
    }
}

}  // namespace ouro
