// server.hpp: a server's data as a whole, its configuration, and how it fares.
#pragma once

#include <ouro/kv/redis/commands/arguments.hpp>
#include <ouro/kv/redis/commands/scripting.hpp>
#include <ouro/kv/redis/commands/server_types.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace ouro::redis {

/// The server commands of a door: about the server that answers, not about a whole cluster. Those
/// that end or take over the connection (SHUTDOWN, SYNC, MONITOR) are not here.
template <class Door>
class server_commands {
public:
    /// BGREWRITEAOF: starts it; what the server says.
    auto bgrewriteaof() { return door().template run<std::string>(verb::bgrewriteaof); }
    /// BGSAVE: starts a snapshot, with `schedule` after what else is being written.
    auto bgsave(bool schedule = false) {
        arg_list list;
        if (schedule) list.add("SCHEDULE");
        return door().template run<std::string>(verb::bgsave, list);
    }
    /// COMMAND COUNT: how many commands the server has.
    auto command_count() { return door().template run<std::int64_t>(verb::command_count); }
    /// COMMAND DOCS: of these commands, as it comes.
    template <class T = reply>
    auto command_docs(const words& names) {
        return door().template run<T>(verb::command_docs, names.args());
    }
    /// COMMAND GETKEYS: the keys of a whole command.
    auto command_getkeys(const words& whole) {
        return door().template run<std::vector<std::string>>(verb::command_getkeys, whole.args());
    }
    /// COMMAND GETKEYSANDFLAGS: and what is done to each.
    auto command_getkeysandflags(const words& whole) {
        using found = std::vector<std::pair<std::string, std::vector<std::string>>>;
        return door().template run<found>(verb::command_getkeysandflags, whole.args());
    }
    /// COMMAND INFO: of these commands, as it comes.
    template <class T = reply>
    auto command_info_of(const words& names) {
        return door().template run<T>(verb::command_info, names.args());
    }
    /// COMMAND LIST: the names of all commands.
    auto command_list() {
        return door().template run<std::vector<std::string>>(verb::command_list);
    }
    /// CONFIG GET: settings whose names match one of the patterns.
    template <class T = std::unordered_map<std::string, std::string>>
    auto config_get(const words& patterns) {
        return door().template run<T>(verb::config_get, patterns.args());
    }
    /// CONFIG RESETSTAT: figures begin at zero again.
    auto config_resetstat() { return door().template run<void>(verb::config_resetstat); }
    /// CONFIG REWRITE: writes the settings to the file the server was started with.
    auto config_rewrite() { return door().template run<void>(verb::config_rewrite); }
    /// CONFIG SET: all of them or none.
    auto config_set(const pairs& settings) {
        return door().template run<void>(verb::config_set, settings.args());
    }
    /// DBSIZE: how many keys the database has.
    auto dbsize() { return door().template run<std::int64_t>(verb::dbsize); }
    /// FAILOVER: this master and a replica change places.
    auto failover(const failover_options& options = {}) {
        arg_list list;
        if (!options.host.empty()) list.add("TO", options.host, options.port);
        if (!options.host.empty() && options.force) list.add("FORCE");
        if (options.timeout.count() > 0) list.add("TIMEOUT", options.timeout.count());
        return door().template run<void>(verb::failover, list);
    }
    /// FAILOVER ABORT: one that has not ended.
    auto failover_abort() { return door().template run<void>(verb::failover, {"ABORT"}); }
    /// FLUSHALL: removes all keys of all databases.
    auto flushall(flush_mode mode = flush_mode::server) {
        arg_list list;
        add_flush(list, mode);
        return door().template run<void>(verb::flushall, list);
    }
    /// FLUSHDB: removes all keys of the database.
    auto flushdb(flush_mode mode = flush_mode::server) {
        arg_list list;
        add_flush(list, mode);
        return door().template run<void>(verb::flushdb, list);
    }
    /// INFO: figures of these sections, as text: "# Server\r\nredis_version:7.0.15\r\n…".
    auto info(const words& sections = {}) {
        return door().template run<std::string>(verb::info, sections.args());
    }
    /// LASTSAVE: when the last snapshot was made.
    auto lastsave() { return door().template run<wall_time>(verb::lastsave); }
    /// LATENCY DOCTOR: a report for people.
    auto latency_doctor() { return door().template run<std::string>(verb::latency_doctor); }
    /// LATENCY GRAPH: a picture for people.
    auto latency_graph(std::string_view event) {
        return door().template run<std::string>(verb::latency_graph, {event});
    }
    /// LATENCY HISTOGRAM: of these commands, of all when none is named; as it comes.
    template <class T = reply>
    auto latency_histogram(const words& commands = {}) {
        return door().template run<T>(verb::latency_histogram, commands.args());
    }
    /// LATENCY HISTORY: when such an event took how long.
    auto latency_history(std::string_view event) {
        return door().template run<std::vector<latency_sample>>(verb::latency_history, {event});
    }
    /// LATENCY LATEST: the last and the worst one of each event.
    auto latency_latest() {
        return door().template run<std::vector<latency_event>>(verb::latency_latest);
    }
    /// LATENCY RESET: of these events, of all when none is named; how many.
    auto latency_reset(const words& events = {}) {
        return door().template run<std::int64_t>(verb::latency_reset, events.args());
    }
    /// LOLWUT: a picture, and the server's version.
    auto lolwut() { return door().template run<std::string>(verb::lolwut); }
    /// MEMORY DOCTOR: a report for people.
    auto memory_doctor() { return door().template run<std::string>(verb::memory_doctor); }
    /// MEMORY MALLOC-STATS: the allocator's own figures, as text.
    auto memory_malloc_stats() {
        return door().template run<std::string>(verb::memory_malloc_stats);
    }
    /// MEMORY PURGE: gives unused memory back to the system.
    auto memory_purge() { return door().template run<void>(verb::memory_purge); }
    /// MEMORY STATS: as it comes.
    template <class T = reply>
    auto memory_stats() {
        return door().template run<T>(verb::memory_stats);
    }
    /// MEMORY USAGE: bytes that a key takes, about: from `samples` of its elements, 0: all; empty
    /// when there is no such key.
    auto memory_usage(std::string_view key, std::int64_t samples = 5) {
        return door().template run<std::optional<std::int64_t>>(verb::memory_usage,
                                                                {key, "SAMPLES", samples});
    }
    /// MODULE LIST: as it comes.
    template <class T = reply>
    auto module_list() {
        return door().template run<T>(verb::module_list);
    }
    /// MODULE LOAD
    auto module_load(std::string_view path, const words& arguments = {}) {
        arg_list list;
        list.add(path);
        add_all(list, arguments.args());
        return door().template run<void>(verb::module_load, list);
    }
    /// MODULE LOADEX: with settings of the module.
    auto module_loadex(std::string_view path, const module_options& options = {}) {
        arg_list list;
        list.add(path);
        if (!options.name.empty()) list.add("CONFIG", options.name, options.setting);
        if (options.arguments.size() > 0) list.add("ARGS");
        add_all(list, options.arguments.args());
        return door().template run<void>(verb::module_loadex, list);
    }
    /// MODULE UNLOAD
    auto module_unload(std::string_view name) {
        return door().template run<void>(verb::module_unload, {name});
    }
    /// REPLICAOF: becomes a replica of that server, and loses its own data.
    auto replicaof(std::string_view host, std::uint16_t port) {
        return door().template run<void>(verb::replicaof, {host, port});
    }
    /// REPLICAOF NO ONE: becomes a master, and keeps its data.
    auto replicaof_no_one() { return door().template run<void>(verb::replicaof, {"NO", "ONE"}); }
    /// ROLE: master, replica or sentinel, as it comes.
    template <class T = reply>
    auto role() {
        return door().template run<T>(verb::role);
    }
    /// SAVE: makes a snapshot, and everybody waits.
    auto save() { return door().template run<void>(verb::save); }
    /// SLAVEOF: the old name of REPLICAOF.
    auto slaveof(std::string_view host, std::uint16_t port) {
        return door().template run<void>(verb::slaveof, {host, port});
    }
    /// SLOWLOG GET: the last commands that took long; -1: all that are kept.
    auto slowlog_get(std::int64_t count = 10) {
        return door().template run<std::vector<slowlog_entry>>(verb::slowlog_get, {count});
    }
    /// SLOWLOG LEN: how many are kept.
    auto slowlog_len() { return door().template run<std::int64_t>(verb::slowlog_len); }
    /// SLOWLOG RESET
    auto slowlog_reset() { return door().template run<void>(verb::slowlog_reset); }
    /// SWAPDB: two databases change their contents.
    auto swapdb(std::uint32_t first, std::uint32_t second) {
        return door().template run<void>(verb::swapdb, {first, second});
    }
    /// TIME: what the server's clock says, in microseconds.
    auto time() { return door().template run<wall_time>(verb::time); }

private:
    Door& door() noexcept { return static_cast<Door&>(*this); }
};

}  // namespace ouro::redis
