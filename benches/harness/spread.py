"""The median of some rounds and how far they lie apart, and the same of ratios."""

import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    median: float
    low: float
    high: float

    def overlaps(self, other):
        return self.low <= other.high and other.low <= self.high


def spread(values):
    """None when there is nothing to sum up."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return Spread(statistics.median(known), min(known), max(known))


def ratio(ours, theirs):
    """The spread of ours divided by theirs, taken round by round.

    Neighbours in time share the machine's mood, so the ratio within a round says more than the
    ratio of two medians. A round that either of them lacks does not count, nor one divided by 0.
    """
    pairs = zip(ours, theirs)
    return spread(a / b for a, b in pairs if a is not None and b is not None and b != 0)
