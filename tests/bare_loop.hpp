// bare_loop.hpp: a loop with nothing around it, which its test turns by hand.
#pragma once

#include <ouro/runtime/executor.hpp>
#include <ouro/runtime/io/reactor.hpp>
#include <ouro/runtime/spawn.hpp>

#include <utility>

namespace ouro {

/// An executor on epoll.
struct bare_loop : executor {
    explicit bare_loop(turn_limits limits = {}) : executor(make_epoll_reactor({}), 0, limits) {}

    /// Turns until the task has ended; returns its value or throws its exception.
    template <class T>
    T run(task<T> body) {
        auto handle = spawn(std::move(body));
        while (!handle.finished()) turn();
        return handle.operator co_await().await_resume();
    }

    /// Turns until no task is left.
    void run_out() {
        while (tasks().alive() > 0) turn();
    }
};

}  // namespace ouro
