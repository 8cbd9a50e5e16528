"""What is measured about a contender: a name, a heading with the unit, and which way is better."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    key: str  # as in the JSON
    heading: str  # of a column
    words: str  # in a sentence
    digits: int = 1
    better: str = "less"  # or "more"
    sampled: bool = False  # by the kernel's tick: only the mean over all rounds means anything


FIGURES = {
    each.key: each
    for each in (
        Figure("cpu_us", "CPU µs", "µs of server CPU per operation", 3),
        Figure("user_us", "user", "µs of it in user space", 2, sampled=True),
        Figure("system_us", "system", "µs of it in the kernel", 2, sampled=True),
        Figure("cpu_ns", "CPU ns", "ns of CPU per operation", 1),
        Figure("user_ns", "user", "ns of it in user space", 1, sampled=True),
        Figure("system_ns", "system", "ns of it in the kernel", 1, sampled=True),
        Figure("wall_ns", "wall ns", "ns per operation", 1),
        Figure("busy", "busy %", "% of its core that the server used", 0),
        Figure("requests_per_second", "requests/s", "requests per second", 0, "more"),
        Figure("connections_per_second", "conns/s", "connections per second", 0, "more"),
        Figure("deliveries_per_second", "deliveries/s", "deliveries per second", 0, "more"),
        Figure("handshakes_per_second", "handshakes/s", "handshakes per second", 0, "more"),
        Figure("handshakes_per_cpu_second", "per CPU s", "handshakes per second of server CPU", 0,
               "more"),
        Figure("records_per_second", "records/s", "records of 16 KiB per second", 0, "more"),
        Figure("mb_per_cpu_second", "MB/CPU s", "MB of payload per second of CPU", 0, "more"),
        Figure("p50_us", "p50 µs", "µs, the median latency", 1),
        Figure("p99_us", "p99 µs", "µs that 1 % of the latencies exceed", 1),
        Figure("p999_us", "p99.9 µs", "µs that 0.1 % of the latencies exceed", 1),
        Figure("system_calls", "calls/op", "system calls per operation", 4),
        Figure("allocations", "allocs/op", "heap allocations per operation", 4),
        Figure("bytes", "bytes", "bytes of private memory per idle connection", 0),
        Figure("idle_us", "CPU µs/s", "µs of CPU per second while nothing happens", 0),
        Figure("instructions", "instructions", "user-space instructions per echo", 0),
        Figure("others", "others %", "% of the cores that others used meanwhile", 1),
    )
}

LATENCIES = ("p50_us", "p99_us", "p999_us")


def text(key, value):
    """The value as a column shows it."""
    if value is None:
        return "–"
    digits = FIGURES[key].digits
    if value and abs(value) < 10**-digits:
        return f"{value:.1g}"
    if abs(value) >= 1000:
        digits = 0
    return f"{value:,.{digits}f}".replace(",", " ")


def short(key, value):
    """The same where there is little room: 6.23 M."""
    if value >= 999_500:  # which would be 1000 k
        return f"{value / 1e6:.3g} M"
    return f"{value / 1e3:.3g} k" if value >= 1e4 else text(key, value)


def ratio_text(value, digits=2):
    if value is None:
        return "–"
    if value >= 10:
        digits = 1 if value < 100 else 0
    if 0 < value < 10**-digits:
        return f"{value:.1g}"
    return f"{value:.{digits}f}"
