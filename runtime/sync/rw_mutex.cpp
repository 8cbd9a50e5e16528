#include <ouro/runtime/sync/rw_mutex.hpp>

namespace ouro {

void rw_mutex::admit() noexcept {
    while (!waiters_.empty() && !written_) {
        const bool writes = waiters_.front<turn>().writes_;
        if (writes && readers_ > 0) return;
        if (writes)
            written_ = true;
        else
            ++readers_;
        waiters_.wake_one();
    }
}

rw_mutex::shared_guard rw_mutex::guard::downgrade() noexcept {
    OURO_ASSERT(*this && "rw_mutex: downgraded by a guard that holds nothing");
    rw_mutex& lock = let_go();
    OURO_ASSERT(lock.written_ && lock.readers_ == 0);
    lock.written_ = false;
    lock.readers_ = 1;
    lock.admit();
    return shared_guard(lock);
}

}  // namespace ouro
