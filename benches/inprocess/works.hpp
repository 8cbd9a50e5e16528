// works.hpp: the works; each is described where it is defined.
#pragma once

#include "work.hpp"

namespace inprocess {

// tasks.cpp
ouro::task<> spawn_join(stopwatch& watch);
ouro::task<> yield_1(stopwatch& watch);
ouro::task<> yield_1000(stopwatch& watch);
ouro::task<> await_ready(stopwatch& watch);

// sync.cpp
ouro::task<> channel_128(stopwatch& watch);
ouro::task<> channel_1_ping_pong(stopwatch& watch);
ouro::task<> mutex(stopwatch& watch);
ouro::task<> semaphore(stopwatch& watch);
ouro::task<> oneshot(stopwatch& watch);

// time.cpp
ouro::task<> timeout_ready(stopwatch& watch);
ouro::task<> timeout_pending(stopwatch& watch);
ouro::task<> sleeps_100k(stopwatch& watch);
ouro::task<> timers_100k(stopwatch& watch);

// workers.cpp
ouro::task<> cross_worker_ping_pong(stopwatch& watch);
ouro::task<> cross_worker_throughput(stopwatch& watch);
ouro::task<> spawn_anywhere(stopwatch& watch);

}  // namespace inprocess
