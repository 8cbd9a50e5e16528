// A timeout that is kept, of an operation that is gone.
// says: it refers to a temporary: await it in the expression that makes it
#include <ouro/runtime/sync/mutex.hpp>
#include <ouro/runtime/timeout.hpp>

using namespace std::chrono_literals;

ouro::task<> slow() { co_return; }

ouro::task<> work(ouro::mutex& lock) {
#ifdef RIGHT
    auto held = co_await ouro::timeout(10ms, lock.lock());
    auto limited = ouro::timeout(10ms, slow());  // owns the task
    co_await limited;
#else
    auto limited = ouro::timeout(10ms, lock.lock());
    auto held = co_await limited;
#endif
}
