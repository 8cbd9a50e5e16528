#include <ouro/kv/redis/connection.hpp>

#include <string_view>

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

}  // namespace

bool blocks(const command& what) noexcept {
    const command_info& info = what.info();
    if (info.id == verb::debug) return true;  // SLEEP, and whatever comes to a debugger's mind
    if (!info.is(command_flag::blocking)) return false;
    if (info.id != verb::xread && info.id != verb::xreadgroup) return true;
    if (what.too_large()) return false;
    word_reader words(what.bytes());
    for (std::size_t left = words.begin_command(); left > 0; --left) {
        const std::string_view word = words.next();
        if (same_word(word, "STREAMS")) return false;
        if (same_word(word, "BLOCK")) return true;
    }
    return false;
}

bool changes_connection(const command_info& what) noexcept {
    return what.is(command_flag::connection_state);
}

task<std::unique_ptr<connection>> connection::open(session_options options) {
    options.reconnect = false;
    options.abandon_closes = true;
    auto made = std::make_unique<connection>(session::open(std::move(options)));
    co_await made->session().ready();
    co_return made;
}

}  // namespace ouro::redis
