#include <ouro/runtime/error.hpp>

#include <ouro/tests/dies.hpp>

#include <doctest/doctest.h>

#include <cerrno>
#include <ostream>
#include <string>

using namespace ouro;

TEST_CASE("errors compare equal to the system's errors of the same meaning") {
    const std::error_code cancelled = errc::cancelled;
    CHECK(cancelled == errc::cancelled);
    CHECK(cancelled == std::errc::operation_canceled);
    CHECK(make_error_code(errc::timed_out) == std::errc::timed_out);
    CHECK(make_error_code(errc::closed) == std::errc::broken_pipe);
    CHECK(make_error_code(errc::deadlock) == std::errc::resource_deadlock_would_occur);
    CHECK(make_error_code(errc::no_buffers) == std::errc::no_buffer_space);
    CHECK(make_error_code(errc::unsupported) == std::errc::operation_not_supported);
    CHECK(make_error_code(errc::bad_address) == std::errc::invalid_argument);
}

TEST_CASE("errors of our own do not compare equal to each other or to the system's") {
    CHECK(make_error_code(errc::cancelled) != make_error_code(errc::timed_out));
    CHECK(make_error_code(errc::end_of_stream) != std::errc::broken_pipe);
    CHECK(make_error_code(errc::lagged) != std::errc::operation_canceled);
}

TEST_CASE("every error has a category and words of its own") {
    std::string all;
    for (int code = 1; code <= static_cast<int>(errc::overloaded); ++code) {
        const std::error_code error(code, category());
        const std::string text = error.message();
        CHECK(text.find("unknown") == std::string::npos);
        CHECK(all.find('|' + text + '|') == std::string::npos);
        all += '|' + text + '|';
    }
    CHECK(std::string(category().name()) == "ouro");
    CHECK(std::error_code(999, category()).message() == "unknown ouro error 999");
}

TEST_CASE("a negative errno becomes an error code, and ECANCELED our own") {
    CHECK(error_of(-ECONNRESET) == std::errc::connection_reset);
    CHECK(error_of(-ECONNRESET).category() == std::system_category());
    CHECK(error_of(-ECANCELED) == errc::cancelled);
    CHECK(asserts("negative_errno < 0", [] { static_cast<void>(error_of(0)); }));
    CHECK(asserts("negative_errno < 0", [] { static_cast<void>(error_of(EPIPE)); }));
}

TEST_CASE("throwing an error throws a system_error with it") {
    std::error_code caught;
    try {
        throw_error(errc::lagged);
    } catch (const std::system_error& error) {
        caught = error.code();
    }
    CHECK(caught == errc::lagged);
}
