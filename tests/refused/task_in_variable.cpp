// A task that is made and not awaited.
// says: unused variable
#include <ouro/runtime/task.hpp>

ouro::task<int> number() { co_return 3; }

ouro::task<> work() {
#ifdef RIGHT
    auto value = co_await number();
    static_cast<void>(value);
#else
    auto value = number();
#endif
    co_return;
}
