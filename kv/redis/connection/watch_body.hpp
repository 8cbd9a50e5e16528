// watch_body.hpp: what with_watch runs between WATCH and EXEC, and what is made of its result.
#pragma once

#include <ouro/kv/redis/connection/connection.hpp>
#include <ouro/kv/redis/connection/transaction.hpp>
#include <ouro/runtime/task.hpp>
#include <ouro/runtime/time/backoff.hpp>

#include <chrono>
#include <cstddef>
#include <type_traits>
#include <utility>

namespace ouro::redis {

/// How often with_watch tries, and how long it waits between.
struct watch_options {
    std::size_t attempts_max = 10;  ///< times that the body runs at most; at least one
    backoff_options wait = {.first = std::chrono::milliseconds(1),
                            .ceiling = std::chrono::milliseconds(100)};
};
static_assert(std::is_trivially_copyable_v<watch_options>);

/// What a body returns: `R` of its task<R>.
template <class Body>
using watch_body_value =
    await_value<std::invoke_result_t<Body&, redis::connection&, redis::transaction&>>;

/// What is made of it: the reply that a handle stands for, and everything else as it is.
template <class T>
struct watch_outcome {
    using type = T;
    static T of(T&& made) { return std::move(made); }
};
template <class T>
struct watch_outcome<handle<T>> {
    using type = T;
    static T of(const handle<T>& made) { return made.get(); }
};
template <>
struct watch_outcome<void> {
    using type = void;
};

}  // namespace ouro::redis
