#include <ouro/kv/redis/cache/store.hpp>

#include <ouro/runtime/check.hpp>

namespace ouro::redis {
namespace {

// What an entry takes besides its command and its reply: itself, and its place in the index.
constexpr std::size_t overhead = sizeof(cache_entry) + 80;

// The depth of a reply is limited by the parser.
std::size_t memory_of(const value& what) noexcept {
    std::size_t all = sizeof(node) + (what.has_text() ? what.text().size() : 0);
    for (const value each : what) all += memory_of(each);
    return all;
}

}  // namespace

cache_store::~cache_store() {
    drop_all();
    OURO_ASSERT(under_way_.empty() && "the cache goes when nothing is under way any more");
}

cache_store::index::const_iterator cache_store::locate(std::string_view key,
                                                       std::string_view command) const noexcept {
    auto [at, end] = index_.equal_range(key);
    while (at != end && at->second.entry().command() != command) ++at;
    return at == end ? index_.end() : at;
}

cached_reply cache_store::find(std::string_view key, std::string_view command, time_point now,
                               time_point oldest) noexcept {
    const auto at = locate(key, command);
    if (at == index_.end()) return {};
    cache_entry& found = at->second.entry();
    if (found.under_way) return cached_reply(found);
    if (found.expires_at <= now || found.asked_at < oldest) {
        if (found.expires_at <= now) drop(at);  // nobody wants it any more
        return {};
    }
    static_cast<list_hook<cache_entry>&>(found).unlink();
    kept_.push_back(found);
    return cached_reply(found);
}

cached_reply cache_store::peek(std::string_view key, std::string_view command,
                               time_point now) const noexcept {
    const auto at = locate(key, command);
    if (at == index_.end()) return {};
    const cache_entry& found = at->second.entry();
    if (found.under_way || found.expires_at <= now) return {};
    return at->second;
}

void cache_store::begin(cache_entry& of, bool can_be_found) {
    OURO_ASSERT(of.under_way && !of.indexed_);
    if (can_be_found) {
        const auto before = locate(of.key(), of.command());
        if (before != index_.end()) drop(before);
        index_.emplace(of.key(), cached_reply(of));
        of.indexed_ = true;
    }
    under_way_.push_back(of);
}

void cache_store::land(cache_entry& of, bool keep) noexcept {
    OURO_ASSERT(of.under_way);
    const cached_reply held(of);
    of.under_way = false;
    of.unlink();
    of.waiters.wake_all();
    OURO_ASSERT(of.memory_ == 0 && "a reply lands once");
    if (!of.indexed_) return;
    of.memory_ = overhead + of.sent().size() + memory_of(of.value);
    kept_.push_back(of);
    ++size_;
    bytes_ += of.memory_;
    if (keep && of.memory_ <= bytes_max_)  // else it would drive out everything for nothing
        evict();
    else
        drop(of);
}

void cache_store::evict() noexcept {
    while (size_ > entries_max_ || bytes_ > bytes_max_) {
        ++evictions_;
        drop(kept_.front());
    }
}

std::size_t cache_store::drop_key(std::string_view key) noexcept {
    std::size_t dropped = 0;
    for (auto at = index_.find(key); at != index_.end(); at = index_.find(key)) {
        drop(at);
        ++dropped;
    }
    return dropped;
}

void cache_store::drop_all() noexcept {
    while (!index_.empty()) drop(index_.begin());
}

void cache_store::drop_origin(const void* origin) noexcept {
    kept_.for_each([&](cache_entry& each) {
        if (each.origin == origin) drop(each);
    });
}

void cache_store::drop(cache_entry& of) noexcept { drop(locate(of.key(), of.command())); }

void cache_store::drop(index::const_iterator at) noexcept {
    OURO_ASSERT(at != index_.end());
    cache_entry& of = at->second.entry();
    OURO_ASSERT(of.indexed_);
    of.indexed_ = false;
    if (!of.under_way) {
        OURO_ASSERT(size_ > 0 && of.memory_ <= bytes_);
        of.unlink();
        --size_;
        bytes_ -= of.memory_;
    }
    const cached_reply held = at->second;  // its key must outlive its place in the index
    index_.erase(at);
}

}  // namespace ouro::redis
