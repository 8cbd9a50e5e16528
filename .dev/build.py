"""Builds with ninja behind one line of progress: `build.py BUILD [TARGET…]`.

What fails is shown whole, and so are warnings.
"""

import os
import re
import subprocess
import sys

from progress import Progress
from tree import Tree

STEP = re.compile(r"^\[(\d+)/(\d+)\] (.*)$")
LINK = 0.1  # of a compilation


def planned(build, targets, weight):
    """The work that ninja would do, in compilations; None when there is none."""
    plan = subprocess.run(["ninja", "-C", build, "-n", *targets], text=True, capture_output=True)
    steps = [match[3] for line in plan.stdout.splitlines() if (match := STEP.match(line))]
    return sum(cost(step, weight) for step in steps)


def cost(step, weight):
    return weight.get(step.rsplit(" ", 1)[-1], LINK)


def build(folder, targets=(), jobs=None):
    """True when it succeeded."""
    environment = os.environ | {"NINJA_STATUS": "[%f/%t] "}
    # A changed meson.build is read first, so that what is planned is what will be done.
    subprocess.run(["ninja", "-C", folder, "build.ninja"], capture_output=True, env=environment)
    weight = Tree(folder).weights()
    total = planned(folder, targets, weight)
    progress = Progress("build", total)
    command = ["ninja", "-C", folder, "-j", str(jobs or os.cpu_count()), *targets]
    done, said = 0.0, []
    with subprocess.Popen(command, text=True, errors="replace", env=environment,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as ninja:
        for line in ninja.stdout:
            line = line.rstrip("\n")
            if match := STEP.match(line):
                done += cost(match[3], weight)
                progress.at(done, match[3].rsplit(" ", 1)[-1])
            elif not line.startswith("ninja: ") or "error" in line:
                said.append(line)
    good = ninja.returncode == 0
    progress.end("done" if good else "failed")
    if said:
        print("\n".join(said), flush=True)
    return good


if __name__ == "__main__":
    sys.exit(0 if build(sys.argv[1], sys.argv[2:]) else 1)
