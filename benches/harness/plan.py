"""What a run is going to do and how long that takes, before it does it."""

from dataclasses import dataclass

from .measure import run_seconds

QUICK_SECONDS_MAX = 480
QUICK_WARMUP_SECONDS = 0.1
WARMUP_SECONDS = 0.3


@dataclass(frozen=True)
class Step:
    work: object
    contenders: list
    rounds: int
    seconds: float  # of one run
    run_seconds: float  # with everything around it

    @property
    def runs(self):
        return self.rounds * len(self.contenders)


def make_plan(works, quick, rounds):
    warmup = warmup_seconds(quick)
    steps = []
    for work in works:
        seconds = work.seconds_of(quick)
        whole = run_seconds(work, seconds, warmup)
        contenders = work.contenders_of(quick)
        steps.append(Step(work, contenders, work.rounds(rounds), seconds, whole))
    return steps


def warmup_seconds(quick):
    return QUICK_WARMUP_SECONDS if quick else WARMUP_SECONDS


def total_seconds(plan):
    return sum(step.runs * step.run_seconds for step in plan)


def repeat_seconds(plan, quick):
    """How long disturbed runs may be repeated."""
    if quick:
        return max(0, QUICK_SECONDS_MAX - total_seconds(plan))
    return total_seconds(plan) / 2
