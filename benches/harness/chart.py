"""Charts as inline SVG: bars of ratios and latency curves. The page's style gives the colours.

They are narrow on purpose: a phone shows the whole width, and the letters stay readable.
"""

import html
import math

WIDTH = 440
LETTER_WIDTH = 7.9  # of a bold one
NAME_WIDTH = 122  # beside the curves
BAR_HEIGHT, ROW_HEIGHT = 15, 23
AXIS_HEIGHT = 24
CURVE_HEIGHT = 270
LINE_HEIGHT = 15  # between the names beside the curves


def words(x, y, what, kind="", anchor="start"):
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">'
        f"{html.escape(what)}</text>"
    )


def line(x1, y1, x2, y2, kind):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def picture(height, title, parts):
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{html.escape(title)}">'
        f"{''.join(parts)}</svg>"
    )


def steps(low, high):
    """Round numbers between two values for a logarithmic axis: 1, 2, 5, 10, 20 …"""
    found = [
        digit * 10.0**power
        for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for digit in (1, 2, 5)
    ]
    return [value for value in found if low <= value <= high]


class Scale:
    """Places values on a stretch of pixels, evenly or by their logarithm."""

    def __init__(self, low, high, start, end, logarithmic=False):
        self.log = math.log10 if logarithmic else float
        self.low, self.high = self.log(low), self.log(high)
        self.start, self.end = start, end

    def __call__(self, value):
        share = (self.log(value) - self.low) / ((self.high - self.low) or 1)
        return self.start + share * (self.end - self.start)


def room_for(texts):
    return 10 + LETTER_WIDTH * max(map(len, texts))


def bars(title, rows, logarithmic=False):
    """Rows of (name, role, spread of ratios, text at the end), with a line at 1.

    On a logarithmic scale a bar begins at 1: it goes to the right for more, to the left for less.
    """
    high = max(1.0, *(ratio.high for _, _, ratio, _ in rows))
    low = min(1.0, *(ratio.low for _, _, ratio, _ in rows)) if logarithmic else 0.0
    start = room_for(name for name, *_ in rows)
    place = Scale(low, high, start, WIDTH - room_for(text for *_, text in rows), logarithmic)
    height = len(rows) * ROW_HEIGHT + AXIS_HEIGHT
    bottom = height - AXIS_HEIGHT
    ticks = [v for v in steps(low, high) if math.log10(v) % 1 == 0] if logarithmic else [1]
    parts = []
    for tick in ticks:
        parts.append(line(place(tick), 0, place(tick), bottom + 4, "one" if tick == 1 else "grid"))
        parts.append(words(place(tick), height - 6, f"{tick:g}", "axis", "middle"))
    for number, (name, role, ratio, text) in enumerate(rows):
        top = number * ROW_HEIGHT + 3
        middle = top + BAR_HEIGHT / 2
        ends = sorted((place(1 if logarithmic else 0), place(ratio.median)))
        parts.append(words(start - 8, middle + 4.5, name, role, "end"))
        parts.append(
            f'<rect x="{ends[0]:.1f}" y="{top}" width="{max(1, ends[1] - ends[0]):.1f}" '
            f'height="{BAR_HEIGHT}" rx="2" class="bar {role}"/>'
        )
        parts.append(line(place(ratio.low), middle, place(ratio.high), middle, "spread"))
        parts.append(words(WIDTH - 2, middle + 4.5, text, role, "end"))
    return picture(height, title, parts)


def apart(wanted, distance, low, high):
    """Heights near the wanted ones, in the same order, that do not overlap each other."""
    placed = []
    for height in wanted:
        placed.append(max(height, placed[-1] + distance if placed else low))
    limit = high
    for i in reversed(range(len(placed))):
        placed[i] = min(placed[i], limit)
        limit = placed[i] - distance
    return placed


def kinds_of(rows):
    """The classes that colour each row: its role, and which of its role it is."""
    seen = {}
    for _, role, _ in rows:
        seen[role] = seen.get(role, -1) + 1
        yield f"{role} {role}{seen[role]}"


def curves(title, rows, headings):
    """Rows of (name, role, values in µs, one per heading) on a logarithmic scale."""
    values = [value for _, _, each in rows for value in each]
    low, high = min(values) / 1.15, max(values) * 1.15
    height = max(CURVE_HEIGHT, len(rows) * LINE_HEIGHT + AXIS_HEIGHT + 20)
    up = Scale(low, high, height - AXIS_HEIGHT - 4, 8, logarithmic=True)
    right = WIDTH - NAME_WIDTH
    across = Scale(0, len(headings) - 1, 76, right - 16)
    parts = []
    ticks = steps(low, high)
    for tick in ticks:
        parts.append(line(58, up(tick), right - 8, up(tick), "grid"))
        name = f"{tick / 1000:g} ms" if tick >= 1000 else f"{tick:g} µs"
        parts.append(words(52, up(tick) + 4, name, "axis", "end"))
    for number, heading in enumerate(headings):
        parts.append(words(across(number), height - 6, heading, "axis", "middle"))
    rows = sorted(zip(kinds_of(rows), rows), key=lambda row: -row[1][2][-1])
    ends = [up(each[-1]) for _, (_, _, each) in rows]
    labels = apart(ends, LINE_HEIGHT, 10, height - AXIS_HEIGHT)
    for (kind, (name, _, each)), end, label in zip(rows, ends, labels):
        dots = " ".join(f"{across(i):.1f},{up(value):.1f}" for i, value in enumerate(each))
        parts.append(f'<polyline points="{dots}" class="curve {kind}"/>')
        parts.append(line(across(len(each) - 1), end, right - 2, label, f"leader {kind}"))
        parts.append(words(right + 2, label + 4, name, f"name {kind}"))
    return picture(height, title, parts)
