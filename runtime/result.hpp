// result.hpp: a value or an error code; how hot paths take failure without an exception.
#pragma once

#include <ouro/runtime/check.hpp>
#include <ouro/runtime/error.hpp>

#include <memory>
#include <type_traits>
#include <utility>

namespace ouro {

/// Holds a `T` or the std::error_code that explains why there is none.
///
/// `value()` throws std::system_error; `*r` and `error()` assert that the right side is asked.
template <class T>
class [[nodiscard]] result {
public:
    using value_type = T;

    result(T value) : value_(std::move(value)), ok_(true) {}
    result(std::error_code error) noexcept : error_(error), ok_(false) { OURO_ASSERT(error); }
    result(errc error) noexcept : result(make_error_code(error)) {}

    result(result&& other) noexcept : ok_(other.ok_) { construct(std::move(other)); }
    result(const result& other)
        requires std::is_copy_constructible_v<T>
        : ok_(other.ok_) {
        construct(other);
    }
    result& operator=(result other) noexcept {
        destroy();
        ok_ = other.ok_;
        construct(std::move(other));
        return *this;
    }
    ~result() { destroy(); }

    bool has_value() const noexcept { return ok_; }
    explicit operator bool() const noexcept { return ok_; }

    T& operator*() & noexcept { return checked(); }
    const T& operator*() const& noexcept { return const_cast<result*>(this)->checked(); }
    T&& operator*() && noexcept { return std::move(checked()); }
    T* operator->() noexcept { return std::addressof(checked()); }
    const T* operator->() const noexcept { return std::addressof(**this); }

    /// The value; throws std::system_error(error()) when there is none.
    T& value() & {
        if (!ok_) throw_error(error_);
        return value_;
    }
    const T& value() const& { return const_cast<result*>(this)->value(); }
    T&& value() && { return std::move(value()); }

    template <class U>
    T value_or(U&& other) const& {
        return ok_ ? value_ : static_cast<T>(std::forward<U>(other));
    }
    template <class U>
    T value_or(U&& other) && {
        return ok_ ? std::move(value_) : static_cast<T>(std::forward<U>(other));
    }

    /// The error; a default (zero) code when there is a value.
    std::error_code error() const noexcept { return ok_ ? std::error_code() : error_; }

private:
    T& checked() noexcept {
        OURO_ASSERT(ok_);
        return value_;
    }

    template <class Other>
    void construct(Other&& other) {
        if (ok_)
            std::construct_at(std::addressof(value_), std::forward<Other>(other).value_);
        else
            std::construct_at(&error_, other.error_);
    }

    void destroy() noexcept {
        if (ok_) std::destroy_at(std::addressof(value_));
    }

    union {
        T value_;
        std::error_code error_;
    };
    bool ok_;
};

/// A reference to what lives elsewhere, or the error.
template <class T>
class [[nodiscard]] result<T&> {
public:
    using value_type = T&;

    result(T& value) noexcept : value_(std::addressof(value)) {}
    result(std::error_code error) noexcept : error_(error) { OURO_ASSERT(error); }
    result(errc error) noexcept : error_(error) {}

    bool has_value() const noexcept { return value_ != nullptr; }
    explicit operator bool() const noexcept { return value_ != nullptr; }

    T& operator*() const noexcept {
        OURO_ASSERT(value_ != nullptr);
        return *value_;
    }
    T* operator->() const noexcept { return std::addressof(**this); }

    T& value() const {
        if (!value_) throw_error(error_);
        return *value_;
    }
    std::error_code error() const noexcept { return error_; }

private:
    T* value_ = nullptr;
    std::error_code error_;
};

/// Success without a value, or the error.
template <>
class [[nodiscard]] result<void> {
public:
    using value_type = void;

    result() noexcept = default;
    result(std::error_code error) noexcept : error_(error) {}
    result(errc error) noexcept : error_(error) {}

    bool has_value() const noexcept { return !error_; }
    explicit operator bool() const noexcept { return !error_; }

    /// Throws std::system_error(error()) unless it succeeded.
    void value() const {
        if (error_) throw_error(error_);
    }
    std::error_code error() const noexcept { return error_; }

private:
    std::error_code error_;
};

}  // namespace ouro
