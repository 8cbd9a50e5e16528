#include <ouro/runtime/sync/broadcast.hpp>

#include <string>

namespace ouro {

lagged_error::lagged_error(std::uint64_t missed)
    : std::system_error(errc::lagged, std::to_string(missed) + " values missed"), missed_(missed) {}

}  // namespace ouro
