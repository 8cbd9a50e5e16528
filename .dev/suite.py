"""Runs tests behind one line of progress: `suite.py BUILD [--list] [NAME…]`.

A name is a test (net/writer), a folder of tests (net) or a suite (house); without one, every test
runs. Only what the tests need is built. What fails is shown whole, and the last line counts.
"""

import json
import os
import pathlib
import re
import subprocess
import sys

from build import build
from progress import Progress
from tree import Tree

LINE = re.compile(r"^\s*\d+/\d+ (?:.* / )?(\S.*?)\s+(OK|FAIL|TIMEOUT|SKIP|ERROR|EXPECTEDFAIL"
                  r"|UNEXPECTEDPASS|INTERRUPT)\s+([\d.]+)s")
GOOD = ("OK", "EXPECTEDFAIL")
USUAL = 0.5  # seconds of a test that has never run here


def durations(log):
    """What the tests took when they ran last."""
    known = {}
    if log.exists():
        for line in log.read_text().splitlines():
            said = json.loads(line)
            known[said["name"].rsplit(" / ", 1)[-1]] = said["duration"]
    return known


def failures(log):
    """The whole of what each failed test printed."""
    for line in log.read_text().splitlines():
        said = json.loads(line)
        if said["result"] in GOOD + ("SKIP",):
            continue
        name = said["name"].rsplit(" / ", 1)[-1]
        yield f"--- {name}: {said['result']} after {said['duration']:.1f} s\n" \
              f"{said.get('stdout', '')}{said.get('stderr', '')}"


def run(folder, names=(), options=(), logbase="testlog"):
    """Runs the named tests, or all, and tells how it went. True when none failed."""
    log = pathlib.Path(folder) / "meson-logs" / f"{logbase}.json"
    known = durations(log)
    log.unlink(missing_ok=True)
    tests = Tree(folder).named(names)
    total = sum(known.get(test.meson_name, USUAL) for test in tests)
    progress = Progress("tests", total)
    # Most tests wait more than they compute.
    jobs = str(2 * os.cpu_count())
    command = ["meson", "test", "-C", folder, "--no-rebuild", "--num-processes", jobs,
               "--logbase", logbase, *options, *[test.meson_name for test in tests if names]]
    done = good = bad = 0
    with subprocess.Popen(command, text=True, errors="replace", stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as meson:
        said = []
        for line in meson.stdout:
            said.append(line)
            if match := LINE.match(line):
                done += known.get(match[1], USUAL)
                good += match[2] in GOOD
                bad += match[2] not in GOOD + ("SKIP",)
                if match[2] not in GOOD:
                    progress.clear()
                    print(f"{match[1]}: {match[2]}", flush=True)
                progress.at(done, f"{good} passed, {bad} failed")
    progress.end(f"{good} passed, {bad} failed")
    if not log.exists():
        print("".join(said))
        return False
    for words in failures(log):
        print(words, flush=True)
    count = pathlib.Path(__file__).parent.parent / ".ci/counts.py"
    counted = subprocess.run([sys.executable, str(count), str(log)]).returncode
    return meson.returncode == 0 and counted == 0


def main(folder, *words):
    tree = Tree(folder)
    names = [word for word in words if not word.startswith("--")]
    options = [word for word in words if word.startswith("--") and word != "--list"]
    try:
        tests = tree.named(names)
    except KeyError as name:
        print(f"dev: there is no test {name}; ./dev test --list lists them", file=sys.stderr)
        return 2
    if "--list" in words:
        print("\n".join(sorted(test.name for test in tests)))
        return 0
    needed = tree.needs(tests)
    if (needed or not names) and not build(folder, needed if names else ()):
        return 1
    return 0 if run(folder, names, options) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
