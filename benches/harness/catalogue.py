"""The works: what is run, by whom, which figures come of it and which of them is the headline."""

import difflib
from dataclasses import dataclass, field

from . import contender
from .failure import Failure
from .figure import LATENCIES

CPU = ("cpu_us", "user_us", "system_us")
CPU_NS = ("cpu_ns", "user_ns", "system_ns")  # of a delivery, which is much less than a request


@dataclass(frozen=True)
class Work:
    name: str
    group: str
    title: str
    kind: str  # which file of the harness measures it; see measure.py
    contenders: tuple
    figures: tuple  # the first is the headline
    options: dict = field(default_factory=dict)  # of the load
    seconds: float = 2  # of one run
    quick_seconds: float = 0  # of one run with --quick
    quick: bool = False  # whether the targets need it
    rounds_max: int = 0  # 0: as many as asked for; what is counted, not timed, needs few
    base: str = ""  # what the chart calls 1; empty: the first contender that was measured

    @property
    def headline(self):
        return self.figures[0]

    def contenders_of(self, quick):
        return [each for each in self.contenders if each.quick or not quick]

    def rounds(self, asked):
        return min(asked, self.rounds_max) if self.rounds_max else asked

    def seconds_of(self, quick):
        return self.quick_seconds if quick else self.seconds


def echo(name, title, connections, size, quick):
    return Work(
        f"echo_{name}", "echo", f"echo, {title}", "network", contender.ECHO,
        (*CPU, "requests_per_second", *LATENCIES),
        {"load": "echo_load", "counts": "requests", "connections": connections, "size": size},
        quick_seconds=0.4, quick=quick,
    )  # fmt: skip


def pubsub(channels, subscribers, window, quick):
    return Work(
        f"pubsub_{channels}x{subscribers}_w{window}", "pubsub",
        f"pub/sub, {channels} × {subscribers} subscribers, 64 B, window {window}", "network",
        contender.PUBSUB, ("deliveries_per_second", *CPU_NS, *LATENCIES, "system_calls"),
        {"load": "fanout_load", "counts": "deliveries", "channels": channels,
         "subscribers": subscribers, "window": window, "size": 64},
        quick_seconds=0.4, quick=quick,
    )  # fmt: skip


def reactors(name, title, contenders, options, headline, quick=False):
    """Our own server on either reactor, under the same load."""
    return Work(
        f"reactors_{name}", "reactors", f"epoll against io_uring: {title}", "network", contenders,
        headline, options, quick_seconds=0.4, quick=quick, base="ouro epoll",
    )  # fmt: skip


def in_process(name, title, headline="wall_ns", contenders=contender.ON_ONE_WORKER):
    other = "cpu_ns" if headline == "wall_ns" else "wall_ns"
    return Work(
        name, "inprocess", title, "inprocess", contenders, (headline, other), quick_seconds=0.2,
        quick=True, base="ouro",
    )  # fmt: skip


def client(name, title, server, contenders, headline="requests_per_second", quick=True, base=""):
    """A client of a server that is the same for everybody."""
    figures = ("requests_per_second", "cpu_ns", *LATENCIES[:2], "system_calls", "allocations")
    figures = (headline, *(each for each in figures if each != headline))
    if not base and contenders[0].role == "floor":
        base = "floor"
    return Work(
        name, "kv", title, "client", contenders, figures, {"server": server}, seconds=1,
        quick_seconds=0.25, quick=quick, base=base,
    )  # fmt: skip


def instructions(connections):
    plural = "s" if connections > 1 else ""
    return Work(
        f"instructions_{connections}", "instructions",
        f"user-space instructions per echo, {connections} connection{plural} (callgrind)",
        "instructions", contender.ECHO_FLOORS + contender.ECHO_OURS, ("instructions",),
        {"connections": connections}, seconds=0, quick=True, rounds_max=1,
    )  # fmt: skip


def tls(name, title, contenders, figures, options, **more):
    more = {"quick_seconds": 0.4, "quick": True} | more
    return Work(f"tls_{name}", "tls", title, "network", contenders, figures, options, **more)


def tls_bulk(name, mode, title):
    """A server that sends has a load that receives."""
    figures = ("mb_per_cpu_second", *CPU, "records_per_second")
    load = {"send": "receive", "receive": "send"}[mode]
    return tls(f"bulk_{name}", f"TLS, {title}, 4 connections", contender.tls_bulk(mode), figures,
               {"load": "tls_load", "counts": "records", "mode": load, "connections": 4})


def tls_handshakes(name, title, quick=True, **options):
    figures = ("handshakes_per_cpu_second", *CPU, "handshakes_per_second", *LATENCIES[:2])
    options = {"load": "tls_load", "counts": "handshakes", "mode": "handshakes",
               "connections": 16} | options
    return tls(f"handshakes_{name}", f"TLS, {title} handshakes, ECDSA P-256, 16 at a time",
               contender.TLS_HANDSHAKES, figures, options, quick=quick)


ECHO_64 = {"load": "echo_load", "counts": "requests", "connections": 64, "size": 64}
FANOUT = {"load": "fanout_load", "counts": "deliveries", "channels": 5, "subscribers": 25,
          "window": 64, "size": 64}  # fmt: skip
QUICK_SHAPES = {(5, 25, 64), (5, 50, 16), (1, 500, 16)}

WORKS = (
    echo("1", "64 B, 1 connection", 1, 64, False),
    echo("64", "64 B, 64 connections", 64, 64, True),
    echo("512", "64 B, 512 connections", 512, 64, True),
    echo("16k", "16 KiB, 64 connections", 64, 16384, False),
    Work(
        "churn", "churn", "accept, one echo, close: 64 at a time", "network", contender.ECHO,
        (*CPU, "connections_per_second", *LATENCIES),
        {"load": "churn_load", "counts": "connections", "connections": 64}, quick_seconds=0.4,
    ),
    *(
        pubsub(channels, subscribers, window, (channels, subscribers, window) in QUICK_SHAPES)
        for channels, subscribers in ((5, 25), (5, 50), (1, 500))
        for window in (1, 16, 64)
    ),
    Work(
        "memory", "memory", "private memory per idle connection, 8000 connections", "memory",
        contender.MEMORY, ("bytes",), {"connections": 8000}, seconds=0, quick=True, rounds_max=1,
    ),
    Work(
        "idle", "idle", "CPU time with 64 idle connections", "idle", contender.ECHO,
        ("idle_us",), {"connections": 64}, quick_seconds=0.2,
    ),
    reactors("echo", "echo, 64 B, 64 connections", contender.ECHO_OURS, ECHO_64,
             (*CPU, "requests_per_second", *LATENCIES, "system_calls")),
    reactors("echo_rate", "echo, 64 B, 64 connections, 50 000 requests/s", contender.ECHO_OURS,
             {**ECHO_64, "rate": 50000}, (*CPU, "busy", *LATENCIES, "system_calls"), quick=True),
    reactors("pubsub", "pub/sub, 5 × 25, 64 B, window 64", contender.PUBSUB_OURS, FANOUT,
             ("deliveries_per_second", *CPU_NS, *LATENCIES, "system_calls")),
    reactors("pubsub_rate", "pub/sub, 5 × 25, 64 B, 2 000 messages/s per publisher",
             contender.PUBSUB_OURS, {**FANOUT, "rate": 2000},
             (*CPU_NS, "busy", *LATENCIES, "system_calls"), quick=True),
    instructions(1),
    instructions(64),
    client("redis_get_64", "Redis GET, 16 B, 64 callers", "redis", contender.REDIS_GET_64),
    client("rediss_get_64", "Redis GET over rediss://, 16 B, 64 callers", "rediss",
           contender.REDISS_GET_64, base="ouro uring over redis://"),
    client("redis_get_1", "Redis GET, 16 B, one caller", "redis", contender.REDIS_GET_1, "p50_us"),
    client("redis_pipeline_1000", "Redis GET, 16 B, 1000 in a pipeline", "redis",
           contender.REDIS_PIPELINE),
    client("redis_set_64", "Redis SET, 16 B, 64 callers", "redis", contender.REDIS_SET_64,
           quick=False),
    client("memcached_get_64", "Memcached get, 16 B, 64 callers", "memcached",
           contender.MEMCACHED_GET_64),
    client("memcached_get_1", "Memcached get, 16 B, one caller", "memcached",
           contender.MEMCACHED_GET_1, "p50_us", quick=False),
    tls("echo_64", "TLS 1.3, echo, 64 B, 64 connections", contender.TLS_ECHO,
        (*CPU, "requests_per_second", *LATENCIES),
        {"load": "tls_load", "counts": "requests", "mode": "echo", "connections": 64, "size": 64}),
    tls_bulk("send", "send", "the server sends records of 16 KiB"),
    tls_bulk("receive", "receive", "the server receives records of 16 KiB"),
    tls_handshakes("full", "full TLS 1.3"),
    tls_handshakes("resumed", "resumed TLS 1.3", resume=True),
    tls_handshakes("full_1_2", "full TLS 1.2", quick=False, tls12=True),
    tls_handshakes("resumed_1_2", "resumed TLS 1.2", quick=False, tls12=True, resume=True),
    Work(
        "tls_instructions_64", "tls",
        "user-space instructions per TLS echo, 64 B, 64 connections (callgrind)", "instructions",
        contender.TLS_INSTRUCTIONS, ("instructions",), {"connections": 64, "tls": True}, seconds=0,
        rounds_max=1,
    ),
    Work(
        "tls_idle", "tls", "private memory per idle TLS connection, 2000 connections", "memory",
        contender.TLS_IDLE, ("bytes",), {"connections": 2000, "tls": True}, seconds=0, quick=True,
        rounds_max=1,
    ),
    in_process("spawn_join", "spawn a task and join it"),
    in_process("yield_1", "yield, one task"),
    in_process("yield_1000", "yield among 1000 tasks"),
    in_process("await_ready", "await a task that is ready"),
    in_process("channel_128", "channel of 128, one producer, one consumer"),
    in_process("channel_1_ping_pong", "two channels of 1, a round trip"),
    in_process("mutex", "mutex, uncontended"),
    in_process("semaphore", "semaphore, uncontended"),
    in_process("oneshot", "oneshot, made, sent and received"),
    in_process("timeout_ready", "timeout around what is ready"),
    in_process("timeout_pending", "timeout around what yields once"),
    # The wall-clock of a sleep is the sleep; what it costs is the CPU time.
    in_process("sleeps_100k", "100 000 spawned sleeps of 0 to 99 ms", "cpu_ns"),
    in_process("timers_100k", "arm and cancel a timer among 100 000"),
    in_process("cross_worker_ping_pong", "a round trip between two workers",
               contenders=contender.ACROSS_WORKERS),
    in_process("cross_worker_throughput", "items from one worker to another",
               contenders=contender.ACROSS_WORKERS),
    in_process("spawn_anywhere", "spawn on any worker and join", contenders=contender.ANYWHERE),
)  # fmt: skip


def select(names, quick, works=WORKS):
    """The works of these names, groups and beginnings of names, in the order of the catalogue.

    Without names it is all of them, or with --quick what the targets need.
    """
    if not names:
        return [work for work in works if work.quick or not quick]
    wanted = set()
    for name in names:
        found = (
            {work.name for work in works if work.name == name}
            or {work.name for work in works if work.group == name}
            or {work.name for work in works if work.name.startswith(name)}
        )
        if not found:
            known = sorted({work.name for work in works} | {work.group for work in works})
            close = difflib.get_close_matches(name, known, n=4, cutoff=0.4)
            hint = f"; did you mean {', '.join(close)}?" if close else "; --list shows them all"
            raise Failure(f"there is no work called '{name}'{hint}")
        wanted |= found
    return [work for work in works if work.name in wanted]
