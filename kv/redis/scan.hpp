// scan.hpp: walks through all keys, fields or members, page by page.
//
//     auto keys = redis::scan(db, {.match = "user:*"});
//     while (auto key = co_await keys.next()) use(*key);
//
// Redis promises: what is there from the beginning to the end of the walk comes at least once; it
// may come twice; what comes or goes meanwhile may or may not be seen. A walk may be left at any
// time. In a cluster it is a walk through the node that the door asks.
#pragma once

#include <ouro/kv/redis/commands/arguments.hpp>
#include <ouro/kv/redis/commands/sorted_set_types.hpp>
#include <ouro/runtime/generator.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace ouro::redis {

/// A walk in progress: what page_options refers to, kept.
struct scan_state {
    scan_state(std::string_view key, const page_options& options)
        : key(key), match(options.match), type(options.type), count(options.count) {}

    page_options page() const noexcept { return {match, count, type}; }

    std::string key;
    std::string match;
    std::string type;
    std::int64_t count;
    std::string cursor = "0";
};

// The walks themselves; a generator begins with its first next(), so it owns what it needs.

template <class Door>
async_generator<std::string> walk_keys(Door& door, scan_state at) {
    const page_options page = at.page();
    do {
        auto step = co_await door.scan_step(at.cursor, page);
        at.cursor = std::move(step.next);
        for (std::string& key : step.found) co_yield std::move(key);
    } while (at.cursor != "0");
}

template <class Door>
async_generator<std::pair<std::string, std::string>> walk_fields(Door& door, scan_state at) {
    const page_options page = at.page();
    do {
        auto step = co_await door.hscan_step(at.key, at.cursor, page);
        at.cursor = std::move(step.next);
        for (auto& field : step.found) co_yield std::move(field);
    } while (at.cursor != "0");
}

template <class Door>
async_generator<std::string> walk_members(Door& door, scan_state at) {
    const page_options page = at.page();
    do {
        auto step = co_await door.sscan_step(at.key, at.cursor, page);
        at.cursor = std::move(step.next);
        for (std::string& member : step.found) co_yield std::move(member);
    } while (at.cursor != "0");
}

template <class Door>
async_generator<scored_member> walk_scored(Door& door, scan_state at) {
    const page_options page = at.page();
    do {
        auto step = co_await door.zscan_step(at.key, at.cursor, page);
        at.cursor = std::move(step.next);
        for (scored_member& member : step.found) co_yield std::move(member);
    } while (at.cursor != "0");
}

/// All keys of the database. `door` must outlive the walk; the texts are copied.
template <class Door>
async_generator<std::string> scan(Door& door, const page_options& options = {}) {
    return walk_keys(door, scan_state("", options));
}
/// All fields of a hash, with their values.
template <class Door>
async_generator<std::pair<std::string, std::string>> hscan(Door& door, std::string_view key,
                                                           const page_options& options = {}) {
    return walk_fields(door, scan_state(key, options));
}
/// All members of a set.
template <class Door>
async_generator<std::string> sscan(Door& door, std::string_view key,
                                   const page_options& options = {}) {
    return walk_members(door, scan_state(key, options));
}
/// All members of a sorted set, with their scores, in no order.
template <class Door>
async_generator<scored_member> zscan(Door& door, std::string_view key,
                                     const page_options& options = {}) {
    return walk_scored(door, scan_state(key, options));
}

}  // namespace ouro::redis
