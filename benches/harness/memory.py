"""Measures the private memory of a server per idle connection."""

import pathlib
import time

from .clients import connected
from .failure import Failure

SETTLE_SECONDS = 0.2
OVERHEAD_SECONDS = 2  # opening some thousand connections


def private_bytes(pid):
    """What belongs to the process alone, in user space: what would be free if it ended.

    The kernel's part of a connection, its socket buffers, is the same for every server and is not
    in here; nor is what a ring shares with the kernel.
    """
    try:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError as error:
        raise Failure(f"its memory cannot be read: {error}") from error
    lines = [line.split() for line in text.splitlines() if line.startswith("Private_")]
    return sum(int(fields[1]) for fields in lines) * 1024


def measure(bench, work, contender, _seconds):
    """The slope between a quarter of the connections and all of them.

    What a server has only once, such as a pool of receive buffers that the first connections go
    through, is in both and falls out.
    """
    count, tls = work.options["connections"], work.options.get("tls", False)
    few = count // 4
    with bench.server(contender) as server, connected(server.port, few, tls):
        time.sleep(SETTLE_SECONDS)
        before = private_bytes(server.process.pid)
        with connected(server.port, count - few, tls):
            time.sleep(SETTLE_SECONDS)
            after = private_bytes(server.process.pid)
    return {"bytes": (after - before) / (count - few)}
