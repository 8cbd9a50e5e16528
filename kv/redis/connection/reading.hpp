// reading.hpp: the end of a call: its reply as a `T`, or its failure.
#pragma once

#include <ouro/kv/redis/value.hpp>
#include <ouro/kv/redis/wire/decode.hpp>
#include <ouro/runtime/result.hpp>

#include <system_error>
#include <type_traits>
#include <utility>

namespace ouro::redis {

/// Where a reply is read into.
template <class T>
struct reply_place {
    std::error_code read(const value& from) { return decode(from, made); }
    T take() { return std::move(made); }

    T made = blank<T>::make();
};

/// Any reply will do that is no error.
template <>
struct reply_place<void> {
    std::error_code read(const value&) noexcept { return {}; }
    void take() noexcept {}
};

/// A call of some kind that yields a `T`.
///
/// `Base` sends the command and has what does not depend on `T`: `error_code()` and
/// `throw_if_failed()`, once it has ended; it asks `read` to read a reply that is no error.
template <class Base, class T>
class [[nodiscard, gnu::warn_unused]] reading final : public Base, private reply_place<T> {
public:
    using Base::Base;

    T await_resume() {
        this->throw_if_failed();
        return reply_place<T>::take();
    }
    result<T> await_result() {
        if (const std::error_code failed = this->error_code()) return failed;
        if constexpr (std::is_void_v<T>)
            return {};
        else
            return reply_place<T>::take();
    }

private:
    std::error_code read(const value& from) override { return reply_place<T>::read(from); }
};

}  // namespace ouro::redis
