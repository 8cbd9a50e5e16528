#include <ouro/runtime/engine/ready_queue.hpp>

namespace ouro {

promise_base& ready_queue::pop_at(std::size_t index) noexcept {
    OURO_ASSERT(index < size_);
    if (index == 0) return pop();
    promise_base* before = head_;
    for (std::size_t i = 1; i < index; ++i) before = before->next_ready;
    promise_base& frame = *before->next_ready;
    before->next_ready = frame.next_ready;
    if (tail_ == &frame) tail_ = before;
    --size_;
    OURO_ASSERT(tail_->next_ready == nullptr && size_ > 0);
    return frame;
}

}  // namespace ouro
