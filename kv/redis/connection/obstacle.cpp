#include <ouro/kv/redis/connection/obstacle.hpp>

namespace ouro::redis {
namespace {

bool same_word(std::string_view any, std::string_view capitals) noexcept {
    if (any.size() != capitals.size()) return false;
    for (std::size_t at = 0; at < any.size(); ++at) {
        const char c = any[at];
        if ((c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c) != capitals[at]) return false;
    }
    return true;
}

/// Whether XREAD or XREADGROUP says BLOCK.
bool says_block(const command& what) noexcept {
    word_reader words(what.bytes());
    for (std::size_t left = words.begin_command(); left > 0; --left) {
        const std::string_view word = words.next();
        if (same_word(word, "STREAMS")) return false;
        if (same_word(word, "BLOCK")) return true;
    }
    return false;
}

/// Of a command that is in no table. What newer servers have that is about the connection is not
/// made harmless by whoever says so.
obstacle obstacle_of_unlisted(const command& what) noexcept {
    if (what.too_large()) return obstacle::none;  // it will be told that
    word_reader words(what.bytes());
    words.begin_command();
    const std::string_view first = words.next();
    if (same_word(first, "WAITAOF")) return obstacle::concerns;
    if (same_word(first, "CLIENT")) return obstacle::changes;  // NO-TOUCH, SETINFO, CAPA, …
    if (!what.is_vouched_for()) return obstacle::unknown;
    return what.said_to_block() ? obstacle::blocks : obstacle::none;
}

}  // namespace

std::string_view to_string(obstacle what) noexcept {
    switch (what) {
        case obstacle::none: break;
        case obstacle::changes:
            return "it would change the connection, which others share: lease one for it";
        case obstacle::concerns:
            return "it is about what its own connection has done, and this one is shared: lease "
                   "one, and do both there";
        case obstacle::blocks:
            return "it would make those wait who share the connection: lease one for it";
        case obstacle::unknown:
            return "it is in no table, so it might change the connection, which others share: say "
                   "that it does not with command_options, as in {.key = \"k\"} or {.blocks = "
                   "true}, or lease a connection for it";
        case obstacle::cursor:
            return "a cursor is one node's: ask a member of the cluster, or use scan()";
    }
    return {};
}

bool blocks(const command& what) noexcept {
    const command_info& info = what.info();
    if (is_plain(info)) return false;
    if (info.id == verb::any) return what.said_to_block();
    if (info.id == verb::debug) return true;  // SLEEP, and whatever comes to a debugger's mind
    if (!info.is(command_flag::blocking)) return false;
    if (info.id != verb::xread && info.id != verb::xreadgroup) return true;
    return !what.too_large() && says_block(what);
}

bool changes_connection(const command& what) noexcept {
    const command_info& info = what.info();
    if (info.id != verb::any) return info.is(command_flag::connection_state);
    const obstacle found = obstacle_of_unlisted(what);
    return found == obstacle::changes || found == obstacle::unknown;
}

obstacle obstacle_of(const command& what) noexcept {
    const command_info& info = what.info();
    if (is_plain(info)) return obstacle::none;
    if (info.id == verb::any) return obstacle_of_unlisted(what);
    if (info.is(command_flag::connection_state)) return obstacle::changes;
    if (info.is(command_flag::of_connection)) return obstacle::concerns;
    return blocks(what) ? obstacle::blocks : obstacle::none;
}

error refusal_of(std::string_view name, obstacle why) {
    return error(errc::not_shareable, net::fate::unsent, name, to_string(why));
}

}  // namespace ouro::redis
