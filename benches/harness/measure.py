"""One run of one contender: finds who measures it, and repeats it when others disturbed it."""

from . import client, idle, inprocess, instructions, memory, network, speed

KINDS = {
    "network": network,
    "client": client,
    "memory": memory,
    "idle": idle,
    "inprocess": inprocess,
    "instructions": instructions,
    "speed": speed,
}
OTHERS_MAX = 3.0  # % of the cores; above it a run is repeated
TRIES_MAX = 3


def run_seconds(work, seconds, warmup_seconds):
    """How long a run takes, roughly."""
    warmup = warmup_seconds if work.kind == "network" else 0
    return seconds + warmup + KINDS[work.kind].OVERHEAD_SECONDS


def measure_once(bench, work, contender, seconds):
    return KINDS[contender.kind or work.kind].measure(bench, work, contender, seconds)


class Repeats:
    """The time that may be spent on repeating disturbed runs, so that a run stays bounded."""

    def __init__(self, seconds):
        self.seconds = seconds

    def take(self, seconds):
        """Whether that much is left; it is then gone."""
        if seconds > self.seconds:
            return False
        self.seconds -= seconds
        return True


def measure_calmly(bench, work, contender, seconds, repeats):
    """The first run that others hardly disturbed, or else the least disturbed one."""
    cost = run_seconds(work, seconds, bench.warmup_seconds)
    runs = [measure_once(bench, work, contender, seconds)]
    while runs[-1].get("others", 0) > OTHERS_MAX:
        if len(runs) == TRIES_MAX or not repeats.take(cost):
            break
        runs.append(measure_once(bench, work, contender, seconds))
    return min(runs, key=lambda run: run.get("others", 0))
