"""The rules of the house: `house.py RULE SOURCE_ROOT BUILD_ROOT [COMPILER…]`.

A rule is a function that yields one line per violation, beginning with `file:line: `. It reads
the tree and what meson wrote about it; nothing is listed twice by hand.
"""

import concurrent.futures
import json
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

from rooms import room_rule, unit_rule

CRATES = ["runtime", "net", "http", "db", "kv"]
CODE_FOLDERS = CRATES + ["tests", "examples", "benches"]

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


class House:
    def __init__(self, source, build, compiler):
        self.source = pathlib.Path(source)
        self.build = pathlib.Path(build)
        self.compiler = compiler

    def files(self, *suffixes, folders=CODE_FOLDERS):
        """Our files below `folders`, relative to the source root."""
        for folder in folders:
            for path in sorted((self.source / folder).rglob("*")):
                if path.is_file() and path.name.endswith(suffixes):
                    yield path.relative_to(self.source).as_posix()

    def lines(self, name):
        return (self.source / name).read_text(encoding="utf-8").split("\n")

    def includes(self, name):
        """(line number, '<' or '"', path) of every include."""
        for number, line in enumerate(self.lines(name), 1):
            if match := INCLUDE.match(line):
                yield number, match[1], match[2]

    def public_headers(self):
        """What meson installs is what is public."""
        installed = json.loads((self.build / "meson-info/intro-installed.json").read_text())
        root = self.source.resolve()
        names = {pathlib.Path(path) for path in installed if path.endswith(".hpp")}
        return {n.relative_to(root).as_posix() for n in names if n.is_relative_to(root)}

    def compile_flags(self):
        """How the library's own sources find their headers, taken from the build itself."""
        for entry in json.loads((self.build / "compile_commands.json").read_text()):
            source = (pathlib.Path(entry["directory"]) / entry["file"]).resolve()
            if source.is_relative_to(self.source.resolve() / "runtime"):
                words = shlex.split(entry["command"])
                # -isystem may stand apart from its folder; everything else wanted is one word.
                words = " ".join(words).replace("-isystem ", "-isystem").split(" ")
                return [w for w in words if re.match(r"-(I|isystem|D|std=|W)", w)]
        sys.exit("no source of runtime/ in compile_commands.json")


# --- who may include whom ---------------------------------------------------------------------

# A wire file turns bytes into values and back; it knows no socket, clock or coroutine.
WIRE = re.compile(r"/wire/|^http/h1/(parser|chunked)\b"
                  r"|^kv/redis/(error|value)\.|^kv/memcached/(error|key)\."
                  r"|^net/tls/(engine|certificate)(_openssl)?\."
                  r"|^net/tls/(error|figures|info|openssl)\."
                  r"|^db/postgres/codec")
# A wire file may know these of the crates below.
WIRE_BELOW = re.compile(r"^(runtime/(result|error|check|duration|engine/(counter|frame_pool))"
                        r"|net/(layer|bytes/(buffer|chunk)|session/fate))\.hpp$")
# The protocol crates may know these of the runtime.
PROTOCOL_BELOW = re.compile(r"^runtime/([^/]+|(engine|time|sync)/.*)$")


def crate_of(name):
    return name.split("/")[0]


def why_not(name, target, public):
    """Why `name` may not include our header `target`; None when it may."""
    here, there = crate_of(name), crate_of(target)
    if here == "tests":
        return None
    if target.endswith(".hpp") and there not in CRATES and here in CRATES:
        return f"{here} includes from {there}, which is no crate"
    if here in ("examples", "benches"):
        if there in CRATES and target not in public:
            return f"{here} include public headers only"
        return None
    if WIRE.search(name):
        if there == here:
            known = WIRE.search(target) or WIRE_BELOW.match(target)
            return None if known else "a wire file includes wire files only"
        known = WIRE_BELOW.match(target)
        return None if known else "a wire file knows no socket, clock or coroutine"
    if there == here:
        return None
    if CRATES.index(there) > CRATES.index(here):
        return f"{there} lies above {here}"
    if there not in ("runtime", "net"):
        return f"{here} and {there} do not know each other"
    if target not in public:
        return f"{target} is private to {there}"
    if here != "net" and there == "runtime" and not PROTOCOL_BELOW.match(target):
        return f"{here} knows runtime and its engine, time and sync"
    return None


def layering(house):
    public = house.public_headers()
    for name in house.files(".hpp", ".cpp"):
        for number, quote, target in house.includes(name):
            where = f"{name}:{number}: "
            if target.startswith("ouro/"):
                target = target.removeprefix("ouro/")
                if why := why_not(name, target, public):
                    yield where + why
                elif name in public and target not in public:
                    yield where + f"a public header includes {target}, which is not installed"
            elif quote == '"' and crate_of(name) in CRATES:
                yield where + "our headers are included as <ouro/…>"


# --- what a header may cost -------------------------------------------------------------------

COSTLY = re.compile(r"^(iostream|regex|functional|openssl/.*|fmt/.*)$")


def includes(house):
    for name in house.files(".hpp", folders=CRATES):
        for number, _, target in house.includes(name):
            formatting = name.endswith("format.hpp") and target.startswith("fmt/")
            if target.endswith("/format.hpp") and not name.endswith("/format.hpp"):
                yield f"{name}:{number}: a header that includes {target} brings fmt to every user"
            costly = COSTLY.match(target) and "/testing/" not in name  # those only tests include
            if costly and not formatting:
                yield f"{name}:{number}: <{target}> in a header costs every user its compile time"
        if "#pragma once" not in house.lines(name) and "/precompiled/" not in name:
            yield f"{name}:1: no #pragma once"
    for name in house.files(".cpp", folders=CRATES):
        own = name.removesuffix(".cpp") + ".hpp"
        first = next(house.includes(name), (1, "", ""))
        if (house.source / own).exists() and first[2] != f"ouro/{own}":
            yield f"{name}:{first[0]}: its own header comes first, which shows that it stands alone"


# What <ouro/net/stream.hpp> cannot do without, whatever library and compiler these come from.
STANDARD = ["chrono", "coroutine", "memory", "string", "system_error", "vector"]
OURS_MAX = 32
SHARE_MAX = 1.4


def given(house, includes):
    """What the compiler is given: the bytes after preprocessing, and our headers among them."""
    text = "".join(f"#include <{name}>\n" for name in includes)
    command = [*uncached(house.compiler), *house.compile_flags(), "-E", "-x", "c++", "-"]
    run = subprocess.run(in_build(house, command), input=text, text=True, capture_output=True)
    if run.returncode:
        return 0, set(), run.stderr
    ours = set(re.findall(r'^# \d+ "[^"]*include/ouro/([^"]+)"', run.stdout, re.M))
    return len(run.stdout), ours, ""


def budget(house):
    """<ouro/net/stream.hpp> gives the compiler little more to read than the standard library does.

    Bytes and headers are counted, not seconds: the verdict is the same on every machine.
    """
    header = "net/stream.hpp"
    least, _, errors = given(house, STANDARD)
    size, ours, more = given(house, [f"ouro/{header}"])
    if errors or more:
        yield f"{header}:1: does not compile:\n{errors}{more}"
        return
    print(f"<ouro/{header}>: {size} bytes, {size / least:.2f} of {least}; {len(ours)} headers")
    if size > SHARE_MAX * least:
        yield f"{header}:1: {size} bytes, more than {SHARE_MAX} times the {least} of {STANDARD}"
    if len(ours) > OURS_MAX:
        yield f"{header}:1: includes {len(ours)} of our headers; the limit is {OURS_MAX}"


def in_build(house, command):
    """The build's -I flags are relative to its folder."""
    return ["env", "-C", str(house.build), *command]


def uncached(compiler):
    """A compiler cache in front would answer for the compiler."""
    return [word for word in compiler if pathlib.Path(word).name not in ("ccache", "sccache")]


def headers(house):
    """Every public header compiles alone.

    Those that have a source are its first include (`includes`), and CI's debug leg compiles sources
    without a precompiled header. So here are the others.
    """
    flags = house.compile_flags()

    def alone(name):
        command = [*uncached(house.compiler), *flags, "-Werror", "-fsyntax-only", "-x", "c++", "-"]
        run = subprocess.run(in_build(house, command), input=f"#include <ouro/{name}>\n", text=True,
                             capture_output=True)
        return name, run.returncode, run.stderr

    public = sorted(house.public_headers())
    if not public:
        yield "meson.build:1: no public header is installed"
    public = [name for name in public
              if not (house.source / name).with_suffix(".cpp").exists()]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for name, code, errors in pool.map(alone, public):
            if code != 0:
                yield f"{name}:1: does not compile alone:\n{errors}"


def together(house):
    """All public headers compile in one source, in both orders: no name is declared twice."""
    flags = [f for f in house.compile_flags() if not f.startswith("-std=")]
    public = sorted(house.public_headers())
    ours = uncached(house.compiler)
    compilers = [[name] for name in ("g++", "clang++-19") if shutil.which(name)]
    if not any(pathlib.Path(ours[0]).name == each[0] for each in compilers):
        compilers.append(ours)
    # Each compiler sees both orders and both standards, and headers need no run-time types.
    for compiler in compilers:
        for standard, names, more in (("c++20", public, []),
                                      ("c++23", public[::-1], ["-fno-rtti"])):
            text = "".join(f"#include <ouro/{name}>\n" for name in names)
            command = [*compiler, *flags, f"-std={standard}", *more, "-Wno-unknown-warning-option",
                       "-DOURO_ALLOW_GCC12", "-Werror", "-fsyntax-only", "-x", "c++", "-"]
            run = subprocess.run(in_build(house, command), input=text, text=True,
                                 capture_output=True)
            if run.returncode != 0:
                what = " ".join([*compiler, standard, *more])
                yield f"meson.build:1: headers do not compile together ({what}):\n{run.stderr}"


# --- what is listed where ---------------------------------------------------------------------


def listed(house):
    """Every source is named in the meson.build beside it or above it, which is named above."""
    for name in house.files(".cpp", ".hpp"):
        path = pathlib.PurePosixPath(name)
        if path.is_relative_to("tests/consumer") or path.is_relative_to("benches/rivals"):
            continue  # projects of their own
        if path.suffix == ".hpp" and path.parts[0] not in CRATES:
            continue
        if not any(names(house, folder, path) for folder in path.parents):
            yield f"{name}:1: in no meson.build"
    yield from unreached(house)


def unreached(house):
    """A meson.build that none above it leads to says what is never built, and never tested."""
    for name in house.files("meson.build"):
        folder = pathlib.PurePosixPath(name).parent
        if folder.is_relative_to("tests/consumer/project"):
            continue
        for above in folder.parents:
            build = house.source / above / "meson.build"
            if not build.exists():
                continue
            if f"subdir('{folder.relative_to(above)}')" not in build.read_text(encoding="utf-8"):
                yield f"{name}:1: {above}/meson.build has no subdir('{folder.relative_to(above)}')"
            break


def names(house, folder, path):
    """Whether `folder`'s meson.build says 'path', or 'path' without its ending where programs live:
    'runtime/task' stands for runtime/task.cpp or runtime/task_test.cpp."""
    build = house.source / folder / "meson.build"
    if not build.exists():
        return False
    text = build.read_text(encoding="utf-8")
    relative = path.relative_to(folder)
    wanted = [relative.as_posix()]
    if path.parts[0] not in CRATES:
        wanted.append(relative.with_suffix("").as_posix().removesuffix("_test"))
    return any(f"'{name}'" in text for name in wanted)


# --- how a file looks -------------------------------------------------------------------------

LINES_MAX = 600
COLUMNS_MAX = 100
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
CPP = (".cpp", ".hpp", ".c", ".h")
TEXT = CPP + (".py", ".sh", "meson.build")
TOP = ["meson.build", "meson_options.txt", "dev", ".ci/run"]
SCRIPTS = [".ci", ".dev"]


def shape(house):
    top = [name for name in TOP if (house.source / name).exists()]
    scripts = house.files(".py", folders=SCRIPTS)
    for name in [*house.files(*TEXT), *scripts, *top]:
        text = house.lines(name)
        if text[-1] != "":
            yield f"{name}:{len(text)}: no newline at the end"
        if name.endswith(CPP) and len(text) - 1 > LINES_MAX:
            yield f"{name}:{LINES_MAX}: {len(text) - 1} lines; is it still one noun?"
        for number, line in enumerate(text, 1):
            where = f"{name}:{number}: "
            if len(line) > COLUMNS_MAX:
                yield where + f"{len(line)} columns; the limit is {COLUMNS_MAX}"
            if line != line.rstrip():
                yield where + "blanks at the end"
            if "\t" in line:
                yield where + "a tab"
            if UNFINISHED.search(line):
                yield where + "unfinished by its own words"


# --- what some files must say first ------------------------------------------------------------

# Headers in which a small change breaks what somebody far away relies on.
DANGEROUS = ["runtime/engine/executor.hpp", "runtime/engine/blocking_pool.hpp",
             "runtime/timeout.hpp", "net/session/lasting.hpp", "net/session/link.hpp",
             "net/session/session.hpp"]
NUMBERED = re.compile(r"^//  ?(\d+)\. ")
RULES_MIN = 4


def essays(house):
    """A dangerous header begins with its rules, numbered from one."""
    for name in DANGEROUS:
        essay = []
        for line in house.lines(name):
            if not line.startswith("//"):
                break
            if match := NUMBERED.match(line):
                essay.append(int(match[1]))
        if len(essay) < RULES_MIN or essay != list(range(1, len(essay) + 1)):
            yield f"{name}:1: does not begin with its rules, numbered from 1: {essay}"


# g++ 15 and 16 never destroy what such a line binds (runtime/compiler.hpp).
LEAKS = re.compile(r"\bauto\s*&{0,2}\s*\[[^\]]*\]\s*=\s*(?:\w+\()?\s*co_await\b")
# Where the line is shown as what not to write.
SHOWS_LEAK = re.compile(r"leak|what not to write")


def bindings(house):
    """Nothing of ours, examples and words included, binds the parts of what it awaits at once."""
    texts = list(house.files(".hpp", ".cpp", "README.md"))
    front = ["README.md"] if (house.source / "README.md").exists() else []
    for name in [*front, *texts]:
        lines = house.lines(name)
        for number, line in enumerate(lines, 1):
            both = line + " " + (lines[number].strip() if number < len(lines) else "")
            match = LEAKS.search(both)
            if match and match.start() < len(line) and not SHOWS_LEAK.search(line):
                yield f"{name}:{number}: g++ 15 and 16 leak that: name what was awaited first"


# --- time ---------------------------------------------------------------------------------------

# `+` on a point of ouro::clock saturates (runtime/clock.hpp). What goes round that place:
# other clocks, bare counts of nanoseconds, compound assignment, and casts of lengths.
NOW_PLUS = re.compile(r"([\w:.>()-]*)\bnow(?:\(\)|_)\s*\+(?![+=])")
OUR_CLOCK = re.compile(r"(^|[^\w:])(ouro::)?clock::(exact_)?$")
BARE_COUNT = re.compile(r"time_since_epoch\(\)\.count\(\)\s*[+*]")
COMPOUND = re.compile(r"\b(?:\w+_)?(?:until|deadline|due|when|expires|expires_at)_?"
                      r"\s*[+-]=")
NARROW_CAST = re.compile(r"duration_cast<(?:ouro::)?(?:duration|std::chrono::nanoseconds)>")


def time_sums(house):
    """Sums of time go through after(), the operators of ouro::clock, or saturating_add()."""
    for name in house.files(".hpp", ".cpp", folders=CRATES):
        if name in ("runtime/clock.hpp", "runtime/duration.hpp"):
            continue
        for number, line in enumerate(house.lines(name), 1):
            code = line.split("//")[0]
            sums = [m for m in NOW_PLUS.finditer(code) if not OUR_CLOCK.search(m[1])]
            if sums or BARE_COUNT.search(code) or COMPOUND.search(code):
                yield f"{name}:{number}: a sum of time that may begin anew; use after()"
            if NARROW_CAST.search(code):
                yield f"{name}:{number}: a cast that may overflow; a duration converts by itself"


# --- the front page ---------------------------------------------------------------------------

SNIPPET = re.compile(r"<!--\s*(\S+\.[ch]pp)\s*-->\s*\n```cpp\n(.*?)\n```", re.S)


def readme(house):
    """A ```cpp block after `<!-- examples/NAME.cpp -->` is a verbatim part of that file."""
    for name in ["README.md", *house.files("README.md")]:
        path = house.source / name
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        marked = SNIPPET.findall(text)
        if name == "README.md" and not marked:
            yield f"{name}:1: no program marked with <!-- examples/NAME.cpp -->"
        for example, snippet in marked:
            file = house.source / example
            if not file.exists():
                yield f"{name}:1: quotes {example}, which does not exist"
            elif snippet not in file.read_text(encoding="utf-8"):
                yield f"{name}:1: quotes a program that is not in {example}"


def rooms(house):
    yield from room_rule(house, CRATES)


def units(house):
    yield from unit_rule(house, CRATES)


RULES = [layering, rooms, units, includes, listed, shape, essays, bindings, readme, time_sums,
         headers, together, budget]


def main(rule, source, build, *compiler):
    check = {r.__name__: r for r in RULES}[rule]
    violations = list(check(House(source, build, list(compiler))))
    for violation in violations:
        print(violation)
    return 1 if violations else 0


sys.exit(main(*sys.argv[1:]))
