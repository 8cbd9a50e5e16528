// error.hpp: the errors that ouro itself reports; those of the system stay std::errc.
#pragma once

#include <exception>
#include <string>
#include <system_error>

namespace ouro {

/// Errors of the runtime. They compare equal to the std::errc of the same meaning where there is
/// one, so `code == std::errc::timed_out` holds for `errc::timed_out`.
enum class errc {
    cancelled = 1,   ///< the awaiting chain was asked to stop (std::errc::operation_canceled)
    timed_out,       ///< a timeout or deadline passed (std::errc::timed_out)
    closed,          ///< the other side of a channel or queue is gone (std::errc::broken_pipe)
    end_of_stream,   ///< the stream ended before what was asked for
    limit_exceeded,  ///< a line, message or queue is longer than its limit
    lagged,          ///< a broadcast receiver was overtaken
    deadlock,        ///< nothing is ready and nothing can ever wake
    no_buffers,      ///< the quota of leased receive buffers is used up
    unsupported,     ///< the chosen reactor cannot do this
    bad_address,     ///< an address that cannot be parsed
    host_not_found,  ///< a name that does not resolve
    overloaded,      ///< a bounded queue refused more work
    no_thread,       ///< a blocking call found no helper thread, and none can be started
};

/// The category of `errc`; its name is "ouro".
const std::error_category& category() noexcept;

inline std::error_code make_error_code(errc code) noexcept {
    return {static_cast<int>(code), category()};
}

/// Turns the result of a system call or completion (`-errno`) into an error code.
/// `-ECANCELED` becomes `errc::cancelled`.
std::error_code error_of(int negative_errno) noexcept;

/// What `thrown` says; without one, what std::system_error(code) would.
std::string failure_text(std::error_code code, const std::exception_ptr& thrown);

/// Throws std::system_error(code).
[[noreturn]] void throw_error(std::error_code code);

}  // namespace ouro

template <>
struct std::is_error_code_enum<ouro::errc> : std::true_type {};
