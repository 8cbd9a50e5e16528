// A task in a variable, awaited as if it could be awaited again.
// says: a task is awaited once: std::move(task)
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/task.hpp>

ouro::task<int> number() { co_return 3; }

ouro::task<int> work() {
    ouro::task<int> later = number();
#ifdef RIGHT
    co_return co_await std::move(later);
#else
    co_return co_await later;
#endif
}
