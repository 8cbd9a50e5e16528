"""The load generator finds every message, at a fixed rate and as fast as possible."""

import functools
import sys

from servers import free_port, pubsub_load, running

EXAMPLES = sys.argv[1]
REACTOR = sys.argv[2]
load = functools.partial(pubsub_load, EXAMPLES)


def main():
    port = free_port()
    with running([f"{EXAMPLES}/pubsub_server", "--listen", f"127.0.0.1:{port}",
                  "--reactor", REACTOR]):
        for rate in (50, 500):
            run, got = load(port, "--rate", str(rate), "--seconds", "2")
            assert run.returncode == 0, run.stdout + run.stderr
            assert got["expected"] == got["delivered"] == rate * 2 * 5 * 25, got
        run, got = load(port, "--rate", "max", "--window", "64", "--seconds", "1")
        assert run.returncode == 0, run.stdout + run.stderr
        assert got["delivered"] == got["expected"] > 0, got

    # Without a server: one sentence and 1.
    run, _ = load(free_port(), "--seconds", "1")
    assert run.returncode == 1 and len(run.stderr.splitlines()) == 1, run.stderr
    run, _ = load(port, "--rate", "fast")
    assert run.returncode == 2 and len(run.stderr.splitlines()) == 1, run.stderr


main()
