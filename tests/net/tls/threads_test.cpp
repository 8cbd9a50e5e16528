// Contexts that many threads use, while they are reloaded.
#include "engines.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>
#include <vector>

using namespace ouro;
using namespace ouro::net;
using namespace ouro::net::tls;

TEST_CASE("threads share contexts, tickets and their reloads") {
    server_context with(serving());
    client_context asks(trusting());
    std::atomic<int> done = 0, resumed = 0;
    auto work = [&](unsigned worker) {
        for (int i = 0; i < 40; ++i) {
            // Each handshake of a client is answered by the other worker.
            const auto client = asks.make_engine("localhost", 443, worker);
            const auto server = with.make_engine(1 - worker);
            client->handshake();
            for (int rounds = 0; rounds < 4; ++rounds) {
                for (auto [from, to] : {std::pair(client.get(), server.get()),
                                        std::pair(server.get(), client.get())}) {
                    while (!from->pending().empty() && !to->error()) {
                        const auto space = to->space();
                        const std::size_t n = std::min(space.size(), from->pending().size());
                        std::copy_n(from->pending().begin(), n, space.begin());
                        to->received(n);
                        from->sent(n);
                        if (!to->handshake_done()) to->handshake();
                        std::byte none;
                        if (to->handshake_done()) to->take({&none, 1});  // a ticket, no data
                    }
                }
            }
            if (client->handshake_done() && server->handshake_done()) ++done;
            if (client->handshake_done() && client->info().resumed) ++resumed;
        }
    };
    std::vector<std::thread> threads;
    for (unsigned worker : {0U, 1U}) threads.emplace_back(work, worker);
    for (int i = 0; i < 20; ++i) with.reload();
    for (std::thread& each : threads) each.join();
    CHECK(done == 80);
    CHECK(resumed == 78);           // all but the first of each worker
    CHECK(with.stats().full == 0);  // nobody counts them but a handshake on a stream
    CHECK(with.stats().records > 80);
}
