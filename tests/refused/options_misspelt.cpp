// A field that the options do not have. What is not named has its default, without a warning.
// says: threads
#include <ouro/net/bytes/writer.hpp>
#include <ouro/net/connect.hpp>
#include <ouro/net/listener.hpp>
#include <ouro/net/pool/pool_core.hpp>
#include <ouro/net/server.hpp>
#include <ouro/net/udp.hpp>
#include <ouro/runtime/run.hpp>

ouro::task<> work() { co_return; }

void use(const ouro::net::connect_options&);
void use(const ouro::net::listener_options&);
void use(const ouro::net::pool_options&);
void use(const ouro::net::server_options&);

int main() {
#ifdef RIGHT
    use(ouro::net::connect_options{.attempt_delay = ouro::duration::zero()});
    use(ouro::net::listener_options{.queue_max = 3});
    use(ouro::net::pool_options{.connections_max = 3});
    use(ouro::net::server_options{.connections_max = 3});
    return ouro::run(work(), {.workers = 2});
#else
    return ouro::run(work(), {.threads = 2});
#endif
}
