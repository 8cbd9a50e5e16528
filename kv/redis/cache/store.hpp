// store.hpp: replies that are kept near, found by their command and dropped by their key.
//
//   command ──find──> entry ──waiters── who asks for it now
//                      ^  │
//   key ──invalidate───┘  └── reply, once it has landed
//
//  1. An entry is made before its command is sent: an invalidation that arrives before the reply
//     finds it. It is then in nobody's index any more, and what lands is for those who wait for it
//     and for nobody else.
//  2. An entry is in one of two lists: that of those under way, or that of those that are kept, in
//     the order of their last use. Only those that are kept count against the limits.
//  3. Entries are shared. One that is dropped lives on as long as somebody holds it, unchanged.
#pragma once

#include <ouro/kv/redis/value.hpp>
#include <ouro/kv/redis/wire/command.hpp>
#include <ouro/net/session/fate.hpp>
#include <ouro/runtime/clock.hpp>
#include <ouro/runtime/engine/intrusive_list.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/sync/wait_list.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>

namespace ouro::redis {

/// What a cache has seen, counted since it was made.
struct cache_figures {
    std::uint64_t hits = 0;           ///< answered from memory
    std::uint64_t misses = 0;         ///< asked of the server
    std::uint64_t shared = 0;         ///< joined somebody who was asking already
    std::uint64_t invalidations = 0;  ///< entries dropped because the server said so
    std::uint64_t flushes = 0;        ///< times that many were dropped at once, also on disconnect
    std::uint64_t evictions = 0;      ///< entries dropped because there was no room
    std::size_t entries = 0;          ///< kept now
    std::size_t bytes = 0;            ///< of memory that these take, about
};

/// A command, and its reply once there is one.
class cache_entry : public list_hook<cache_entry> {
public:
    /// A part of what is sent.
    struct part {
        std::size_t begin = 0;
        std::size_t size = 0;
    };

    /// `sent` holds the command, in which the key stands, and whatever is sent with it.
    cache_entry(std::string sent, part command, part key) noexcept
        : bytes_(std::move(sent)), command_(command), key_(key) {}
    cache_entry(const cache_entry&) = delete;

    std::string_view sent() const noexcept { return bytes_; }
    std::string_view command() const noexcept { return view(command_); }
    std::string_view key() const noexcept { return view(key_); }

    reply value;
    std::error_code error;  // why there is no reply, or what code an error reply has
    std::string words;      // of an error reply
    net::fate how_far = net::fate::unsent;

    const void* origin = nullptr;  // the connection it was read on
    time_point asked_at;           // it is no older
    time_point expires_at = time_point::max();
    std::optional<join_handle<void>> fetch;  // the task that asks for it
    bool under_way = true;
    wait_list waiters;  // empty unless it is under way

private:
    friend class cached_reply;
    friend class cache_store;

    std::string_view view(part of) const noexcept { return {bytes_.data() + of.begin, of.size}; }

    std::string bytes_;
    part command_;
    part key_;
    std::size_t memory_ = 0;  // when kept
    std::uint32_t holders_ = 0;
    bool indexed_ = false;
};

/// A reply of which several are holders. Nobody changes it, and it stays while one holds it, even
/// when the cache has dropped it. Cheap to copy; worker-local.
class cached_reply {
public:
    /// Empty.
    cached_reply() noexcept = default;
    explicit cached_reply(cache_entry& of) noexcept : entry_(&of) { ++of.holders_; }
    cached_reply(const cached_reply& other) noexcept : entry_(other.entry_) {
        if (entry_) ++entry_->holders_;
    }
    cached_reply(cached_reply&& other) noexcept : entry_(std::exchange(other.entry_, nullptr)) {}
    cached_reply& operator=(cached_reply other) noexcept {
        std::swap(entry_, other.entry_);
        return *this;
    }
    ~cached_reply() {
        if (entry_ && --entry_->holders_ == 0) delete entry_;
    }

    /// Whether it holds a reply at all.
    explicit operator bool() const noexcept { return entry_ != nullptr; }

    /// The reply, valid as long as this holds it; it must not be empty.
    redis::value value() const noexcept { return entry().value.root(); }
    bool is_null() const noexcept { return value().is_null(); }
    /// The text of a string.
    std::string_view text() const noexcept { return value().text(); }

    /// For those who fill it.
    cache_entry& entry() const noexcept {
        OURO_ASSERT(entry_ != nullptr);
        return *entry_;
    }

private:
    cache_entry* entry_ = nullptr;
};

/// The entries of a cache, within limits. Knows no connection. Worker-local; does not move.
class cache_store {
public:
    cache_store(std::size_t entries_max, std::size_t bytes_max) noexcept
        : entries_max_(entries_max), bytes_max_(bytes_max) {}
    cache_store(const cache_store&) = delete;
    ~cache_store();

    /// The entry of a command that reads `key`: one that has not expired by `now` and was asked for
    /// after `oldest`, or is under way. Empty when there is none.
    cached_reply find(std::string_view key, std::string_view command, time_point now,
                      time_point oldest) noexcept;
    /// The same, and nothing is counted as used.
    cached_reply peek(std::string_view key, std::string_view command,
                      time_point now) const noexcept;

    /// Takes in an entry that is about to be asked for, in place of one with the same command. One
    /// that will not be kept cannot be found, and is only remembered as being under way.
    void begin(cache_entry& of, bool can_be_found);
    /// Its reply or error has come. Those who wait go on; with `keep`, it can be found further on.
    void land(cache_entry& of, bool keep) noexcept;
    /// Whether nothing has happened to it since it began.
    static bool is_fresh(const cache_entry& of) noexcept { return of.indexed_; }

    /// Drops what is known of a key. Returns how many entries that were.
    std::size_t drop_key(std::string_view key) noexcept;
    /// Drops everything.
    void drop_all() noexcept;
    /// Drops what was read on one connection and is kept.
    void drop_origin(const void* origin) noexcept;

    /// Calls `visit(cache_entry&)` for those under way.
    template <class Visitor>
    void for_each_under_way(Visitor visit) {
        under_way_.for_each(visit);
    }

    std::size_t size() const noexcept { return size_; }
    std::size_t bytes() const noexcept { return bytes_; }
    std::uint64_t evictions() const noexcept { return evictions_; }

private:
    using index = std::unordered_multimap<std::string_view, cached_reply>;

    index::const_iterator locate(std::string_view key, std::string_view command) const noexcept;
    /// Takes it out of the index, and out of what is kept.
    void drop(index::const_iterator at) noexcept;
    void drop(cache_entry& of) noexcept;
    void evict() noexcept;

    const std::size_t entries_max_;
    const std::size_t bytes_max_;
    index index_;  // by the entries' own keys; the last holder of one that nobody asked for
    intrusive_list<cache_entry, cache_entry> under_way_;
    intrusive_list<cache_entry, cache_entry> kept_;  // the one used last is at the end
    std::size_t size_ = 0;                           // of kept_
    std::size_t bytes_ = 0;
    std::uint64_t evictions_ = 0;
};

}  // namespace ouro::redis
