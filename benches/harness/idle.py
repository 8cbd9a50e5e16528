"""Measures the CPU time of a server whose connections are all silent."""

import time

from .clients import connected
from .server import CpuMeter

SETTLE_SECONDS = 0.1
OVERHEAD_SECONDS = 0.3


def measure(bench, work, contender, seconds):
    with bench.server(contender) as server:
        meter = CpuMeter(server.process.pid)
        with connected(server.port, work.options["connections"]):
            time.sleep(SETTLE_SECONDS)
            before, began = meter.read(), time.monotonic()
            time.sleep(seconds)
            after, ended = meter.read(), time.monotonic()
    return {"idle_us": (after[0] - before[0]) / 1000 / (ended - began)}
