"""Measures a client of somebody else's server, which is started for each run and stays the same."""

import json

from .bench import run_pinned
from .contender import SERVERS
from .failure import Wrong
from .figure import LATENCIES
from .machine import CoreMeter
from .server import CpuMeter

OVERHEAD_SECONDS = 0.2  # of a run besides its time: starting both, storing the values, ending
COUNTED = ("allocations", "system_calls")  # by some clients, in the measured part


def figures_of(got):
    """What a client's line of JSON says, per request."""
    requests = got["requests"]
    figures = {
        "operations": requests,
        "requests_per_second": got["requests_per_second"],
        "wall_ns": got["wall_ns"] / requests,
        "cpu_ns": got["cpu_ns"] / requests,
    }
    figures |= {key: got[key] / requests for key in COUNTED if key in got}
    return figures | {key: got[key] for key in LATENCIES if key in got}


def measure(bench, work, contender, seconds):
    """One client with a server of its own."""
    with bench.server(SERVERS[contender.server or work.options["server"]]) as server:
        command = bench.words(contender, port=server.port, work=work.name, seconds=f"{seconds:g}")
        meter, cores = CpuMeter(server.process.pid), CoreMeter(bench.cores.both)
        before = meter.read()[0]
        said = run_pinned(command, seconds, bench.cores.load)
        used = (meter.read()[0] - before) / 1e9
        others = cores.others_percent(server_seconds=used)
    try:
        figures = figures_of(json.loads(said))
    except (ValueError, KeyError, TypeError) as error:
        raise Wrong(f"did not report its figures but {said!r}") from error
    except ZeroDivisionError as error:
        raise Wrong("was answered nothing") from error
    return figures | {"others": others}
