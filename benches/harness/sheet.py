"""The results of a work as a table of texts: for the terminal and for the page."""

from dataclasses import dataclass

from .figure import FIGURES, ratio_text, text
from .measure import OTHERS_MAX

MARKS = {"floor": "", "ours": "*", "rival": ""}
OURS_MAX = 2  # columns of ratios


@dataclass
class Sheet:
    title: str
    headings: list
    rows: list  # (role, texts), as many texts as headings
    notes: list  # sentences below the table


def apart(result, key):
    """How far the rounds lie below and above the median."""
    found = result.spread(key) if result else None
    if not found or found.median == 0:
        return "–"
    low, high = (100 * (end / found.median - 1) for end in (found.low, found.high))
    return f"{low:+.0f} {high:+.0f} %"


def ratio_to(result, other):
    found = result.ratio(other) if result and other and result is not other else None
    return ratio_text(found.median) if found else "–"


def missing(results):
    """Who is missing or did wrong."""
    return [
        f"{each.contender} {'FAILED' if each.wrong else 'is missing'}: {each.why}"
        for each in results
        if each.why
    ]


def disturbance(results):
    """Whether others were at work, in at most one sentence."""
    others = max((each.value("others") or 0 for each in results), default=0)
    if others <= OTHERS_MAX:
        return []
    words = f"Others were at work on the cores ({others:.0f} % of them)"
    return [f"{words}: repeat this when the machine is calm."]


def subtitle(step):
    headline = FIGURES[step.work.headline]
    runs = f"{step.rounds} round{'s' if step.rounds > 1 else ''}"
    length = f" of {step.seconds:g} s" if step.seconds else ""
    return f"{runs}{length}; {headline.words}: {headline.better} is better"


def work_sheet(step, results):
    """One row per contender: figures, the ratio to its floor, and what ours is of it."""
    work = step.work
    measured = [each for each in results.of(work.name) if each.measured]
    ours = [each for each in measured if each.role == "ours"][:OURS_MAX]
    keys = [
        key for key in work.figures if any(each.value(key) is not None for each in measured)
    ]
    with_floor = any(each.role == "floor" for each in measured)
    headings = ["", *(FIGURES[key].heading for key in keys[:1]), "spread"]
    headings += ["to floor"] * with_floor + [f"{each.contender} ÷" for each in ours]
    headings += [FIGURES[key].heading for key in keys[1:]]
    rows = []
    for each in measured:
        texts = [each.contender + MARKS[each.role]]
        texts += [text(key, each.value(key)) for key in keys[:1]]
        texts.append(apart(each, work.headline))
        if with_floor:
            texts.append(ratio_to(each, results.find(work.name, each.floor)))
        texts += [ratio_to(our, each) for our in ours]
        texts += [text(key, each.value(key)) for key in keys[1:]]
        rows.append((each.role, texts))
    title = f"{work.name}: {work.title} ({subtitle(step)})"
    everybody = results.of(work.name)
    return Sheet(title, headings, rows, missing(everybody) + disturbance(everybody))


def twins_of(steps, results):
    """The names of the rivals that were measured, in the order in which they first take part."""
    found = {}
    for step in steps:
        found |= {each.contender: None for each in results.rivals(step.work.name)}
    return list(found)


def process_sheet(steps, results):
    """One row per in-process work: ours, its twins, and how many times faster ours is."""
    twins = twins_of(steps, results)
    headings = ["", "measured", "ouro*", "spread"]
    for name in twins:
        headings += [name, f"{name} ÷ ouro"]
    rows, notes, everybody = [], [], []
    for step in steps:
        work = step.work
        ours = results.find(work.name, "ouro")
        texts = [work.name, "CPU" if work.headline == "cpu_ns" else "wall"]
        texts.append(text(work.headline, ours.value(work.headline)) if ours else "–")
        texts.append(apart(ours, work.headline))
        for name in twins:
            twin = results.find(work.name, name)
            texts.append(text(work.headline, twin.value(work.headline)) if twin else "–")
            texts.append(ratio_to(twin, ours))
        rows.append(("work", texts))
        everybody += results.of(work.name)
        notes += [(work.name, note) for note in missing(results.of(work.name))]
    title = f"inprocess: ns per operation inside one process ({subtitle(steps[0]).split(';')[0]})"
    return Sheet(title, headings, rows, merged(notes) + disturbance(everybody))


def merged(notes):
    """The same note of several works once, with all their names."""
    names = {}
    for name, words in notes:
        names.setdefault(words, []).append(name)
    return [
        f"{words} ({', '.join(works) if len(works) <= 4 else f'in {len(works)} works'})"
        for words, works in names.items()
    ]


def sheet_after(step, plan, results):
    """The sheet that is complete once a step is; the works inside one process share the last one.

    None when there is none yet.
    """
    if step.work.kind != "inprocess":
        return work_sheet(step, results) if results.of(step.work.name) else None
    inside = [each for each in plan if each.work.kind == "inprocess"]
    done = [each for each in inside if results.of(each.work.name)]
    return process_sheet(done, results) if done and step is inside[-1] else None


def sheets(plan, results):
    """Pairs of step and sheet, in the order of the plan."""
    found = ((step, sheet_after(step, plan, results)) for step in plan)
    return [(step, sheet) for step, sheet in found if sheet]
