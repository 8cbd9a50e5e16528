// A choice that is kept, between operations that are gone.
// says: it refers to a temporary: await it in the expression that makes it
#include <ouro/runtime/combine.hpp>
#include <ouro/runtime/sync/event.hpp>

ouro::task<> work(ouro::event& one, ouro::event& two) {
#ifdef RIGHT
    co_await any_of(one.wait(), two.wait());
#else
    auto first = any_of(one.wait(), two.wait());
    co_await first;
#endif
}
