// or_close.hpp: connecting that leaves nothing behind when it fails.
#pragma once

#include <ouro/runtime/task.hpp>
#include <ouro/runtime/timeout.hpp>

#include <exception>
#include <utility>

namespace ouro::redis {

/// Awaits `opening`. When it throws, whatever it began is closed first, by `close()`, and awaited
/// to its end: what the options point to (credentials, names) is then the caller's again.
template <class Close>
task<> or_close(task<> opening, Close close) {
    std::exception_ptr failure;
    try {
        co_await std::move(opening);
    } catch (...) {
        failure = std::current_exception();
    }
    if (!failure) co_return;
    co_await shield(close());
    std::rethrow_exception(failure);
}

}  // namespace ouro::redis
