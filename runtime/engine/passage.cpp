#include <ouro/runtime/engine/passage.hpp>

#include <ouro/runtime/check.hpp>
#include <ouro/runtime/engine/executor.hpp>

namespace ouro {

void passage::begin(op& operation) noexcept {
    OURO_ASSERT(!operation.in_flight_);
    operation.in_flight_ = true;
    operation.cancel_requested_ = false;
}

bool passage::begin_cancel(op& operation) noexcept {
    OURO_ASSERT(operation.in_flight_);
    if (operation.cancel_requested_) return false;
    operation.cancel_requested_ = true;
    return true;
}

void passage::finish(op& operation, std::int32_t result, std::uint32_t flags) noexcept {
    OURO_ASSERT(operation.in_flight_);
    operation.in_flight_ = false;
    operation.completed(result, flags);
}

buffer_pool& passage::buffers() { return executor::current().io().buffers(); }

bool passage::leave(int, std::unique_ptr<passage>&) noexcept { return false; }

}  // namespace ouro
