"""Writes commands.json, one command per line, from what a running server says of itself.

    python3 collect_commands.py [HOST:PORT | unix:PATH] [--check]

It asks COMMAND and COMMAND DOCS over RESP3 and keeps what a client needs: the names (with
subcommands), arity, flags, key positions and key specifications, the tips for cluster clients, and
the group. --check compares with the committed file instead, and passes with a word about it when
the server is of another version. generate_commands.py turns the file into C++.
"""

import json
import pathlib
import socket
import sys

FILE = pathlib.Path(__file__).parent / "commands.json"


def read_reply(lines):
    """One RESP3 value from a buffered socket file."""
    line = lines.readline()
    kind, rest = line[:1], line[1:-2].decode()
    if kind in (b"+", b","):
        return rest
    if kind == b":":
        return int(rest)
    if kind in (b"$", b"="):
        return lines.read(int(rest) + 2)[:-2].decode()
    if kind == b"_":
        return None
    if kind in (b"*", b"~"):
        return [read_reply(lines) for _ in range(int(rest))]
    if kind == b"%":
        return {read_reply(lines): read_reply(lines) for _ in range(int(rest))}
    raise RuntimeError(f"the server answered {line!r}")


def ask(connection, lines, *words):
    encoded = b"".join(b"$%d\r\n%s\r\n" % (len(word), word.encode()) for word in words)
    connection.sendall(b"*%d\r\n" % len(words) + encoded)
    return read_reply(lines)


def key_specification(raw):
    """{"flags": […], "begin": {"index": 1} | {"keyword": …} | "unknown", "find": {…}}"""
    kept = {"flags": sorted(raw["flags"])}
    for ours, theirs in (("begin", "begin_search"), ("find", "find_keys")):
        kind, details = raw[theirs]["type"], raw[theirs]["spec"]
        kept[ours] = details if kind != "unknown" else "unknown"
    return kept


def flatten(info, group):
    """The command and its subcommands, as dictionaries."""
    name, arity, flags, first, last, step, _, tips, keys, subcommands = info
    yield {
        "name": name.upper().replace("|", " "),
        "group": group,
        "arity": arity,
        "flags": sorted(flags),
        "key_positions": [first, last, step],
        "tips": sorted(tips),
        "keys": [key_specification(raw) for raw in keys],
        "container": bool(subcommands),
    }
    for subcommand in subcommands:
        yield from flatten(subcommand, group)


def connect(address):
    if address.startswith("unix:"):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(10)
        connection.connect(address.removeprefix("unix:"))
        return connection
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def collect(address):
    """(the server's version, its commands sorted by name)"""
    with connect(address) as connection:
        lines = connection.makefile("rb")
        version = ask(connection, lines, "HELLO", "3")["version"]
        docs = ask(connection, lines, "COMMAND", "DOCS")
        commands = []
        for info in ask(connection, lines, "COMMAND"):
            commands += flatten(info, docs[info[0]]["group"])
    return version, sorted(commands, key=lambda command: command["name"])


def text_of(version, commands):
    rows = ",\n".join(json.dumps(command) for command in commands)
    return f'{{"version": {json.dumps(version)}, "commands": [\n{rows}\n]}}\n'


def main(arguments):
    check = "--check" in arguments
    addresses = [a for a in arguments if not a.startswith("--")]
    version, commands = collect(addresses[0] if addresses else "127.0.0.1:6379")
    text = text_of(version, commands)
    if not check:
        FILE.write_text(text, encoding="utf-8")
        return 0
    committed = FILE.read_text(encoding="utf-8")
    if (there := json.loads(committed)["version"]) != version:
        print(f"the server is {version}, {FILE.name} was made from {there}: not compared")
        return 0
    if text != committed:
        print(f"{FILE.name} differs from what the server of the same version says")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
