// beside_others.hpp: a client that one uses who may be cancelled, and another who must not notice.
#pragma once

#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/task.hpp>
#include <ouro/runtime/timeout.hpp>
#include <ouro/tests/work.hpp>

#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

namespace ouro::testing {

/// Stores a value and reads it three times.
template <class Client>
task<> ask_for(Client& of, std::string key) {
    co_await of.set(key, key + "'s");
    for (int i = 0; i < 3; ++i) {
        const std::optional<std::string> got = co_await of.get(key);
        expect(got == key + "'s", "another's value");
    }
}

/// Cancels a part while another asks of the same client, does all of it once more, and closes.
template <class Client>
task<> beside_others(Client& of, task<> (*make)(Client&)) {
    auto other = spawn(ask_for<Client>(of, "theirs"));
    auto mine = make(of);
    result<void> done;
    std::exception_ptr wrong;
    try {
        done = co_await as_result(std::move(mine));
    } catch (...) {
        wrong = std::current_exception();
    }
    co_await shield(other);
    if (wrong) std::rethrow_exception(wrong);
    auto again = make(of);
    co_await shield(std::move(again));
    auto closing = of.close();
    co_await shield(std::move(closing));
    if (!done && done.error() != errc::cancelled)
        throw std::logic_error("another error: " + done.error().message());
}

}  // namespace ouro::testing
