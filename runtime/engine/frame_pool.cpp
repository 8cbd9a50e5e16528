#include <ouro/runtime/engine/frame_pool.hpp>

#include <ouro/runtime/check.hpp>

#if defined(__SANITIZE_ADDRESS__)
#define OURO_POOL_FRAMES 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define OURO_POOL_FRAMES 0
#endif
#endif
#ifndef OURO_POOL_FRAMES
#define OURO_POOL_FRAMES 1
#endif

namespace ouro {
namespace {

/// Per thread, all classes together. Without pooling there is never room, so nothing is kept.
constexpr std::size_t kept_bytes_max = OURO_POOL_FRAMES ? 64 << 20 : 0;

}  // namespace

constinit thread_local frame_pool::thread_state frame_pool::of_thread_{};

struct frame_pool::cleaner {
    ~cleaner() {
        for (free_frame*& head : of_thread_.free) {
            while (free_frame* unused = head) {
                head = unused->next;
                ::operator delete(unused);
            }
        }
        of_thread_.room = 0;  // whatever comes later is not kept
    }
};

void frame_pool::open() noexcept {
    OURO_ASSERT(!of_thread_.opened);
    thread_local cleaner at_thread_end;  // passing here registers it
    of_thread_.opened = true;
    of_thread_.room = kept_bytes_max;
}

void* frame_pool::allocate_from_system(std::size_t size_class) {
    void* const memory = ::operator new(bytes_of(size_class));
    ++of_thread_.from_system;
    ++of_thread_.live;
    if (!of_thread_.opened) open();
    return memory;
}

void frame_pool::release_without_room(void* frame, std::size_t size_class) noexcept {
    if (!of_thread_.opened) {  // all that this thread has came from elsewhere
        open();
        release(frame, bytes_of(size_class));
        return;
    }
    --of_thread_.live;
    ::operator delete(frame);
}

frame_pool_stats frame_pool::stats() noexcept {
    const std::size_t kept = of_thread_.opened ? kept_bytes_max - of_thread_.room : 0;
    return {of_thread_.live, of_thread_.from_system, kept};
}

}  // namespace ouro
