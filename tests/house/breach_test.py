"""A rule notices the breach that is planted for it: one that cannot fail is none."""

import pathlib
import shutil
import subprocess
import sys
import tempfile

HOUSE = pathlib.Path(__file__).parent / "house.py"
SOURCE, BUILD = sys.argv[1:]


def says(rule, plant):
    """What the rule says of a copy of the tree in which `plant` has changed something."""
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / "tree"
        for crate in ("runtime", "net", "kv"):
            shutil.copytree(f"{SOURCE}/{crate}", copy / crate)
        plant(copy)
        run = subprocess.run([sys.executable, HOUSE, rule, copy, BUILD], text=True,
                             capture_output=True)
        return run.stdout + run.stderr


def add(name, text):
    def plant(copy):
        path = copy / name
        path.parent.mkdir(exist_ok=True)
        with path.open("a") as file:
            file.write(text)
    return plant


def replace(name, old, new):
    def plant(copy):
        path = copy / name
        text = path.read_text()
        assert old in text, f"{name} does not say {old}"
        path.write_text(text.replace(old, new, 1))
    return plant


def crowd(copy):
    for number in range(20):
        (copy / f"net/pool/unit{number}.hpp").write_text("#pragma once\n")


CASES = [
    ("rooms", lambda copy: None, ""),
    ("rooms", add("runtime/engine/timers.hpp", "#include <ouro/runtime/task.hpp>\n"),
     "runtime/engine does not know runtime "),
    ("rooms", add("net/bytes/buffer.hpp", "#include <ouro/net/session/fate.hpp>\n"),
     "net/bytes does not know net/session "),
    ("rooms", add("net/attic/old.hpp", "#pragma once\n"), "its folder is no room of the plan"),
    ("rooms", crowd, "units in net/pool"),
    ("units", lambda copy: None, ""),
    ("units", add("net/pool/lender.hpp", "#pragma once\n"), "has `lender`, which its table"),
    ("units", replace("runtime/README.md", "`backoff chance", "`backoff luck chance"),
     "has no `luck`"),
    ("essays", lambda copy: None, ""),
    ("essays", replace("runtime/timeout.hpp", "//  2. ", "//  7. "),
     "does not begin with its rules"),
    ("listed", lambda copy: None, ""),
    ("listed", add("net/relay_twice.cpp", ""), "in no meson.build"),
    ("listed", add("net/attic/meson.build", ""), "has no subdir('attic')"),
    ("includes", lambda copy: None, ""),
    ("includes", add("net/stream.hpp", "#include <ouro/net/format.hpp>\n"), "brings fmt to every"),
]

BINDS = [
    ("    auto [a, b] = co_await all_of(x(), y());\n", True),
    ("    auto& [a, b] =\n        co_await all_of(x(), y());\n", True),
    ("    auto both = co_await all_of(x(), y());\n    auto& [a, b] = both;\n", False),
]
for text, breach in BINDS:
    CASES.append(("bindings", add("net/relay.cpp", text), "leak that" if breach else ""))

failed = 0
for rule, plant, wanted in CASES:
    said = says(rule, plant)
    if (wanted not in said) or (not wanted and said):
        print(f"{rule}: wanted '{wanted}', got '{said}'")
        failed += 1
print(f"{len(CASES) - failed} of {len(CASES)} cases")
sys.exit(failed != 0)
