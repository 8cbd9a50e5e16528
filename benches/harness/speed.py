"""What a cipher alone does: `openssl speed`, one thread on the server's core."""

import re

from .bench import run_pinned
from .failure import Wrong
from .machine import CoreMeter

OVERHEAD_SECONDS = 0.8  # the tool takes whole seconds, at least one


def measure(bench, _work, contender, _seconds):
    meter = CoreMeter((bench.cores.server,))
    said = run_pinned(bench.words(contender), 1, bench.cores.server)
    found = re.search(r"^\+F:\d+:[^:]+:([\d.]+)$", said, re.MULTILINE)
    if not found or float(found[1]) <= 0:
        raise Wrong(f"did not report its speed but {said!r}")
    return {"mb_per_cpu_second": float(found[1]) / 1e6, "others": meter.others_percent()}
