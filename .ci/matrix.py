"""The matrix: builds one after the other, and beside them the tests of what is built already.

Compilers keep the cores busy, tests mostly wait: so the next build runs while the last one is
tested, a little behind it (nice). Every leg prints one line; what fails is shown; then come the
table of where the time went and, last, the sum.
"""

import json
import os
import pathlib
import queue
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "build-ci"
MINUTES_MAX = 80
SLOWEST = 10
SWEEP_SEEDS = 20
sys.path.insert(0, str(ROOT / ".dev"))
from tree import Tree  # noqa: E402  (what ./dev is made of)

# clang marks undefined symbols of the sanitizers in our libraries; they come with the program.
SANITIZED = ["--buildtype=plain", "-Doptimization=1", "-Dcpp_args=-g1", "-Db_lundef=false"]
QUICK = ["-Ddebug=false", "-Dcpp_args=-g1"]
GCC = {"CXX": "g++", "CC": "gcc"}
NEWEST_GCC = {"CXX": os.environ.get("CI_GXX", "g++"), "CC": os.environ.get("CI_GCC", "gcc")}
# Links 200 programs in a quarter of the time; the debug leg takes the linker that users have.
LLD = {"CXX_LD": "lld", "CC_LD": "lld", "PATH": os.environ["PATH"] + ":/usr/lib/llvm-19/bin"}
CLANG = {"CXX": "clang++-19", "CC": "clang-19", **LLD}


class Build:
    """A build folder: how it is set up and what is built in it; then what is tested there."""

    def __init__(self, name, setup, environment, tests, suites=()):
        self.name, self.setup, self.environment, self.tests = name, setup, environment, tests
        self.suites = suites  # only what these need is built; everything, when there are none
        self.folder = OUT / name

    def make(self, log):
        command = ["meson", "setup", *self.setup, str(self.folder)]
        if run(command, log, self.environment) != 0:
            return False
        tests = Tree(self.folder).named(self.suites)
        targets = Tree(self.folder).needs(tests) if self.suites else []
        return run(["ninja", "-C", str(self.folder), *targets], log) == 0


class DevBuild(Build):
    """The one that the README's second command makes."""

    def __init__(self, tests):
        super().__init__("dev", [], {"OURO_SETUP": "-Dwerror=true -Dtesting=true"}, tests)
        self.folder = ROOT / "build"

    def make(self, log):
        return run(["./dev", "build"], log, self.environment) == 0


class Leg:
    """Tests in a build: options for meson, or a command of its own that does the same."""

    def __init__(self, name, options=(), environment=None, command=None):
        self.name, self.options, self.command = name, list(options), command
        self.environment = environment or {}

    def run(self, folder, log):
        command = self.command or [
            "meson", "test", "-C", str(folder), "--no-rebuild", "--print-errorlogs",
            "--num-processes", str(2 * os.cpu_count()), "--logbase", self.name, *self.options]
        return run(command, log, self.environment, nice=0)

    def results(self, folder):
        name = "testlog" if self.command else self.name
        log = folder / "meson-logs" / f"{name}.json"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


class Check:
    """One command that is one test."""

    def __init__(self, name, command):
        self.name, self.command, self.environment = name, command, {}

    def run(self, folder, log):
        return run(self.command, log, nice=0)

    def results(self, folder):
        return None


# The house and the packages are the same in every build, so only the first leg looks at them.
UNITS = ["--no-suite", "house", "--no-suite", "package"]
BUILDS = [
    DevBuild([
        Leg("dev", command=["./dev", "test"]),
        Leg("epoll", UNITS, {"OURO_REACTOR": "epoll"}),
        Check("sweep", ["./dev", "sweep", "@seeds"]),
        Check("fmt", ["./dev", "fmt", "--check"]),
    ]),
    Build("asan", [*SANITIZED, "-Dwerror=true", "-Dfuzz=enabled"], CLANG, [
        Leg("asan", [*UNITS, "--no-suite", "fuzz", "--timeout-multiplier=6"]),
        Leg("fuzz", ["--suite", "fuzz", "--timeout-multiplier=4"]),
    ]),
    # The tests are optimised here: headers become part of them. What g++ then warns of, it guesses
    # (maybe-uninitialized in coroutine frames), so warnings are errors in the other builds.
    Build("gcc", [*QUICK, "-Dtest_optimization=2"], {**NEWEST_GCC, **LLD},
          [Leg("gcc", [*UNITS, "--timeout-multiplier=2"])]),
    # Without precompiled headers, so that each source has to name what it uses.
    Build("debug", [*QUICK, "-Dwerror=true", "-Doptimization=0", "-Db_pch=false",
                    "-Dbenches=disabled"], GCC,
          [Leg("debug", [*UNITS, "--timeout-multiplier=2"])]),
    Build("tsan", [*SANITIZED, "-Db_sanitize=thread", "-Dbenches=disabled"], CLANG,
          [Leg("tsan", ["--suite", "threads", "--timeout-multiplier=8"])], suites=["threads"]),
]

START = time.monotonic()
spent = []  # (what, seconds, CPU seconds)
passed = failed = 0
slow_tests = []


def run(command, log, environment=None, nice=10):
    """Runs a command, which is ended when the time for everything is up."""
    seconds = max(1, MINUTES_MAX * 60 - (time.monotonic() - START))
    words = ["timeout", "--kill-after=10", str(round(seconds)), "nice", "-n", str(nice), *command]
    with open(log, "ab") as out:
        return subprocess.run(words, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out,
                              stderr=subprocess.STDOUT, env=os.environ | (environment or {})
                              ).returncode


def say(name, start, good, bad, log):
    global passed, failed
    passed, failed = passed + good, failed + bad
    print(f"{name:<8} {time.monotonic() - start:4.0f} s  {good:3} passed, {bad} failed", flush=True)
    if bad:
        for line in log.read_text(errors="replace").splitlines()[-250:]:
            print(f"  {name}| {line}", flush=True)


def test(leg, folder):
    """Runs a leg and counts. One that fails without a failed test is one failure."""
    start, log = time.monotonic(), OUT / f"{leg.name}.log"
    status = leg.run(folder, log)
    results = leg.results(folder)
    if results is None:
        good, bad = (1, 0) if status == 0 else (0, 1)
    else:
        good = sum(said["result"] in ("OK", "EXPECTEDFAIL") for said in results)
        bad = sum(said["result"] not in ("OK", "EXPECTEDFAIL", "SKIP") for said in results)
        bad = bad or int(status != 0 or good == 0)
        slow_tests.extend((said["duration"], f"{leg.name}: {said['name'].split(' / ')[-1]}")
                          for said in results)
    spent.append((f"tests of {leg.name}", time.monotonic() - start))
    say(leg.name, start, good, bad, log)


def test_what_is_built(built):
    while (build := built.get()) is not None:
        for leg in build.tests:
            test(leg, build.folder)


def seeds():
    """Each commit tries others: where they begin, its hash says."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, text=True, capture_output=True)
    first = int(commit.stdout.strip()[:6] or "1", 16) * SWEEP_SEEDS + 1
    return f"{first}-{first + SWEEP_SEEDS - 1}"


def slow_objects():
    for build in BUILDS:
        log = build.folder / ".ninja_log"
        for line in log.read_text().splitlines()[1:] if log.exists() else []:
            begin, end, _, output, *_ = line.split("\t")
            if output.endswith(".o"):
                yield (int(end) - int(begin)) / 1000, f"{build.name}: {output}"


def table(title, rows):
    print(f"\n{title}")
    for seconds, what in rows:
        print(f"  {seconds:6.1f} s  {what}")


def main():
    OUT.mkdir(exist_ok=True)
    for build in BUILDS:
        for leg in build.tests:
            leg.command = leg.command and [seeds() if word == "@seeds" else word
                                           for word in leg.command]
    built = queue.Queue()
    tester = threading.Thread(target=test_what_is_built, args=[built])
    tester.start()
    for build in BUILDS:
        start, log = time.monotonic(), OUT / f"build-{build.name}.log"
        good = build.make(log)
        spent.append((f"build {build.name}", time.monotonic() - start))
        if good:
            print(f"{build.name:<8} {time.monotonic() - start:4.0f} s  built", flush=True)
            built.put(build)
        else:
            say(f"build {build.name}", start, 0, 1, log)
    built.put(None)
    tester.join()

    whole = time.monotonic() - START
    table(f"where the {whole / 60:.0f} minutes went (builds and tests run side by side)",
          [(seconds, what) for what, seconds in spent])
    table("the slowest to compile", sorted(slow_objects(), reverse=True)[:SLOWEST])
    table("the slowest tests", sorted(slow_tests, reverse=True)[:SLOWEST])
    print(f"\n{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


sys.exit(main())
