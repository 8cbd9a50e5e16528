// thrown.hpp: what was thrown, as an error code and in words.
#pragma once

#include <ouro/runtime/result.hpp>

#include <new>
#include <string>
#include <system_error>
#include <utility>

namespace ouro::net {

/// For a `catch (...)`: the code of what was thrown. std::bad_alloc is
/// std::errc::not_enough_memory, and what has no code std::errc::state_not_recoverable.
inline std::error_code thrown_code() noexcept {
    try {
        throw;
    } catch (const std::bad_alloc&) {
        return make_error_code(std::errc::not_enough_memory);
    } catch (const std::system_error& failure) {
        return failure.code();
    } catch (...) {
        return make_error_code(std::errc::state_not_recoverable);
    }
}

/// What a failure of the system says beside its code's message. May throw std::bad_alloc.
inline std::string words_of(const std::system_error& failure) {
    std::string words = failure.what();
    const std::string end = failure.code().message();
    if (words.ends_with(end)) words.resize(words.size() - end.size());
    if (words.ends_with(": ")) words.resize(words.size() - 2);
    return words;
}

/// Calls `act`, which answers something that an error code converts to; what it throws becomes its
/// answer.
template <class Act>
auto guarded(Act act) noexcept -> decltype(act()) {
    try {
        return act();
    } catch (...) {
        return thrown_code();
    }
}

}  // namespace ouro::net
