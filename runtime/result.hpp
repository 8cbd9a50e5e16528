// result.hpp: a value or an error code; how hot paths take failure without an exception.
#pragma once

#include <ouro/runtime/check.hpp>
#include <ouro/runtime/error.hpp>

#include <exception>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace ouro {

/// Why there is no value: a code, and the exception that carried it, if there was one. Its words
/// ("cannot connect to 127.0.0.1:1: Connection refused") are kept with it; a code that never was an
/// exception costs no allocation.
class failure_cause {
public:
    failure_cause() noexcept = default;
    failure_cause(std::error_code code) noexcept
        : category_(code ? &code.category() : nullptr), value_(code.value()) {}
    /// `thrown` is the std::system_error with that code; null when there is none.
    failure_cause(std::error_code code, std::exception_ptr thrown) noexcept : failure_cause(code) {
        thrown_ = std::move(thrown);
    }
    failure_cause(failure_cause&&) noexcept = default;
    failure_cause(const failure_cause&) noexcept = default;
    failure_cause& operator=(const failure_cause&) noexcept = default;
    failure_cause& operator=(failure_cause&&) noexcept = default;

    /// True when there is one.
    explicit operator bool() const noexcept { return category_ != nullptr; }

    std::error_code code() const noexcept {
        return category_ ? std::error_code(value_, *category_) : std::error_code();
    }
    /// What what() of the exception says that `raise` throws; empty when there is none.
    std::string text() const { return category_ ? failure_text(code(), thrown_) : std::string(); }
    /// Throws the exception that there was, or std::system_error(code()).
    [[noreturn]] void raise() const {
        if (thrown_) std::rethrow_exception(thrown_);
        throw_error(code());
    }

private:
    std::exception_ptr thrown_;
    const std::error_category* category_ = nullptr;  // null: there is none
    int value_ = 0;
};

/// Holds a `T` or the failure that explains why there is none.
///
/// `value()` throws std::system_error; `*r` and `error()` assert that the right side is asked.
template <class T>
class [[nodiscard]] result {
public:
    using value_type = T;

    result(T value) : value_(std::move(value)), ok_(true) {}
    result(std::error_code error) noexcept : result(failure_cause(error)) {}
    result(errc error) noexcept : result(make_error_code(error)) {}
    /// Hands on the failure of another result, with its words.
    result(failure_cause why) noexcept : failure_(std::move(why)), ok_(false) {
        OURO_ASSERT(failure_ && "result: made of an error that is none: give it a value");
    }

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

    /// The value. When there is none it throws std::system_error(error()), with the words of the
    /// exception that as_result caught.
    T& value() & {
        if (!ok_) failure_.raise();
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
    std::error_code error() const noexcept { return ok_ ? std::error_code() : failure_.code(); }
    /// What the exception of value() says, for people: "cannot connect to 127.0.0.1:1: Connection
    /// refused". Empty when there is a value.
    std::string error_text() const { return why().text(); }
    /// The error with its words, for another result; an empty one when there is a value.
    failure_cause why() const noexcept { return ok_ ? failure_cause() : failure_; }

private:
    T& checked() noexcept {
        OURO_ASSERT(ok_ && "result: its value is asked for, but it holds an error: test it first");
        return value_;
    }

    template <class Other>
    void construct(Other&& other) {
        if (ok_)
            std::construct_at(std::addressof(value_), std::forward<Other>(other).value_);
        else
            std::construct_at(&failure_, std::forward<Other>(other).failure_);
    }

    void destroy() noexcept {
        if (ok_)
            std::destroy_at(std::addressof(value_));
        else
            std::destroy_at(&failure_);
    }

    union {
        T value_;
        failure_cause failure_;
    };
    bool ok_;
};

/// A reference to what lives elsewhere, or the error.
template <class T>
class [[nodiscard]] result<T&> {
public:
    using value_type = T&;

    result(T& value) noexcept : value_(std::addressof(value)) {}
    result(std::error_code error) noexcept : result(failure_cause(error)) {}
    result(errc error) noexcept : result(make_error_code(error)) {}
    result(failure_cause why) noexcept : failure_(std::move(why)) {
        OURO_ASSERT(failure_ && "result: made of an error that is none: give it a value");
    }

    bool has_value() const noexcept { return value_ != nullptr; }
    explicit operator bool() const noexcept { return value_ != nullptr; }

    T& operator*() const noexcept {
        OURO_ASSERT(value_ != nullptr &&
                    "result: its value is asked for, but it holds an error: test it first");
        return *value_;
    }
    T* operator->() const noexcept { return std::addressof(**this); }

    T& value() const {
        if (!value_) failure_.raise();
        return *value_;
    }
    std::error_code error() const noexcept { return failure_.code(); }
    std::string error_text() const { return failure_.text(); }
    failure_cause why() const noexcept { return failure_; }

private:
    T* value_ = nullptr;
    failure_cause failure_;
};

/// Success without a value, or the error.
template <>
class [[nodiscard]] result<void> {
public:
    using value_type = void;

    result() noexcept = default;
    result(std::error_code error) noexcept : failure_(error) {}
    result(errc error) noexcept : failure_(make_error_code(error)) {}
    result(failure_cause why) noexcept : failure_(std::move(why)) {}

    bool has_value() const noexcept { return !failure_; }
    explicit operator bool() const noexcept { return !failure_; }

    /// Throws std::system_error(error()), with the words that there were, unless it succeeded.
    void value() const {
        if (failure_) failure_.raise();
    }
    std::error_code error() const noexcept { return failure_.code(); }
    std::string error_text() const { return failure_.text(); }
    failure_cause why() const noexcept { return failure_; }

private:
    failure_cause failure_;
};

// They are returned on hot paths.
static_assert(sizeof(failure_cause) == 3 * sizeof(void*));
static_assert(sizeof(result<void>) == sizeof(failure_cause));
static_assert(sizeof(result<std::size_t>) == 4 * sizeof(void*));

}  // namespace ouro
