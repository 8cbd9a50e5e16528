// callers.hpp: many callers that share a connection.
#pragma once

#include "works.hpp"
#include <ouro/runtime/scope.hpp>

namespace kv_load {

/// Whether a caller is to ask again; the one with the number 0 leads.
inline bool goes_on(int caller, meter& watch) {
    return caller == 0 ? watch.goes_on() : !watch.over();
}

/// Runs `caller(client, number, watch)` for each of many numbers at the same time.
template <class Client>
ouro::task<> call_together(ouro::task<> (*caller)(Client&, int, meter&), Client& client,
                           meter& watch) {
    auto all = [&](ouro::scope& tasks) -> ouro::task<> {
        for (int i = 0; i < entries; ++i) tasks.spawn(caller(client, i, watch));
        co_return;
    };
    co_await ouro::with_scope(all);
}

}  // namespace kv_load
