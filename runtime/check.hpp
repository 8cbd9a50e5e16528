// check.hpp: assertions that print the expression and the place.
#pragma once

/// Aborts with the expression, file and line when `expr` is false, and names the running task with
/// the places where it and those above it await. What we do wrong is an assert, what the world does
/// wrong is an error. On in every build unless OURO_NO_ASSERT is defined.
///
/// Where a user can be the reason, the expression ends in a sentence: `&& "object: rule: remedy"`.
#ifdef OURO_NO_ASSERT
#define OURO_ASSERT(...) static_cast<void>(sizeof(static_cast<bool>(__VA_ARGS__)))
#else
#define OURO_ASSERT(...)                                   \
    (static_cast<bool>(__VA_ARGS__) ? static_cast<void>(0) \
                                    : ::ouro::assertion_failed(#__VA_ARGS__, __FILE__, __LINE__))
#endif

namespace ouro {

/// Prints "assertion failed: <expression> (<file>:<line>)" to standard error, below it which task
/// runs here and where, and aborts.
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line) noexcept;

/// Has a failed assertion of this thread print " on <text>", too; null ends that. The text is not
/// copied. How a test says with which seed it runs.
void set_assertion_context(const char* text) noexcept;

}  // namespace ouro
