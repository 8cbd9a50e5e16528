#include <ouro/kv/redis/cluster/watch.hpp>

#include <ouro/kv/redis/cluster/scatter.hpp>
#include <ouro/kv/redis/error.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>

#include <new>

namespace ouro::redis {

cluster_watch::cluster_watch(std::shared_ptr<cluster_core> on, command watch,
                             const watch_options& options)
    : core_(std::move(on)),
      watch_(std::move(watch)),
      attempts_left_(options.attempts_max),
      wait_(options.wait) {
    OURO_ASSERT(options.attempts_max > 0);
    std::optional<std::uint16_t> slot;
    if (!agree_on_slot(watch_.info(), watch_.bytes(), slot))
        throw error(errc::cross_slot, net::fate::unsent, "WATCH", "all keys must be in one slot");
    if (!slot) throw error(errc::null_reply, net::fate::unsent, "WATCH", "no keys");
    set_slot(slot);
    set_repeatable(true);
}

task<> cluster_watch::begin() {
    error_ = {};
    routed_request* self = this;
    co_await core_->deliver(std::span(&self, 1), core_->patience(), true);
    if (error_) throw error(error_, how_far_, "WATCH", words_);
}

void cluster_watch::take(const value& from) {
    if (from.is_error()) fail(code_of(from.text()), from.text(), net::fate::answered);
}

void cluster_watch::fail(std::error_code why, std::string_view words, net::fate how_far) noexcept {
    error_ = why;
    how_far_ = how_far;
    try {
        words_ = words;
    } catch (const std::bad_alloc&) {  // the code says enough
    }
}

bool cluster_watch::may_try_again(const std::exception_ptr& failure, bool executing) {
    if (attempts_left_ <= 1 || current_cancellation() != cancel_reason::none) return false;
    --attempts_left_;
    try {
        std::rethrow_exception(failure);
    } catch (const error& why) {
        moved_ = why.code() != errc::conflict;
        if (!moved_) return true;
        // EXECABORT comes with the words of the command that was refused.
        if (why.how_far() == net::fate::answered)
            return concerns_cluster(code_of(why.words()), why.words());
        // Before EXEC nothing was done.
        return !error_ && (!executing || why.how_far() == net::fate::unsent);
    } catch (const std::exception&) {
        return false;  // the caller's own
    }
}

task<> cluster_watch::rest() {
    if (moved_)
        co_await core_->rest(wait_);
    else
        co_await sleep_for(wait_.next());
}

}  // namespace ouro::redis
