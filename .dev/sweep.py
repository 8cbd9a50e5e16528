"""Runs everything simulated with many seeds: `sweep.py BUILD SEEDS [NAME…]`.

SEEDS is a count (1000: the seeds 1 to 1000) or a range (501-520). A failure prints the command that
repeats it; the last line counts the programs.
"""

import collections
import concurrent.futures
import os
import re
import subprocess
import sys
import threading

from build import build
from progress import Progress, spell
from tree import Tree

AT_ONCE = 25       # seeds that one run of a program tries
PATIENCE = 20 * 60  # seconds for such a run
ENVIRONMENT = os.environ | {"OURO_REACTOR": "sim"}
ONLY = "--test-suite=simulated"


def span(text):
    """'1000' -> (1, 1000), '501-520' -> (501, 520)."""
    first, dash, last = text.partition("-")
    return (int(first), int(last)) if dash else (1, int(first))


def simulated(test):
    """Whether the program has a test that a seed decides."""
    if "unit" not in test.suites or len(test.command) != 1:
        return False
    counted = subprocess.run([*test.command, ONLY, "--count"], text=True, capture_output=True,
                             env=ENVIRONMENT)
    found = re.search(r"passing the current filters: (\d+)", counted.stdout)
    return bool(found) and int(found[1]) > 0


def attempt(test, first, last):
    """What a run with these seeds said when it failed; empty when it did not."""
    environment = ENVIRONMENT | {"OURO_SEEDS": f"{first}-{last}"}
    try:
        run = subprocess.run([*test.command, ONLY], text=True, errors="replace", env=environment,
                             timeout=PATIENCE, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except subprocess.TimeoutExpired:
        return f"took more than {spell(PATIENCE)} with the seeds {first} to {last}"
    return run.stdout + f"\nended with {run.returncode}" if run.returncode else ""


def repeat(test, said, first, last):
    seed = re.search(r"OURO_SEED=(\d+)", said)
    chosen = f"OURO_SEED={seed[1]}" if seed else f"OURO_SEEDS={first}-{last}"
    return f"repeat it with: {chosen} ./dev test {test.name}"


def sweep(folder, seeds, names):
    """True when no program failed with any seed."""
    first, last = span(seeds)
    tree = Tree(folder)
    tests = [test for test in tree.named(names) if "unit" in test.suites]
    if not build(folder, tree.needs(tests)):
        return False
    tests = [test for test in tests if simulated(test)]
    pieces = collections.deque((test, begin, min(begin + AT_ONCE - 1, last))
                               for begin in range(first, last + 1, AT_ONCE) for test in tests)
    progress = Progress(f"seeds {first} to {last}", len(pieces))
    failed, spent, lock = set(), collections.Counter(), threading.Lock()
    done = 0

    def work(piece):
        nonlocal done
        test, begin, end = piece
        said, took = "", Progress("", 1)
        if test.name not in failed:  # once is enough
            said = attempt(test, begin, end)
        with lock:
            done += 1
            spent[test.name] += took.seconds()
            if said:
                failed.add(test.name)
                progress.clear()
                print(f"--- {test.name}\n{said}\n{repeat(test, said, begin, end)}\n", flush=True)
            progress.at(done, test.name)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(work, pieces))
    progress.end(f"{len(tests)} programs")
    slowest = ", ".join(f"{name} {spell(took)}" for name, took in spent.most_common(5))
    print(f"the slowest: {slowest}")
    print(f"{len(tests) - len(failed)} passed, {len(failed)} failed", flush=True)
    return bool(tests) and not failed


def main(folder, *words):
    seeds = "100"
    if words and re.fullmatch(r"\d+(-\d+)?", words[0]):
        seeds, *words = words
    try:
        return 0 if sweep(folder, seeds, words) else 1
    except KeyError as name:
        print(f"dev: there is no test {name}; ./dev test --list lists them", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
