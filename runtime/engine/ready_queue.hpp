// ready_queue.hpp: the frames that can run, first come first served.
#pragma once

#include <ouro/runtime/engine/chain.hpp>

#include <cstddef>

namespace ouro {

/// A singly linked queue of frames; a frame is in it at most once. No allocation, no lock.
class ready_queue {
public:
    bool empty() const noexcept { return head_ == nullptr; }
    std::size_t size() const noexcept { return size_; }

    void push(promise_base& frame) noexcept {
        frame.next_ready = nullptr;
        (head_ ? tail_->next_ready : head_) = &frame;
        tail_ = &frame;
        ++size_;
    }

    promise_base& pop() noexcept {
        OURO_ASSERT(head_ != nullptr);
        promise_base& frame = *head_;
        head_ = frame.next_ready;
        --size_;
        return frame;
    }

    /// Takes the frame at position `index` out of the queue; how simulation shuffles.
    promise_base& pop_at(std::size_t index) noexcept;

    /// Who is next, and who last; there must be somebody.
    promise_base& first() const noexcept { return *head_; }
    promise_base& last() const noexcept { return *tail_; }

    template <class Visitor>
    void for_each(Visitor&& visit) const {
        for (promise_base* at = head_; at; at = at->next_ready) visit(*at);
    }

private:
    promise_base* head_ = nullptr;
    promise_base* tail_ = nullptr;  // valid only while head_ is
    std::size_t size_ = 0;
};

}  // namespace ouro
