// real.hpp: tests against real servers: their bodies are coroutines on the machine's own reactors.
//
//   OURO_TEST_REAL("a value comes back as it was set") {
//       redis_server& server = shared_server();
//       …
//       co_await …;
//   }
//
// The body runs on uring, on uring without set-up flags, and on epoll, each time with a runtime of
// its own, and everything counted must return to zero. Not in simulation: no server is there.
#pragma once

#include <ouro/runtime/testing/doctest.hpp>

#define OURO_TEST_REAL(sentence) \
    OURO_TEST_NAMED(DOCTEST_ANONYMOUS(ouro_test_), sentence, ::ouro::doctest_on_real)

namespace ouro {

inline void doctest_on_real(sim::test_body body) {
    for (const sim::test_setting& setting : sim::real_settings()) doctest_in(setting, body);
}

}  // namespace ouro
