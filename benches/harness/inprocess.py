"""Runs a work inside one process, ours or its twin in a rival's runtime."""

import json

from .bench import run_pinned
from .failure import Wrong
from .machine import CoreMeter

OVERHEAD_SECONDS = 0.1


def measure(bench, work, contender, seconds):
    cores = bench.cores.both if contender.both_cores else (bench.cores.server,)
    command = bench.words(contender, work=work.name, seconds=f"{seconds:g}")
    meter = CoreMeter(cores)
    said = run_pinned(command, seconds, *cores)
    others = meter.others_percent()
    try:
        got = json.loads(said)
        operations, wall, cpu = got["operations"], got["wall_ns"], got["cpu_ns"]
    except (ValueError, KeyError) as error:
        raise Wrong(f"did not report its figures but {said!r}") from error
    if operations <= 0:
        raise Wrong("did nothing")
    figures = {
        "operations": operations,
        "wall_ns": wall / operations,
        "cpu_ns": cpu / operations,
        "others": others,
    }
    if "bytes" in got:  # it stands beside servers, in their units
        figures |= {
            "cpu_us": cpu / 1000 / operations,
            "mb_per_cpu_second": got["bytes"] * 1000 / cpu,
        }
    return figures
