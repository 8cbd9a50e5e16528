#include <ouro/runtime/engine/frame_pool.hpp>

#include <ouro/runtime/task.hpp>
#include <ouro/runtime/testing/doctest.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <thread>
#include <vector>

using namespace ouro;

namespace {

/// False under AddressSanitizer, where every frame comes from the system.
bool pools() {
    frame_pool::release(frame_pool::allocate(64), 64);
    return frame_pool::stats().cached_bytes > 0;
}

struct block {
    void* memory;
    std::size_t size;
};

/// Blocks of every size up to `limit`, each filled to its last byte.
std::vector<block> take_all_sizes(std::size_t limit) {
    std::vector<block> blocks;
    for (std::size_t size = 1; size <= limit; size += size < 200 ? 1 : 61) {
        void* memory = frame_pool::allocate(size);
        std::memset(memory, static_cast<int>(size % 251), size);
        blocks.push_back({memory, size});
    }
    return blocks;
}

bool whole(const block& each) {
    const auto* bytes = static_cast<const unsigned char*>(each.memory);
    const auto expected = static_cast<unsigned char>(each.size % 251);
    return std::all_of(bytes, bytes + each.size, [&](unsigned char b) { return b == expected; });
}

void give_back(std::vector<block>& blocks) {
    for (const block& each : blocks) frame_pool::release(each.memory, each.size);
    blocks.clear();
}

task<int> large_frame() {
    std::array<int, 4096> numbers;  // 16 KiB: above the largest class
    std::fill(numbers.begin(), numbers.end(), 1);
    co_await std::suspend_never();
    co_return static_cast<int>(std::count(numbers.begin(), numbers.end(), 1));
}

}  // namespace

TEST_CASE("blocks of all sizes are whole, apart and aligned") {
    for (int round = 0; round < 2; ++round) {  // from the system, then from the lists
        auto blocks = take_all_sizes(6000);
        for (const block& each : blocks) {
            CHECK(whole(each));
            CHECK(reinterpret_cast<std::uintptr_t>(each.memory) % 16 == 0);
        }
        give_back(blocks);
    }
}

TEST_CASE("a block that came back is handed out again, to its class only") {
    if (!pools()) return;
    void* const first = frame_pool::allocate(100);
    frame_pool::release(first, 100);
    void* const larger = frame_pool::allocate(121);
    CHECK(larger != first);
    void* const smaller = frame_pool::allocate(88);
    CHECK(smaller != first);
    void* const same = frame_pool::allocate(120);  // 89 to 120 bytes are one class
    CHECK(same == first);
    frame_pool::release(same, 120);
    frame_pool::release(smaller, 88);
    frame_pool::release(larger, 121);
}

TEST_CASE("the figures count frames, questions to the system and kept bytes") {
    const auto before = frame_pool::stats();
    void* const first = frame_pool::allocate(4096);
    void* const second = frame_pool::allocate(4096);
    CHECK(frame_pool::stats().live - before.live == 2);
    frame_pool::release(first, 4096);
    frame_pool::release(second, 4096);
    CHECK(frame_pool::stats().live == before.live);
    if (!pools()) return;
    const auto kept = frame_pool::stats();
    void* const again = frame_pool::allocate(4090);
    CHECK(frame_pool::stats().from_system == kept.from_system);
    CHECK(kept.cached_bytes - frame_pool::stats().cached_bytes == 4120);  // its class
    frame_pool::release(again, 4090);
}

TEST_CASE("what is larger than the largest class goes back to the system") {
    const auto before = frame_pool::stats();
    void* const large = frame_pool::allocate(4121);
    CHECK(frame_pool::stats().from_system == before.from_system + 1);
    frame_pool::release(large, 4121);
    CHECK(frame_pool::stats().cached_bytes == before.cached_bytes);
}

TEST_CASE("what is kept has a limit") {
    if (!pools()) return;
    constexpr std::size_t limit = 64 << 20;
    std::thread([&] {
        std::vector<void*> blocks(2 * limit / 4096);
        for (void*& each : blocks) each = frame_pool::allocate(4096);
        for (void* each : blocks) frame_pool::release(each, 4096);
        CHECK(frame_pool::stats().cached_bytes >= limit / 2);
        CHECK(frame_pool::stats().cached_bytes <= limit);
        CHECK(frame_pool::stats().live == 0);
    }).join();
}

TEST_CASE("a frame may be returned on another thread, which then keeps it until its end") {
    const auto before = frame_pool::stats();
    auto blocks = take_all_sizes(4096);
    const std::uint64_t count = blocks.size();
    std::thread([&] {
        give_back(blocks);
        CHECK(frame_pool::stats().live + count == 0);
        if (frame_pool::stats().cached_bytes == 0) return;  // AddressSanitizer
        CHECK(frame_pool::stats().from_system == 0);
        void* const reused = frame_pool::allocate(100);
        CHECK(frame_pool::stats().from_system == 0);
        frame_pool::release(reused, 100);
    }).join();  // the leak checker looks at what it kept
    CHECK(frame_pool::stats().live - before.live == count);
    // The sum over the threads is right; make up for it here.
    std::thread([&] { blocks = take_all_sizes(4096); }).join();
    give_back(blocks);
    CHECK(frame_pool::stats().live == before.live);
}

TEST_CASE("frames that outlive the thread's lists go to the system") {
    struct late {
        void* memory = nullptr;
        ~late() { frame_pool::release(memory, 256); }  // after the lists were emptied
    };
    std::thread([] {
        static thread_local late last;  // made first, destroyed last
        last.memory = nullptr;
        last.memory = frame_pool::allocate(256);
    }).join();
}

OURO_TEST("a frame above 4 KiB works") {
    const int ones = co_await large_frame();
    CHECK(ones == 4096);
}
