"""Every command has a typed method or a reason why not, and every typed method is tested.

It reads kv/redis/table/commands.json, the headers in kv/redis/commands/ and the tests beside this
file.
"""

import json
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).parent
REDIS = HERE.parents[3] / "kv/redis"

LEFT_OUT = {
    # The doors' own business: they change what a connection is.
    "ASKING", "AUTH", "CLIENT CACHING", "CLIENT REPLY", "CLIENT SETNAME", "CLIENT TRACKING",
    "DISCARD", "EXEC", "HELLO", "MULTI", "PSUBSCRIBE", "PUNSUBSCRIBE", "READONLY", "READWRITE",
    "SELECT", "SSUBSCRIBE", "SUBSCRIBE", "SUNSUBSCRIBE", "UNSUBSCRIBE", "UNWATCH", "WATCH",
    # They end the connection, make a stream of it, or protect it from the server.
    "CLIENT NO-EVICT", "MONITOR", "PSYNC", "QUIT", "REPLCONF", "RESET", "SHUTDOWN", "SYNC",
    # For Redis itself and those who work on it.
    "DEBUG", "PFDEBUG", "PFSELFTEST", "RESTORE-ASKING", "SCRIPT DEBUG",
}


def left_out(name):
    return name in LEFT_OUT or name.endswith(" HELP")


def verb_of(name):
    return name.lower().replace(" ", "_").replace("-", "_")


def main():
    typed, methods = set(), set()
    for header in (REDIS / "commands").glob("*.hpp"):
        if header.name == "door.hpp":  # takes any command
            continue
        text = header.read_text(encoding="utf-8")
        typed.update(re.findall(r"verb::(\w+)", text))
        for public in re.findall(r"public:\n(.*?)\nprivate:", text, re.S):
            methods.update(re.findall(r"^    auto (\w+)\(", public, re.M))
    tests = "\n".join(p.read_text(encoding="utf-8") for p in HERE.glob("*_test.cpp"))
    wrong = []
    table = json.loads((REDIS / "table/commands.json").read_text(encoding="utf-8"))
    for command in table["commands"]:
        name = command["name"]
        if command["container"]:
            continue
        if verb_of(name) not in typed and not left_out(name):
            wrong.append(f"{name} has no typed method")
        if verb_of(name) in typed and left_out(name):
            wrong.append(f"{name} has a typed method and is said not to")
    for method in sorted(methods):
        if not re.search(rf"\b\w+\.{method}(<|\()", tests):
            wrong.append(f"{method} is in no test beside this file")
    print("\n".join(wrong) or f"{len(methods)} methods for {len(typed)} commands")
    return 1 if wrong else 0


sys.exit(main())
