"""The plan of rooms: which there are, which others each may include, how large each may be.

A room is a folder of a crate. What stands in front of a crate, in no folder, is what users include;
its ground floor (`GROUND`) lies below all rooms of the crate and is a room of its own here.
"""

# Names every other unit of the crate may use, since these use nothing themselves.
GROUND = {
    "runtime": "check clock compiler duration duration_text error log result",
    "net": "endpoint",
    "kv/redis": "credentials error url value",
    "kv/memcached": "credentials error expiry key md5 ring server",
}

# From the ground up: a room includes rooms that stand above it in this list, and only those that it
# names. `runtime.` is the ground of runtime.
ROOMS = {
    "runtime.": "",
    "runtime/engine": "runtime.",
    "runtime": "runtime. runtime/engine",
    "runtime/time": "runtime. runtime/engine runtime",
    "runtime/sync": "runtime. runtime/engine runtime",
    "runtime/io": "runtime. runtime/engine runtime",
    "runtime/io/ring": "runtime. runtime/engine runtime/io",
    "runtime/io/epoll": "runtime. runtime/engine runtime/io",
    "runtime/fs": "runtime. runtime/engine runtime runtime/io",
    "runtime/sim": "runtime. runtime/engine runtime/io",
    "runtime/testing": "runtime. runtime/engine runtime runtime/sim",

    "net.": "runtime.",
    "net": "net. runtime. runtime/engine runtime runtime/time runtime/sync runtime/io",
    "net/bytes": "net runtime. runtime/engine runtime runtime/io",
    "net/tls": "net net/bytes runtime. runtime/engine runtime runtime/sync",
    "net/session": "net net/bytes net/tls runtime. runtime/engine runtime runtime/time"
                   " runtime/sync",
    "net/pool": "runtime. runtime/engine runtime runtime/time runtime/sync",

    "kv/redis.": "net/session runtime. runtime",
    "kv/redis/wire": "kv/redis. net/bytes runtime.",
    "kv/redis/commands": "kv/redis/wire runtime.",
    "kv/redis/connection": "kv/redis. kv/redis/wire kv/redis/commands net net/session net/pool"
                           " runtime. runtime runtime/time runtime/sync",
    "kv/redis/pubsub": "kv/redis. kv/redis/wire kv/redis/connection net/session"
                       " runtime. runtime/engine runtime runtime/sync",
    "kv/redis/client": "kv/redis/connection kv/redis/pubsub net/pool",
    "kv/redis/cache": "kv/redis. kv/redis/wire net/session"
                      " runtime. runtime/engine runtime runtime/sync",
    "kv/redis/sentinel": "kv/redis/connection kv/redis/client net/session"
                         " runtime runtime/time runtime/sync",
    "kv/redis/cluster": "kv/redis. kv/redis/wire kv/redis/commands kv/redis/connection"
                        " kv/redis/pubsub net/session net/pool"
                        " runtime. runtime/engine runtime runtime/time runtime/sync",
    "kv/redis": "kv/redis. kv/redis/wire kv/redis/commands kv/redis/connection kv/redis/pubsub"
                " kv/redis/client kv/redis/cache kv/redis/sentinel kv/redis/cluster"
                " runtime. runtime runtime/time runtime/sync",

    "kv/redis/testing": "kv/redis/wire net net/bytes runtime runtime/sync",

    "kv/memcached.": "net/session runtime. runtime",
    "kv/memcached/wire": "kv/memcached. runtime.",
    "kv/memcached/connection": "kv/memcached. kv/memcached/wire net net/session"
                               " runtime. runtime runtime/time runtime/sync",
    "kv/memcached": "kv/memcached. kv/memcached/wire kv/memcached/connection net net/session"
                    " runtime. runtime runtime/time",
    "kv/memcached/testing": "net net/bytes runtime runtime/sync",
}

UNITS_MAX = 15
# Rooms that one list says better than two: a method for each family of commands, a primitive each.
LARGER = {"runtime/sync": 20, "runtime": 20, "kv/redis/commands": 24}


def room_of(name):
    """The room of a file of a crate, or None."""
    folder, _, file = name.rpartition("/")
    if file.split(".")[0] in GROUND.get(folder, "").split():
        return folder + "."
    return folder if folder in ROOMS else None


def room_rule(house, crates):
    """Rooms include those below them that the plan names; none grows without end."""
    order = list(ROOMS)
    for room, may in ROOMS.items():
        for other in may.split():
            if order.index(other) >= order.index(room):
                yield f"tests/house/rooms.py:1: {room} may include {other}, which is not below it"
    units = {}
    for name in house.files(".hpp", folders=crates):
        if "/precompiled/" in name:
            continue
        room = room_of(name)
        if name.endswith("/format.hpp"):
            continue  # prints what any room of its crate has; who includes it: see house.py
        if room is None:
            yield f"{name}:1: its folder is no room of the plan (tests/house/rooms.py)"
            continue
        units.setdefault(room, []).append(name)
        for number, _, target in house.includes(name):
            target = target.removeprefix("ouro/")
            there = room_of(target)
            if there and there != room and there not in ROOMS[room].split():
                yield f"{name}:{number}: {room} does not know {there} (tests/house/rooms.py)"
    for room, names in units.items():
        limit = LARGER.get(room, UNITS_MAX)
        if len(names) > limit:
            yield f"{names[0]}:1: {len(names)} units in {room}; the limit is {limit}"


def unit_rule(house, crates):
    """The table of rooms in a crate's README names every unit, and none that is not there."""
    tables = {}  # room → (README, line, names)
    for readme in house.files("README.md", folders=crates):
        crate = readme.removesuffix("/README.md")
        for number, line in enumerate(house.lines(readme), 1):
            cells = [cell.strip() for cell in line.split("|")]
            if len(cells) < 4 or not cells[1].startswith("`"):
                continue
            title = cells[1].strip("`").rstrip("/")
            room = {"in front": crate, "ground": crate + "."}.get(title, f"{crate}/{title}")
            if room in ROOMS:
                tables[room] = readme, number, cells[2].replace("`", "").split()
    for room in ROOMS:
        if room not in tables:
            if any(room_of(name) == room for name in house.files(".hpp", folders=crates)):
                yield f"tests/house/rooms.py:1: no README lists the units of {room}"
            continue
        readme, number, told = tables[room]
        there = {name.rpartition("/")[2].removesuffix(".hpp")
                 for name in house.files(".hpp", folders=crates) if room_of(name) == room}
        for name in sorted(there - set(told)):
            yield f"{readme}:{number}: {room} has `{name}`, which its table does not name"
        for name in sorted(set(told) - there):
            yield f"{readme}:{number}: {room} has no `{name}`"
