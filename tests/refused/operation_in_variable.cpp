// An operation that is made and not awaited: the lock is not held.
// says: unused variable
#include <ouro/runtime/sync/mutex.hpp>

ouro::task<> work(ouro::mutex& lock) {
#ifdef RIGHT
    auto held = co_await lock.lock();
#else
    auto held = lock.lock();
#endif
    co_return;
}
