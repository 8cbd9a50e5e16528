// functions.hpp: libraries of Lua functions that the server keeps.
#pragma once

#include <ouro/kv/redis/commands/arguments.hpp>
#include <ouro/kv/redis/commands/scripting.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace ouro::redis {

/// A function of a library.
struct library_function {
    std::string name;
    std::optional<std::string> description;
    std::vector<std::string> flags;  ///< "no-writes", "allow-oom", …
};

/// A library that the server has.
struct function_library {
    std::string name;
    std::string engine;  ///< "LUA"
    std::vector<library_function> functions;
    std::optional<std::string> code;  ///< with function_list_options::with_code
};

template <>
struct decoder<library_function> {
    static std::error_code read(const value& from, library_function& into);
};
template <>
struct decoder<function_library> {
    static std::error_code read(const value& from, function_library& into);
};

struct function_list_options {
    std::string_view library = {};  ///< a pattern of names; empty: all
    bool with_code = false;
};
static_assert(std::is_trivially_copyable_v<function_list_options>);

/// What FUNCTION RESTORE does with the libraries that are there.
enum class restore_policy {
    append,   ///< one of the same name is an error
    flush,    ///< removes all others
    replace,  ///< replaces those of the same name
};

/// The function commands of a door. What a function returns is read as `T`.
template <class Door>
class function_commands {
public:
    /// FCALL: calls a function; `keys` are what it may touch.
    template <class T = reply>
    auto fcall(std::string_view function, const words& keys = {}, const words& arguments = {}) {
        return call_function<T>(verb::fcall, function, keys, arguments);
    }
    /// FCALL_RO: one that has the flag "no-writes", on replicas, too.
    template <class T = reply>
    auto fcall_ro(std::string_view function, const words& keys = {}, const words& arguments = {}) {
        return call_function<T>(verb::fcall_ro, function, keys, arguments);
    }
    /// FUNCTION DELETE: a whole library.
    auto function_delete(std::string_view library) {
        return door().template run<void>(verb::function_delete, {library});
    }
    /// FUNCTION DUMP: all libraries in Redis' own form, for function_restore.
    auto function_dump() { return door().template run<std::string>(verb::function_dump); }
    /// FUNCTION FLUSH: removes all libraries.
    auto function_flush(flush_mode mode = flush_mode::server) {
        arg_list list;
        add_flush(list, mode);
        return door().template run<void>(verb::function_flush, list);
    }
    /// FUNCTION KILL: ends the function that runs, if it has not written anything yet.
    auto function_kill() { return door().template run<void>(verb::function_kill); }
    /// FUNCTION LIST: the libraries.
    auto function_list(const function_list_options& options = {}) {
        arg_list list;
        if (!options.library.empty()) list.add("LIBRARYNAME", options.library);
        if (options.with_code) list.add("WITHCODE");
        return door().template run<std::vector<function_library>>(verb::function_list, list);
    }
    /// FUNCTION LOAD: adds a library, whose name it returns. One that is there is an error unless
    /// `replace`.
    auto function_load(std::string_view code, bool replace = false) {
        arg_list list;
        if (replace) list.add("REPLACE");
        list.add(code);
        return door().template run<std::string>(verb::function_load, list);
    }
    /// FUNCTION RESTORE: what function_dump returned.
    auto function_restore(const arg& dumped, restore_policy policy = restore_policy::append) {
        const char* const word = policy == restore_policy::append  ? "APPEND"
                                 : policy == restore_policy::flush ? "FLUSH"
                                                                   : "REPLACE";
        return door().template run<void>(verb::function_restore, {dumped, word});
    }
    /// FUNCTION STATS: what runs now, and the engines, as it comes.
    template <class T = reply>
    auto function_stats() {
        return door().template run<T>(verb::function_stats);
    }

private:
    Door& door() noexcept { return static_cast<Door&>(*this); }

    template <class T>
    auto call_function(verb what, std::string_view function, const words& keys,
                       const words& arguments) {
        arg_list list;
        list.add(function, keys.size());
        add_all(list, keys.args());
        add_all(list, arguments.args());
        return door().template run<T>(what, list);
    }
};

}  // namespace ouro::redis
