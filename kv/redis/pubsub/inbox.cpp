#include <ouro/kv/redis/pubsub/inbox.hpp>

#include <algorithm>
#include <new>
#include <utility>

namespace ouro::redis {
namespace {

constexpr std::size_t first_slots = 8;

}  // namespace

void inbox::put(const message& one) noexcept {
    if (ended_) return;
    if (!waiters_.empty()) {
        waiters_.front<next_op>().got_ = one;
        waiters_.wake_one();
        return;
    }
    try {
        keep(one);
    } catch (const std::bad_alloc&) {
        miss();
        return;
    }
    if (options_.when_full != slow_policy::drop_oldest) return;
    // The newest stays, however large it is.
    while (size_ > 1 && (size_ > options_.messages_max || bytes_ > options_.bytes_max))
        drop_oldest();
}

void inbox::end() noexcept {
    ended_ = true;
    while (size_ > 0) pop();
    kept_.clear();
    untold_ = 0;
    taken();
    waiters_.wake_all();
}

bool inbox::take(std::optional<message>& into) noexcept {
    if (untold_ > 0 && tell_dropped(into)) return true;
    if (!kept_.empty()) {
        into = std::move(kept_.front());
        kept_.erase(kept_.begin());
    } else if (size_ > 0) {
        into = pop();
    } else {
        return ended_;
    }
    taken();
    return true;
}

void inbox::keep(const message& one) {
    if (size_ == slots_.size()) {
        std::vector<message> more(std::max(first_slots, 2 * slots_.size()));
        for (std::size_t at = 0; at < size_; ++at)
            more[at] = std::move(slots_[(first_ + at) & (slots_.size() - 1)]);
        slots_ = std::move(more);
        first_ = 0;
    }
    slots_[(first_ + size_++) & (slots_.size() - 1)] = one;
    bytes_ += one.bytes();
}

message inbox::pop() noexcept {
    message oldest = std::move(slots_[first_]);
    first_ = (first_ + 1) & (slots_.size() - 1);
    --size_;
    bytes_ -= oldest.bytes();
    return oldest;
}

void inbox::drop_oldest() noexcept {
    message oldest = pop();
    if (oldest.kind() == message_kind::ended) {
        try {
            kept_.push_back(std::move(oldest));
            return;
        } catch (const std::bad_alloc&) {  // then it is lost, and counted
        }
    }
    miss();
}

void inbox::miss() noexcept {
    ++untold_;
    ++dropped_;
    if (!waiters_.empty() && tell_dropped(waiters_.front<next_op>().got_)) waiters_.wake_one();
}

/// Needs memory only while the last notice is still held by somebody; then it may be told later.
bool inbox::tell_dropped(std::optional<message>& into) noexcept {
    if (notice_.has_copies()) {
        try {
            notice_ = message({.kind = message_kind::dropped});
        } catch (const std::bad_alloc&) {
            return false;
        }
    }
    notice_.set_count(std::exchange(untold_, 0));
    into = notice_;
    return true;
}

}  // namespace ouro::redis
