// A result that is asked for later, of an operation that is gone.
// says: it refers to a temporary: await it in the expression that makes it
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/sync/mutex.hpp>
#include <ouro/runtime/timeout.hpp>

using namespace std::chrono_literals;

ouro::task<> work(ouro::mutex& lock) {
#ifdef RIGHT
    auto held = co_await as_result(lock.lock());
#else
    auto later = as_result(lock.lock());
    auto held = co_await ouro::timeout(10ms, later);
#endif
}
