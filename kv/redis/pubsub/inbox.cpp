#include <ouro/kv/redis/pubsub/inbox.hpp>

#include <new>

template class ouro::net::inbox<ouro::redis::message>;

namespace ouro::redis {

/// Needs memory only while the last notice is still held by somebody; then it may be told later.
bool inbox::make_notice(std::uint64_t missing, std::optional<message>& into) noexcept {
    if (notice_.has_copies()) {
        try {
            notice_ = message({.kind = message_kind::dropped});
        } catch (const std::bad_alloc&) {
            return false;
        }
    }
    notice_.set_count(missing);
    into = notice_;
    return true;
}

}  // namespace ouro::redis
