#include <ouro/kv/redis/pubsub/message.hpp>

#include <ouro/runtime/engine/frame_pool.hpp>

#include <cstring>
#include <new>

namespace ouro::redis {

const char* to_string(message_kind kind) noexcept {
    switch (kind) {
        case message_kind::published: return "published";
        case message_kind::interrupted: return "interrupted";
        case message_kind::resumed: return "resumed";
        case message_kind::dropped: return "dropped";
        case message_kind::ended: return "ended";
    }
    return "unknown";
}

// The pool's free lists make small messages cost no allocation.
message::message(const parts& from) {
    const std::size_t bytes =
        sizeof(head) + from.channel.size() + from.pattern.size() + from.payload.size();
    at_ = ::new (frame_pool::allocate(bytes))
        head{from.count, from.channel.size(), from.pattern.size(), from.payload.size(),
             1,          from.kind,           from.topic};
    char* into = reinterpret_cast<char*>(at_ + 1);
    for (const std::string_view each : {from.channel, from.pattern, from.payload}) {
        if (!each.empty()) std::memcpy(into, each.data(), each.size());
        into += each.size();
    }
}

void message::release() noexcept { frame_pool::release(at_, bytes()); }

}  // namespace ouro::redis
