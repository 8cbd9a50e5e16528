#include <ouro/runtime/error.hpp>

#include <ouro/runtime/check.hpp>

#include <cerrno>
#include <string>

namespace ouro {
namespace {

class ouro_category final : public std::error_category {
public:
    const char* name() const noexcept override { return "ouro"; }

    std::string message(int code) const override {
        switch (static_cast<errc>(code)) {
            case errc::cancelled: return "cancelled";
            case errc::timed_out: return "timed out";
            case errc::closed: return "closed by the other side";
            case errc::end_of_stream: return "the stream ended too early";
            case errc::limit_exceeded: return "limit exceeded";
            case errc::lagged: return "receiver was overtaken";
            case errc::deadlock: return "deadlock: nothing can ever wake";
            case errc::no_buffers: return "too many leased receive buffers";
            case errc::unsupported: return "not supported by this reactor";
            case errc::bad_address: return "not a valid address";
            case errc::host_not_found: return "host not found";
            case errc::overloaded: return "queue is full";
            case errc::no_thread: return "no thread can be had";
        }
        return "unknown ouro error " + std::to_string(code);
    }

    std::error_condition default_error_condition(int code) const noexcept override {
        switch (static_cast<errc>(code)) {
            case errc::cancelled: return std::errc::operation_canceled;
            case errc::timed_out: return std::errc::timed_out;
            case errc::closed: return std::errc::broken_pipe;
            case errc::deadlock: return std::errc::resource_deadlock_would_occur;
            case errc::no_buffers: return std::errc::no_buffer_space;
            case errc::unsupported: return std::errc::operation_not_supported;
            case errc::bad_address: return std::errc::invalid_argument;
            default: return {code, *this};
        }
    }
};

}  // namespace

const std::error_category& category() noexcept {
    static const ouro_category instance;
    return instance;
}

std::error_code error_of(int negative_errno) noexcept {
    OURO_ASSERT(negative_errno < 0);
    if (negative_errno == -ECANCELED) return errc::cancelled;
    return {-negative_errno, std::system_category()};
}

std::string failure_text(std::error_code code, const std::exception_ptr& thrown) {
    if (!thrown) return code.message();
    try {
        std::rethrow_exception(thrown);
    } catch (const std::exception& error) {
        return error.what();
    } catch (...) {
        return code.message();
    }
}

void throw_error(std::error_code code) { throw std::system_error(code); }

}  // namespace ouro
