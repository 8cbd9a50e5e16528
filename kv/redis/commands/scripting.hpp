// scripting.hpp: Lua scripts at the server. See script.hpp for one that loads itself.
#pragma once

#include <ouro/kv/redis/commands/arguments.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace ouro::redis {

/// How memory is freed.
enum class flush_mode {
    server,  ///< as the server is configured
    sync,
    async,
};
inline void add_flush(arg_list& to, flush_mode mode) noexcept {
    if (mode == flush_mode::sync) to.add("SYNC");
    if (mode == flush_mode::async) to.add("ASYNC");
}

/// The scripting commands of a door. What a script returns is read as `T`. A script that fails is
/// errc::server_error with its words; one that runs for too long makes others errc::busy.
template <class Door>
class scripting_commands {
public:
    /// EVAL: runs a script; `keys` are its KEYS, `arguments` its ARGV. It must touch no other keys.
    template <class T = reply>
    auto eval(std::string_view script, const words& keys = {}, const words& arguments = {}) {
        return run_script<T>(verb::eval, script, keys, arguments);
    }
    /// EVAL_RO: one that only reads, on replicas, too.
    template <class T = reply>
    auto eval_ro(std::string_view script, const words& keys = {}, const words& arguments = {}) {
        return run_script<T>(verb::eval_ro, script, keys, arguments);
    }
    /// EVALSHA: by the digest that script_load returned. errc::no_script when the server does not
    /// have it.
    template <class T = reply>
    auto evalsha(std::string_view digest, const words& keys = {}, const words& arguments = {}) {
        return run_script<T>(verb::evalsha, digest, keys, arguments);
    }
    /// EVALSHA_RO: one that only reads, on replicas, too.
    template <class T = reply>
    auto evalsha_ro(std::string_view digest, const words& keys = {}, const words& arguments = {}) {
        return run_script<T>(verb::evalsha_ro, digest, keys, arguments);
    }
    /// SCRIPT EXISTS: for each digest, whether the server has it.
    auto script_exists(const words& digests) {
        return door().template run<std::vector<bool>>(verb::script_exists, digests.args());
    }
    /// SCRIPT FLUSH: forgets all scripts.
    auto script_flush(flush_mode mode = flush_mode::server) {
        arg_list list;
        add_flush(list, mode);
        return door().template run<void>(verb::script_flush, list);
    }
    /// SCRIPT KILL: ends the script that runs, if it has not written anything yet.
    auto script_kill() { return door().template run<void>(verb::script_kill); }
    /// SCRIPT LOAD: keeps a script at the server; its digest.
    auto script_load(std::string_view script) {
        return door().template run<std::string>(verb::script_load, {script});
    }

private:
    Door& door() noexcept { return static_cast<Door&>(*this); }

    template <class T>
    auto run_script(verb what, std::string_view script, const words& keys, const words& arguments) {
        arg_list list;
        list.add(script, keys.size());
        add_all(list, keys.args());
        add_all(list, arguments.args());
        return door().template run<T>(what, list);
    }
};

}  // namespace ouro::redis
