// bare_loop.hpp: a loop with nothing around it, which its test turns by hand.
#pragma once

#include <ouro/runtime/engine/executor.hpp>
#include <ouro/runtime/engine/reactor.hpp>
#include <ouro/runtime/spawn.hpp>

#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

namespace ouro {

inline std::unique_ptr<reactor> bare_reactor(reactor_kind kind) {
    std::string reason;
    return make_reactor({.kind = kind, .entries = 64}, reason);
}

/// An executor on epoll, or on another reactor.
struct bare_loop : executor {
    explicit bare_loop(turn_limits limits = {}, reactor_kind kind = reactor_kind::epoll)
        : executor(bare_reactor(kind), 0, limits) {}

    /// Turns until the task has ended; returns its value or throws its exception.
    template <class T>
    T run(task<T> body) {
        join_handle<T> handle(
            start_root(std::move(body), nullptr, nullptr, std::source_location::current()));
        while (!handle.finished()) turn();
        return handle.operator co_await().await_resume();
    }

    /// One turn without sleeping.
    void glance() {
        wake();
        turn();
    }

    /// Turns until no task is left.
    void run_out() {
        while (tasks().alive() > 0) turn();
    }
};

/// Calls `f` with each kind of real reactor; OURO_REACTOR=epoll leaves the ring out.
template <class F>
void on_real_reactors(F f) {
    f(reactor_kind::epoll);
    const char* wish = std::getenv("OURO_REACTOR");
    if (!wish || std::string_view(wish) != "epoll") f(reactor_kind::uring);
}

}  // namespace ouro
