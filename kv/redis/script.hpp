// script.hpp: a Lua script that is sent once and called by its digest from then on.
#pragma once

#include <ouro/kv/redis/command.hpp>
#include <ouro/kv/redis/commands/arguments.hpp>
#include <ouro/kv/redis/error.hpp>
#include <ouro/runtime/task.hpp>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ouro::redis {

struct script_options {
    bool read_only = false;  ///< it writes nothing: is repeated after a failure, goes to replicas
};

/// A script, and its digest as soon as a server has told it:
///
///     redis::script take("return redis.call('decrby', KEYS[1], ARGV[1])");
///     auto left = co_await take.run<std::int64_t>(db, {"stock"}, {5});
///
/// The first run loads it (SCRIPT LOAD) to learn the digest. Every run is an EVALSHA; a server that
/// does not have it, because it was restarted or is another node of a cluster, gets it with EVAL.
///
/// Worker-local; must outlive its runs. One object serves any number of doors and of runs at once.
class script {
public:
    explicit script(std::string source, script_options options = {})
        : source_(std::move(source)), options_(options) {}

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

    /// Loads it now, to a server that is not to wait for it later.
    template <class Door>
    [[nodiscard]] task<> load(Door& door) {
        arg_list list;
        list.add(source_);
        std::string told = co_await door.template run<std::string>(verb::script_load, list);
        digest_ = std::move(told);
    }

    /// 40 hexadecimal digits; empty before the first run.
    std::string_view digest() const noexcept { return digest_; }
    std::string_view source() const noexcept { return source_; }

private:
    // `rest` holds what stands behind the script or its digest.
    template <class T, class Door>
    task<T> call(Door& door, command rest) {
        if (digest_.empty()) co_await load(door);
        const std::vector<std::string_view> all = rest.words();
        bool missing = false;
        try {
            arg_list list;
            list.add(digest_, std::span<const std::string_view>(all));
            co_return co_await door.template run<T>(
                options_.read_only ? verb::evalsha_ro : verb::evalsha, list);
        } catch (const error& why) {
            if (why.code() != errc::no_script) throw;
            missing = true;
        }
        OURO_ASSERT(missing);
        arg_list list;
        list.add(source_, std::span<const std::string_view>(all));
        co_return co_await door.template run<T>(options_.read_only ? verb::eval_ro : verb::eval,
                                                list);
    }

    std::string source_;
    std::string digest_;
    script_options options_;
};

}  // namespace ouro::redis
