"""Writes verb.hpp and command_rows.hpp from commands.json; with --check, only compares.

What the server does not say of its commands, but a client has to know, stands here.
"""

import json
import pathlib
import sys
import textwrap

HERE = pathlib.Path(__file__).parent

# They make the connection another one for whoever uses it next, or end it, or break the rule of
# one reply per request.
CONNECTION_STATE = {
    "ASKING", "AUTH", "CLIENT CACHING", "CLIENT NO-EVICT", "CLIENT REPLY", "CLIENT SETNAME",
    "CLIENT TRACKING", "DISCARD", "EXEC", "HELLO", "MONITOR", "MULTI", "PSUBSCRIBE", "PSYNC",
    "PUNSUBSCRIBE", "QUIT", "READONLY", "READWRITE", "REPLCONF", "RESET", "SCRIPT DEBUG", "SELECT",
    "SSUBSCRIBE", "SUBSCRIBE", "SUNSUBSCRIBE", "SYNC", "UNSUBSCRIBE", "UNWATCH", "WATCH",
}

# They change nothing, but what they say is about what their own connection has done, or is.
OF_CONNECTION = {
    "CLIENT GETNAME", "CLIENT GETREDIR", "CLIENT ID", "CLIENT INFO", "CLIENT TRACKINGINFO", "WAIT",
}

# It waits like those that the server calls blocking.
BLOCKING_TOO = {"WAIT"}

FLAGS = {  # the server's word: ours, in the order in which they are written
    "readonly": "read_only",
    "write": "write",
    "blocking": "blocking",
    "fast": "fast",
    "denyoom": "deny_oom",
    "admin": "admin",
    "pubsub": "pubsub",
    "noscript": "no_script",
    "no_multi": "no_multi",
    "no_auth": "no_auth",
    "may_replicate": "may_replicate",
    "movablekeys": "movable_keys",
}


def verb_of(name):
    return name.lower().replace(" ", "_").replace("-", "_")


def key_specifications(command):
    """The initializers of the command's key_specs.

    What the server calls unknown or incomplete it finds by code of its own: the two kinds
    sort_store and migrate_keys are that code.
    """
    if command["name"] == "MIGRATE":
        return ["{.begin = migrate_keys}"]
    specifications = []
    for key in command["keys"]:
        if key["begin"] == "unknown":
            if command["name"] == "SORT" and "OW" in key["flags"]:
                specifications.append("{.begin = sort_store}")
            continue
        begin, find, parts = key["begin"], key["find"], []
        if "keyword" in begin:
            parts += [".begin = after_word", f'.word = "{begin["keyword"]}"']
            parts.append(f".index = {begin['startfrom']}")
        else:
            parts.append(f".index = {begin['index']}")
        if "keynumidx" in find:
            if find["keynumidx"] != 0 or find["firstkey"] != 1:
                sys.exit(f"{command['name']}: a count that does not stand before its keys")
            parts.append(".counted = true")
        else:
            if find["lastkey"] != 0:
                parts.append(f".last = {find['lastkey']}")
            if find["limit"] > 1:
                parts.append(f".share = {find['limit']}")
        if find["keystep"] != 1:
            parts.append(f".step = {find['keystep']}")
        specifications.append("{" + ", ".join(parts) + "}")
    return specifications


def numkeys_at(command):
    """The position of the first argument that counts keys, where it is fixed."""
    for key in command["keys"]:
        if key["begin"] != "unknown" and "keynumidx" in key["find"] and "index" in key["begin"]:
            return key["begin"]["index"]
    return 0


def flags_of(command):
    name = command["name"]
    flags = [ours for theirs, ours in FLAGS.items() if theirs in command["flags"]]
    if name in BLOCKING_TOO:
        flags.append("blocking")
    if command["container"]:
        flags.append("container")
    if name in CONNECTION_STATE:
        flags.append("connection_state")
    if name in OF_CONNECTION:
        flags.append("of_connection")
    return " | ".join(flags) or "0"


def policy_of(command, which, enumeration):
    for tip in command["tips"]:
        if tip.startswith(which + ":"):
            return f"{enumeration}::{tip.partition(':')[2]}"
    return "{}"


def statement(head, text, end):
    """One line, or several when it has more than 100 columns."""
    return textwrap.fill(head + text + end, 100, subsequent_indent="     ",
                         break_long_words=False, break_on_hyphens=False)


def verbs(commands):
    names = ", ".join(verb_of(command["name"]) for command in commands)
    enumerators = textwrap.fill(names + ",", 100, initial_indent="    ", subsequent_indent="    ")
    return f"""\
// verb.hpp: the name of every command, as an enumerator. Written by generate_commands.py.
#pragma once

#include <cstdint>

namespace ouro::redis {{

// clang-format off

/// A command or subcommand of Redis: "CLIENT SETNAME" is client_setname. Sorted by name.
enum class verb : std::uint16_t {{
{enumerators}
    any,  ///< a command that is in no table
}};

// clang-format on

}}  // namespace ouro::redis
"""


def rows(commands, version):
    groups = {}  # initializers of all specs of a command → where they begin
    specifications = []
    lines = []
    for command in commands:
        keys = tuple(key_specifications(command))
        if keys not in groups:
            groups[keys] = len(specifications)
            specifications += keys
        first, last, step = command["key_positions"]
        lines.append(statement(
            f'    {{"{command["name"]}", {command["arity"]}, {first}, {last}, {step}, ',
            f"{numkeys_at(command)}, {groups[keys] if keys else 0}, {len(keys)}, "
            f"{flags_of(command)}, {policy_of(command, 'request_policy', 'ask')}, "
            f"{policy_of(command, 'response_policy', 'take')}",
            "},"))
    listed = "\n".join(f"    {s}," for s in specifications)
    table = "\n".join(lines)
    return f"""\
// command_rows.hpp: the data of command_table.cpp. Written by generate_commands.py from what
// redis-server {version} says of itself (commands.json).
#pragma once

#include <ouro/kv/redis/wire/command_table.hpp>

namespace ouro::redis::command_rows {{

using enum command_flag::bits;
using enum key_spec::beginning;
using ask = request_policy;
using take = response_policy;

struct row {{
    const char* name;
    std::int8_t arity;
    std::int16_t first_key, last_key;
    std::uint8_t key_step, numkeys_at;
    std::uint8_t specs_at, specs;  // which of key_specs
    std::uint16_t flags;
    request_policy request;
    response_policy response;
}};

// clang-format off

inline constexpr key_spec key_specs[] = {{
{listed}
}};

inline constexpr row rows[] = {{
{table}
}};

// clang-format on

}}  // namespace ouro::redis::command_rows
"""


def main(arguments):
    data = json.loads((HERE / "commands.json").read_text(encoding="utf-8"))
    commands = data["commands"]
    for name in CONNECTION_STATE | OF_CONNECTION | BLOCKING_TOO:
        if all(command["name"] != name for command in commands):
            sys.exit(f"{name} is no command")
    written = {"verb.hpp": verbs(commands), "command_rows.hpp": rows(commands, data["version"])}
    failed = False
    for name, text in written.items():
        path = HERE.parent / "wire" / name
        if "--check" not in arguments:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            print(f"{name} is not what generate_commands.py writes")
            failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
