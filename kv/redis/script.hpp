// script.hpp: a Lua script that a server is sent once, and that is called by its digest then.
#pragma once

#include <ouro/kv/redis/commands/arguments.hpp>
#include <ouro/kv/redis/error.hpp>
#include <ouro/kv/redis/wire/command.hpp>
#include <ouro/kv/redis/wire/sha1.hpp>
#include <ouro/runtime/task.hpp>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ouro::redis {

struct script_options {
    bool read_only = false;  ///< it writes nothing: is repeated after a failure, goes to replicas
};

/// A script, and its digest:
///
///     redis::script take("return redis.call('decrby', KEYS[1], ARGV[1])");
///     auto left = co_await take.run<std::int64_t>(db, {"stock"}, {5});
///
/// Every run is an EVALSHA of the digest, which is computed here. A server that does not have the
/// script, because it is the first time, was restarted or is another node of a cluster, gets it
/// with EVAL, and has it from then on. So a run needs one server, and the right to EVALSHA and
/// EVAL. In a build without OpenSSL every run is an EVAL.
///
/// Worker-local; must outlive its runs. One object serves any number of doors and of runs at once.
class script {
public:
    explicit script(std::string source, script_options options = {})
        : source_(std::move(source)), digest_(sha1_of(source_)), options_(options) {}

    /// Runs it on a client, connection or cluster, which must live until the task has ended. What
    /// the keys and arguments refer to need not: they are copied at once. Throws what evalsha does,
    /// but never errc::no_script.
    template <class T = reply, class Door>
    [[nodiscard]] task<T> run(Door& door, const words& keys = {}, const words& arguments = {}) {
        arg_list list;
        list.add(keys.size());
        add_all(list, keys.args());
        add_all(list, arguments.args());
        return call<T>(door, command(verb::any, list));
    }

    /// Loads it now (SCRIPT LOAD), to a server that is not to wait for it later; in a cluster to
    /// every master, of which all must answer. No run needs it.
    template <class Door>
    [[nodiscard]] task<> load(Door& door) {
        arg_list list;
        list.add(source_);
        co_await door.template run<void>(verb::script_load, list);
    }

    /// 40 hexadecimal digits; empty in a build without OpenSSL.
    std::string_view digest() const noexcept { return digest_; }
    std::string_view source() const noexcept { return source_; }

private:
    // `rest` holds what stands behind the script or its digest.
    template <class T, class Door>
    task<T> call(Door& door, command rest) {
        const std::vector<std::string_view> all = rest.words();
        const verb eval = options_.read_only ? verb::eval_ro : verb::eval;
        arg_list whole;
        whole.add(source_, std::span<const std::string_view>(all));
        if (digest_.empty()) co_return co_await door.template run<T>(eval, whole);
        arg_list named;
        named.add(digest_, std::span<const std::string_view>(all));
        auto asked =
            door.template run<T>(options_.read_only ? verb::evalsha_ro : verb::evalsha, named);
        try {
            co_return co_await asked;
        } catch (const error& why) {
            if (why.code() != errc::no_script) throw;
        }
        if constexpr (requires { door.template run_behind<T>(asked, eval, whole); })
            co_return co_await door.template run_behind<T>(asked, eval, whole);
        else
            co_return co_await door.template run<T>(eval, whole);
    }

    std::string source_;
    std::string digest_;
    script_options options_;
};

}  // namespace ouro::redis
