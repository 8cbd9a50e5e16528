"""The order of measuring: a round runs every contender once, one after the other, A B C A B C …

Whatever else the machine does then falls on all of them.
"""

from .failure import Failure, Wrong
from .measure import measure_calmly
from .results import Result


def interleave(contenders, rounds):
    """Pairs of round and contender."""
    return [(number, each) for number in range(rounds) for each in contenders]


def run_work(work, contenders, rounds, measure, progress):
    """Measures one work; `measure(work, contender)` is one run.

    A contender that cannot be measured is not tried again; the others go on without it.
    """
    results = {
        each.name: Result(work.name, each.name, each.role, work.headline, each.floor)
        for each in contenders
    }
    for number, contender in interleave(contenders, rounds):
        result = results[contender.name]
        progress.begin(work, contender, number)
        if not result.why:
            try:
                result.rounds.append(measure(work, contender))
            except Failure as failure:
                result.why, result.wrong = str(failure), isinstance(failure, Wrong)
        if len(result.rounds) == number:  # it has no figures in this round
            result.rounds.append(None)
        progress.end(work)
    return list(results.values())


def run_all(plan, bench, results, progress, repeats):
    """Measures the works of a plan one after the other; yields each step when it is done."""
    for step in plan:

        def one_run(work, contender, seconds=step.seconds):
            return measure_calmly(bench, work, contender, seconds, repeats)

        for result in run_work(step.work, step.contenders, step.rounds, one_run, progress):
            results.add(result)
        progress.finish(step.work)
        yield step
