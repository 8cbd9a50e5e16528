// real_reactors.hpp: running a test body on real reactors with options of its own.
#pragma once

#include <ouro/runtime/engine/frame_pool.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/testing/trial.hpp>

#include <cstdlib>
#include <string>
#include <string_view>

namespace ouro::testing {

/// True when OURO_REACTOR=epoll leaves the rings out.
inline bool rings_are_left_out() {
    const char* wish = std::getenv("OURO_REACTOR");
    return wish && std::string_view(wish) == "epoll";
}

/// Runs `body` on a fresh reactor and checks that nothing is left behind.
inline void run_on(const reactor_options& options, task<> (*body)()) {
    if (options.kind == reactor_kind::uring && rings_are_left_out()) return;
    std::string reason;
    const std::uint64_t frames = frame_pool::stats().live;
    auto reactor = make_reactor(options, reason);
    const std::string where = std::string(reactor->name()) + ": " + reason;
    INFO(where);
    const auto report = sim::run_trial(std::move(reactor), body(), {.frames_before = frames});
    CHECK_MESSAGE(sim::complaint(report).empty(), sim::complaint(report));
}

/// On rings that `options` describe, with the best set-up flags and with none.
inline void on_rings(reactor_options options, task<> (*body)()) {
    options.kind = reactor_kind::uring;
    for (const bool plain : {false, true}) {
        options.plain_ring = plain;
        run_on(options, body);
    }
}

inline void on_epoll(reactor_options options, task<> (*body)()) {
    options.kind = reactor_kind::epoll;
    run_on(options, body);
}

inline void on_real(task<> (*body)(), const reactor_options& options = {}) {
    on_rings(options, body);
    on_epoll(options, body);
}

}  // namespace ouro::testing
