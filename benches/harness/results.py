"""What came out, and how it is kept: one JSON object per line, the first one the machine."""

import json
import statistics
from dataclasses import dataclass, field

from .figure import FIGURES
from .spread import ratio, spread


@dataclass
class Result:
    """One contender in one work. A round in which it could not be measured is None."""

    work: str
    contender: str
    role: str
    headline: str
    floor: str = ""
    rounds: list = field(default_factory=list)
    why: str = ""  # it could not be measured, or did wrong
    wrong: bool = False

    def values(self, key):
        return [None if each is None else each.get(key) for each in self.rounds]

    def spread(self, key):
        return spread(self.values(key))

    def value(self, key):
        """The one number to show; None when there is none."""
        known = [value for value in self.values(key) if value is not None]
        if not known:
            return None
        return statistics.mean(known) if FIGURES[key].sampled else statistics.median(known)

    def ratio(self, other, key=""):
        """This one's figure divided by the other's, round by round; the headline by default."""
        key = key or self.headline
        return ratio(self.values(key), other.values(key)) if other else None

    @property
    def measured(self):
        return any(self.rounds)


class Results:
    """All results of a run, by work and contender, in the order in which they were measured."""

    def __init__(self, machine, each=()):
        self.machine = machine
        self.all = {}
        for result in each:
            self.add(result)

    def add(self, result):
        self.all.setdefault(result.work, {})[result.contender] = result

    def of(self, work):
        return list(self.all.get(work, {}).values())

    def find(self, work, contender):
        """None when it was not measured."""
        found = self.all.get(work, {}).get(contender)
        return found if found and found.measured else None

    def rivals(self, work):
        return [each for each in self.of(work) if each.role == "rival" and each.measured]

    def __iter__(self):
        return (result for each in self.all.values() for result in each.values())


def as_line(result, peers):
    """A result for programs: every round, and what follows from them."""
    line = {
        "work": result.work,
        "contender": result.contender,
        "role": result.role,
        "headline": result.headline,
    }
    if result.floor:
        line["floor"] = result.floor
    if result.why:
        line |= {"why": result.why, "wrong": result.wrong}
    if not result.measured:
        return line
    middle = result.spread(result.headline)
    line |= {"median": middle.median, "low": middle.low, "high": middle.high}
    keys = {key for each in result.rounds if each for key in each if key in FIGURES}
    line["figures"] = {key: result.value(key) for key in sorted(keys)}
    line["ratios"] = {
        peer.contender: found.median
        for peer in peers
        if peer.contender != result.contender and (found := result.ratio(peer))
    }
    line["rounds"] = result.rounds
    return line


def write(results, file):
    for line in [{"machine": results.machine}] + [
        as_line(result, results.of(result.work)) for result in results
    ]:
        print(json.dumps(line, ensure_ascii=False), file=file)


def read(lines):
    """What write() wrote. A line that is none of ours is a ValueError."""
    first, *rest = [json.loads(line) for line in lines if line.strip()] or [{}]
    if "machine" not in first:
        raise ValueError("the first line is not a machine")
    names = Result.__dataclass_fields__
    try:
        each = [Result(**{k: v for k, v in line.items() if k in names}) for line in rest]
    except TypeError as error:
        raise ValueError(f"a line is not a result: {error}") from error
    return Results(first["machine"], each)
