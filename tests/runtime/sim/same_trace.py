"""`same_trace.py PROGRAM OTHER`: two builds of one program tell the same stories."""

import subprocess
import sys

SEEDS = [str(seed) for seed in range(1, 51)]


def stories(program):
    run = subprocess.run([program, *SEEDS], text=True, capture_output=True, check=True)
    return run.stdout.splitlines()


def main(program, other):
    once, again, otherwise = stories(program), stories(program), stories(other)
    for one, two, three in zip(once, again, otherwise, strict=True):
        if one != two:
            sys.exit(f"two runs differ:\n{one}\n{two}")
        if one != three:
            sys.exit(f"two builds differ:\n{one}\n{three}")
    hashes = {line.split()[-1] for line in once}
    if len(once) != len(SEEDS) or len(hashes) != len(SEEDS):
        sys.exit(f"{len(SEEDS)} seeds tell {len(hashes)} stories")
    print("\n".join(once[:3]))


main(*sys.argv[1:])
