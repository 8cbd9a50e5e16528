"""The report as one HTML page that needs nothing else: no script, no font, no address."""

import html

from . import chart
from .figure import FIGURES, LATENCIES, ratio_text, short
from .sheet import sheets, twins_of

STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --dim: #667078; --paper: #fff; --line: #d8dde2;
  --floor: #8a949c; --rival: #6b8fb5; --good: #2b8a3e; --bad: #c92a2a;
  --ours0: #d9480f; --ours1: #f08c3a; --floor0: #6a747c; --floor1: #a2acb4;
  --rival0: #1971c2; --rival1: #7048a8; --rival2: #2b8a3e; --rival3: #0b8a8a; --rival4: #b02a6b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8eb; --dim: #98a3ab; --paper: #15191c;
  --line: #343b41; --floor: #7d8890; --rival: #5f86ad; --good: #51cf66; --bad: #ff6b6b;
  --ours0: #ff7a3c; --ours1: #ffb27a; --floor0: #a2acb4; --floor1: #6a747c;
  --rival0: #4dabf7; --rival1: #b197fc; --rival2: #69db7c; --rival3: #3bc9db;
  --rival4: #f783ac; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 1140px; background: var(--paper);
  color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
h1 { margin: 0.5rem 0; } h2 { margin: 2.2rem 0 0.2rem; font-size: 1.15rem; }
p { margin: 0.2rem 0 0.8rem; color: var(--dim); }
p.note { color: var(--bad); margin: 0.2rem 0; }
nav a { color: inherit; margin-right: 0.8rem; white-space: nowrap; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.1rem 1rem; margin: 1rem 0; }
dt { color: var(--dim); } dd { margin: 0; overflow-wrap: anywhere; }
.charts { display: grid; gap: 1rem 2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 320px), 1fr)); }
figure { margin: 0; max-width: 500px; }
figcaption { font-size: 0.85rem; color: var(--dim); margin-bottom: 0.3rem; }
svg { width: 100%; height: auto; display: block; }
svg text { fill: var(--ink); font: 13px system-ui, sans-serif; }
svg text.ours { font-weight: 700; } svg text.axis { fill: var(--dim); font-size: 12px; }
svg line { stroke: var(--line); } svg line.one { stroke: var(--ink); }
svg line.spread { stroke: var(--ink); stroke-width: 2; opacity: 0.45; }
.bar.ours { fill: var(--ours0); } .bar.floor { fill: var(--floor); }
.bar.rival, .bar.slower { fill: var(--rival); } .bar.faster { fill: var(--ours0); }
.curve { fill: none; stroke-width: 1.6; } .curve.ours { stroke-width: 3.2; }
.curve.floor { stroke-dasharray: 5 3; }
COLOURS
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: 0.8rem 0; font-size: 0.88rem; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
th, td { padding: 0.15rem 0.6rem; text-align: right; border-bottom: 1px solid var(--line); }
th { color: var(--dim); font-weight: 500; } th:first-child, td:first-child { text-align: left; }
tr.ours td:first-child { color: var(--ours0); font-weight: 700; }
table.targets td, table.targets th { text-align: left; white-space: normal; }
.met { color: var(--good); } .missed { color: var(--bad); font-weight: 700; }
"""
COLOURS = "\n".join(
    f".curve.{kind}, line.leader.{kind} {{ stroke: var(--{kind}); }}\n"
    f"text.name.{kind} {{ fill: var(--{kind}); }}"
    for kind in ("floor0", "floor1", "ours0", "ours1", *(f"rival{i}" for i in range(5)))
)


def tag(name, inside, kind=""):
    kind = f' class="{kind}"' if kind else ""
    return f"<{name}{kind}>{inside}</{name}>"


def escaped_row(cell, texts, kind=""):
    return tag("tr", "".join(tag(cell, html.escape(each)) for each in texts), kind)


def table(headings, rows, kind=""):
    head = tag("thead", escaped_row("th", headings))
    body = tag("tbody", "".join(escaped_row("td", texts, role) for role, texts in rows))
    return tag("div", tag("table", head + body, kind), "scroll")


def figure(caption, drawing):
    return tag("figure", tag("figcaption", html.escape(caption)) + drawing)


def ratio_chart(work, results):
    """Bars of the headline, relative to the work's base, which is 1."""
    measured = [each for each in results.of(work.name) if each.measured]
    base = results.find(work.name, work.base) or (measured[0] if measured else None)
    rows = []
    for each in measured:
        ratio = each.ratio(base)
        if ratio:
            value = short(work.headline, each.value(work.headline))
            rows.append((each.contender, each.role, ratio, f"{ratio.median:.2f} · {value}"))
    if not rows:
        return ""
    headline = FIGURES[work.headline]
    caption = f"{headline.words}, {base.contender} = 1 ({headline.better} is better)"
    return figure(caption, chart.bars(caption, rows))


def latency_chart(work, results):
    rows = []
    for each in results.of(work.name):
        values = [each.value(key) for key in LATENCIES] if each.measured else [None]
        if all(values):
            rows.append((each.contender, each.role, values))
    if not rows:
        return ""
    caption = "latency, logarithmic (less is better)"
    headings = [FIGURES[key].heading.removesuffix(" µs") for key in LATENCIES]
    return figure(caption, chart.curves(caption, rows, headings))


def process_chart(steps, results):
    """How many times faster ours is than each twin, for all works in one chart."""
    charts = []
    for twin in twins_of(steps, results):
        rows = []
        for step in steps:
            ours, theirs = (results.find(step.work.name, name) for name in ("ouro", twin))
            times = theirs.ratio(ours) if ours and theirs else None
            if times and times.low > 0:
                kind = "faster" if times.median >= 1 else "slower"
                rows.append((step.work.name, kind, times, f"{ratio_text(times.median)} ×"))
        if rows:
            caption = f"how many times faster ouro is than {twin}, logarithmic"
            charts.append(figure(caption, chart.bars(caption, rows, logarithmic=True)))
    return "".join(charts)


def machine_list(machine):
    return tag("dl", "".join(
        tag("dt", html.escape(str(name))) + tag("dd", html.escape(str(value)))
        for name, value in machine.items() if value != ""
    ))  # fmt: skip


def target_table(verdicts):
    rows = []
    for each in verdicts:
        mark = tag("td", {"?": "not measured"}.get(each.mark, each.mark), each.mark.strip("?"))
        texts = (each.target.words, each.limit_text, each.got_text, each.note)
        rows.append(tag("tr", mark + "".join(tag("td", html.escape(words)) for words in texts)))
    head = tag("thead", escaped_row("th", ("", "target", "limit", "got", "")))
    return tag("div", tag("table", head + tag("tbody", "".join(rows)), "targets"), "scroll")


def section(step, sheet, plan, results):
    if step.work.kind == "inprocess":
        drawings = process_chart([s for s in plan if s.work.kind == "inprocess"], results)
    else:
        drawings = ratio_chart(step.work, results) + latency_chart(step.work, results)
    name, _, title = sheet.title.partition(": ")
    notes = "".join(tag("p", html.escape(note), "note") for note in sheet.notes)
    rows = table(sheet.headings, sheet.rows) if sheet.rows else ""
    return (
        f'<section id="{name}">{tag("h2", html.escape(name))}{tag("p", html.escape(title))}'
        f"{tag('div', drawings, 'charts')}{rows}{notes}</section>"
    )


def render(plan, results, verdicts, title="ouro, its floor and its rivals"):
    """The whole page."""
    found = sheets(plan, results)
    names = [sheet.title.partition(":")[0] for _, sheet in found]
    links = " ".join(f'<a href="#{name}">{name}</a>' for name in names)
    targets = tag("h2", "Targets") + target_table(verdicts) if verdicts else ""
    body = (
        tag("h1", html.escape(title))
        + machine_list(results.machine)
        + tag("nav", links)
        + targets
        + "".join(section(step, sheet, plan, results) for step, sheet in found)
    )
    style = STYLE.replace("COLOURS", COLOURS)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
        f"{tag('title', html.escape(title))}{tag('style', style)}</head>\n"
        f"{tag('body', body)}</html>\n"
    )
