// door.hpp: what every door has: its typed commands, any command by its verb, any by its name.
#pragma once

#include <ouro/kv/redis/commands/commands.hpp>
#include <ouro/kv/redis/wire/command.hpp>

#include <initializer_list>
#include <span>
#include <string_view>

namespace ouro::redis {

/// Whatever runs commands derives from door<itself>, and decides with two functions, which the door
/// befriends, how they run and what is awaited:
///
///     template <class T>
///     … run_known(verb what, std::span<const arg> arguments);
///     template <class T, class... How>    // How: std::span<const arg>, and maybe command_options
///     … run_named(std::string_view name, const How&... how);
///
/// Both encode the arguments before they return. A door that can wait has run_blocking, too: see
/// commands.
template <class Self>
class door : public commands<Self> {
public:
    /// The command, to be awaited at once or later; of pipelines and transactions a handle.
    template <class T>
    auto run(verb what, std::span<const arg> arguments = {}) {
        return self().template run_known<T>(what, arguments);
    }
    template <class T>
    auto run(verb what, std::initializer_list<arg> arguments) {
        return run<T>(what, std::span(arguments.begin(), arguments.size()));
    }

    /// Any command by name: `co_await db.command("OBJECT ENCODING", {"key"})`. One that is in no
    /// table is refused where others share the connection: say what it does, see below.
    template <class T = reply>
    auto command(std::string_view name, std::span<const arg> arguments) {
        return self().template run_named<T>(name, arguments);
    }
    template <class T = reply>
    auto command(std::string_view name, const words& arguments = {}) {
        return command<T>(name, arguments.args());
    }
    /// One that is in no table, such as those of modules: `{.key = "k"}`, `{.blocks = true}`, or
    /// `{}` when there is nothing to say but that it leaves the connection as it is.
    template <class T = reply>
    auto command(std::string_view name, std::span<const arg> arguments,
                 const command_options& how) {
        return self().template run_named<T>(name, arguments, how);
    }
    template <class T = reply>
    auto command(std::string_view name, const words& arguments, const command_options& how) {
        return command<T>(name, arguments.args(), how);
    }

private:
    Self& self() noexcept { return static_cast<Self&>(*this); }
};

}  // namespace ouro::redis
