"""Measures a server under a load: its CPU time per operation, throughput and latency."""

import json
import time

from .bench import run_pinned
from .failure import Wrong
from .figure import LATENCIES
from .machine import TICK, CoreMeter
from .server import CpuMeter

SETTLE_SECONDS = 0.05  # the server still closes the connections of the warm-up
OVERHEAD_SECONDS = 0.2  # of a run besides its load: starting, settling and ending the server
RECORD_BYTES = 16384  # of a load that counts records


def load_command(build, work, contender, port, seconds):
    """The load's program and its options, which are those of the work under the same names."""
    options = {key: value for key, value in work.options.items() if key not in ("load", "counts")}
    options |= {"port": port, "seconds": f"{seconds:g}"}
    if work.options["load"] == "fanout_load":
        options["protocol"] = contender.protocol
    words = [f"{build}/benches/{work.options['load']}", "--json"]
    if contender.clear:
        options["clear"] = True
    for key, value in options.items():
        words += [f"--{key}"] if value is True else [f"--{key}", str(value)]
    return words


def run_load(bench, work, contender, port, seconds):
    command = load_command(bench.build, work, contender, port, seconds)
    said = run_pinned(command, seconds, bench.cores.load)
    try:
        got = json.loads(said)
        if got[work.options["counts"]] > 0:
            return got
    except (ValueError, KeyError) as error:
        raise Wrong(f"the load did not report {work.options['counts']}: {said!r}") from error
    raise Wrong("the server answered nothing")


def measure(bench, work, contender, seconds):
    """One server under one load, started once."""
    with bench.server(contender) as server:
        meter = CpuMeter(server.process.pid)
        warmup = run_load(bench, work, contender, server.port, bench.warmup_seconds)
        time.sleep(SETTLE_SECONDS)
        cores, began, before = CoreMeter(bench.cores.both), time.monotonic(), meter.read()
        load = run_load(bench, work, contender, server.port, seconds)
        after, ended = meter.read(), time.monotonic()
        total, user, system = (b - a for a, b in zip(before, after))
        others = cores.others_percent(server_seconds=total / 1e9)
    counts = work.options["counts"]
    operations = load[counts]
    unit, scale = ("ns", 1) if counts == "deliveries" else ("us", 1000)
    figures = {
        "operations": operations,
        f"cpu_{unit}": total / scale / operations,
        f"user_{unit}": user * 1e9 / TICK / scale / operations,
        f"system_{unit}": system * 1e9 / TICK / scale / operations,
        "busy": 100 * total / 1e9 / (ended - began),
        "others": others,
        f"{counts}_per_second": load[f"{counts}_per_second"],
    }
    if counts == "records":
        figures["mb_per_cpu_second"] = operations * RECORD_BYTES * 1000 / total
    if counts == "handshakes":
        figures["handshakes_per_cpu_second"] = operations * 1e9 / total
    figures |= {key: load[key] for key in LATENCIES if key in load}
    calls = server.system_calls()  # since the server started
    if calls is not None:
        figures["system_calls"] = calls / (operations + warmup[counts])
    return figures
