// An operation that is made and dropped.
// says: ignoring return | ignoring temporary | ignoring returned
#include <ouro/net/stream.hpp>

ouro::task<> work(ouro::net::stream& to) {
#ifdef RIGHT
    co_await to.send_all("hello");
#else
    to.send_all("hello");
#endif
    co_return;
}
