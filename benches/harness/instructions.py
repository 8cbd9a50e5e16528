"""Counts the user-space instructions of an echo with callgrind.

A server is run twice under valgrind, with few and with many echoes; what starting, connecting and
ending cost is the same in both, so the difference belongs to the echoes.

Valgrind 3.19 knows of a signal only when a system call that it takes for a blocking one returns,
or after some hundred thousand jumps. io_uring_enter is not among the former, so the server is kept
busy until it has heard that it is to end, and these echoes are counted, too.
"""

import pathlib
import re
import shutil
import signal
import tempfile
import time

from .clients import connected, echo_once
from .failure import Failure, Wrong

START_SECONDS_MAX = 40  # valgrind translates the program first
END_SECONDS_MAX = 20
OVERHEAD_SECONDS = 3  # of both runs together
FEW_ECHOES, MANY_ECHOES = 640, 12800


def echo_until_it_ends(server, peers):
    """Asks the server to end and returns how many more echoes it served."""
    echoes = 0
    server.process.send_signal(signal.SIGTERM)
    give_up = time.monotonic() + END_SECONDS_MAX
    try:
        while server.process.poll() is None and time.monotonic() < give_up:
            echo_once(peers)
            echoes += len(peers)
    except (OSError, Wrong):  # it ended in the middle of a round
        pass
    return echoes


def count(bench, work, contender, echoes):
    """A server's whole life with at least that many echoes: instructions and echoes."""
    connections, tls = work.options["connections"], work.options.get("tls", False)
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "callgrind.out"
        wrapper = ("valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--quiet")
        with bench.server(contender, wrapper, start_seconds_max=START_SECONDS_MAX) as server:
            with connected(server.port, connections, tls) as peers:
                for _ in range(echoes // connections):
                    echo_once(peers)
                echoes += echo_until_it_ends(server, peers)
        try:
            text = out.read_text()
        except OSError as error:
            raise Failure("callgrind wrote nothing") from error
    total = re.search(r"^(?:totals|summary): (\d+)", text, re.MULTILINE)
    if not total or int(total[1]) == 0:
        raise Failure("callgrind counted nothing")
    return int(total[1]), echoes


def measure(bench, work, contender, _seconds):
    if not shutil.which("valgrind"):
        raise Failure("valgrind is not installed")
    few, few_echoes = count(bench, work, contender, FEW_ECHOES)
    many, many_echoes = count(bench, work, contender, MANY_ECHOES + few_echoes)
    return {"instructions": (many - few) / (many_echoes - few_echoes)}
