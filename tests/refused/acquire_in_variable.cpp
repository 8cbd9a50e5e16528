// A lease of a pool that is asked for and not awaited.
// says: unused variable
#include <ouro/net/pool/pool.hpp>

ouro::task<> work(ouro::net::pool<int>& numbers) {
#ifdef RIGHT
    auto lease = co_await numbers.acquire();
#else
    auto lease = numbers.acquire();
#endif
    co_return;
}
