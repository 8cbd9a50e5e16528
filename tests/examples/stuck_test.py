"""The program that deadlocks is told so, with the place where each task waits."""

import re
import subprocess
import sys

REPORT = r"""ouro: deadlock: nothing is ready and nothing can ever wake
3 tasks on worker 0 \(\w+\)
task 1 "main", waiting, .* old
  bank  examples/stuck\.cpp:33
    scope
      task 3 "savings to wages", waiting, .* old, spawned at examples/stuck\.cpp:29
        transfer  examples/stuck\.cpp:20
          mutex
      task 4 "wages to savings", waiting, .* old, spawned at examples/stuck\.cpp:30
        transfer  examples/stuck\.cpp:20
          mutex
"""


def main():
    run = subprocess.run([f"{sys.argv[1]}/stuck"], capture_output=True, text=True, timeout=30)
    assert run.returncode == 1, f"exit code {run.returncode}\n{run.stderr}"
    assert re.fullmatch(REPORT, run.stderr), run.stderr


main()
