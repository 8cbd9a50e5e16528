// A command that is made and not awaited: nothing is sent.
// says: unused variable
#include <ouro/kv/redis/client.hpp>

ouro::task<> work(ouro::redis::client& db) {
#ifdef RIGHT
    auto greeting = co_await db.get("greeting");
    static_cast<void>(greeting);
#else
    auto greeting = db.get("greeting");
#endif
    co_return;
}
