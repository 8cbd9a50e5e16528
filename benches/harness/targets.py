"""What ouro has to reach, as data, and whether a run shows it."""

from dataclasses import dataclass

from .figure import ratio_text, text
from .spread import ratio


@dataclass(frozen=True)
class Target:
    """`how` says what is compared with the limit:

    ratio       ours divided by theirs, the median of the rounds
    worst       the same, the largest one of all rivals that were measured
    added       what ours has more than `beside`, divided by theirs: what is laid upon it
    times       theirs divided by ours: how many times faster ours is
    difference  ours minus theirs
    value       ours alone
    """

    work: str
    ours: str
    how: str
    limit: float
    at_most: bool
    theirs: str = ""
    figure: str = ""  # empty: the headline
    beside: str = ""
    theirs_work: str = ""  # empty: the same

    @property
    def words(self):
        about = {
            "ratio": f"{self.ours} ÷ {self.theirs}",
            "worst": f"{self.ours} ÷ the best rival",
            "added": f"({self.ours} − {self.beside}) ÷ {self.theirs}",
            "times": f"{self.theirs} ÷ {self.ours}",
            "difference": f"{self.ours} − {self.theirs}",
            "value": self.ours,
        }[self.how]
        if self.theirs_work:
            about += f" in {self.theirs_work}"
        return f"{self.work}: {about}" + (f", {self.figure}" if self.figure else "")


def at_most(work, ours, how, limit, **more):
    return Target(work, ours, how, limit, True, **more)


def at_least(work, ours, how, limit, **more):
    return Target(work, ours, how, limit, False, **more)


REACTORS = ("uring", "epoll")
SHAPES = ("pubsub_5x25_w64", "pubsub_5x50_w16", "pubsub_1x500_w16")
FOUR_TIMES = ("spawn_join", "yield_1", "yield_1000", "channel_128", "oneshot", "mutex")
TEN_TIMES = ("channel_1_ping_pong", "timeout_pending")


def network_targets():
    for work in ("echo_64", "echo_512"):
        for reactor in REACTORS:
            ours = f"ouro {reactor}"
            yield at_most(work, ours, "ratio", 1.03, theirs=f"floor {reactor}")
            yield at_most(work, ours, "worst", 1.0)
    for work in ("instructions_1", "instructions_64"):
        for reactor in REACTORS:
            theirs = f"floor {reactor}"
            yield at_most(work, f"ouro {reactor}", "difference", 600, theirs=theirs)
    for work in SHAPES:
        for reactor in REACTORS:
            ours = f"ouro {reactor}"
            yield at_least(work, ours, "ratio", 0.9, theirs=f"floor {reactor}")
            yield at_least(work, ours, "ratio", 1.5, theirs="tokio")
            yield at_least(work, ours, "ratio", 1.2, theirs="redis-server")
    for reactor in REACTORS:
        yield at_most("memory", f"ouro lent {reactor}", "worst", 0.2)
    yield at_most("pubsub_5x25_w64", "ouro uring", "value", 0.01, figure="system_calls")


def kv_targets():
    for reactor in REACTORS:
        ours, polling = f"ouro {reactor}", f"ouro {reactor} polling"
        yield at_least("redis_get_64", polling, "ratio", 10, theirs="redis-benchmark")
        yield at_least("redis_get_64", polling, "ratio", 0.6, theirs="redis-benchmark -P 16")
        for each in (ours, polling):
            yield at_least("rediss_get_64", each, "ratio", 0.8, theirs=f"{each} over redis://")
        yield at_most("redis_get_1", ours, "ratio", 1.05, theirs="hiredis")
        yield at_least("redis_pipeline_1000", ours, "ratio", 1.2, theirs="hiredis")
        # None per command: a buffer may still grow once after the warm-up.
        yield at_most("redis_pipeline_1000", ours, "value", 0.001, figure="allocations")
        yield at_least("memcached_get_64", polling, "ratio", 8, theirs="libmemcached")


def tls_targets():
    for reactor in REACTORS:
        ours = f"ouro {reactor}"
        yield at_most("tls_echo_64", ours, "added", 1.15, theirs="floor record",
                      beside=f"ouro clear {reactor}")  # fmt: skip
        yield at_most("tls_echo_64", ours, "worst", 0.9)
        for work in ("tls_bulk_send", "tls_bulk_receive"):
            yield at_least(work, ours, "ratio", 0.85, theirs="openssl speed")
        for work in ("tls_handshakes_full", "tls_handshakes_resumed"):
            yield at_least(work, ours, "ratio", 0.9, theirs="nginx")
        yield at_least("tls_handshakes_resumed", ours, "ratio", 3, theirs=ours,
                       theirs_work="tls_handshakes_full")  # fmt: skip
        # OpenSSL's own share is the floor; it is more than that.
        yield at_most("tls_idle", f"ouro lent {reactor}", "value", 12288)
    for work in ("tls_bulk_send", "tls_bulk_receive"):
        yield at_least(work, "ouro engine", "ratio", 0.85, theirs="openssl speed")


def in_process_targets():
    for work in FOUR_TIMES:
        yield at_least(work, "ouro", "times", 4, theirs="tokio")
    for work in TEN_TIMES:
        yield at_least(work, "ouro", "times", 10, theirs="tokio")
    yield at_least("timers_100k", "ouro", "times", 4, theirs="tokio")
    yield at_least("sleeps_100k", "ouro", "times", 5, theirs="tokio")


TARGETS = (*network_targets(), *kv_targets(), *tls_targets(), *in_process_targets())


@dataclass(frozen=True)
class Verdict:
    target: Target
    got: float  # None: not measured
    key: str  # the figure, for the number of digits
    note: str

    @property
    def met(self):
        """None when it is not known."""
        if self.got is None:
            return None
        target = self.target
        return self.got <= target.limit if target.at_most else self.got >= target.limit

    @property
    def mark(self):
        return {True: "met", False: "missed", None: "?"}[self.met]

    @property
    def limit_text(self):
        return f"{'≤' if self.target.at_most else '≥'}\u00a0{self.target.limit:g}"

    @property
    def got_text(self):
        if self.got is None:
            return "–"
        if self.target.how in ("value", "difference"):
            return text(self.key, self.got)
        return ratio_text(self.got, 3)  # 1.034 is more than 1.03


def why_missing(results, work, contender):
    for each in results.of(work):
        if each.contender == contender and each.why:
            return f"{contender}: {each.why}"
    return f"{contender} was not measured"


def worst_of(results, ours, work):
    """The ratio to the rival that comes closest, and its name."""
    ratios = [(ours.ratio(rival).median, rival.contender) for rival in results.rivals(work)]
    return max(ratios, default=(None, ""))


def added(ours, beside, theirs):
    """What is laid upon `beside`, in theirs; the median of the rounds."""
    key = ours.headline
    more = [None if a is None or b is None else a - b
            for a, b in zip(ours.values(key), beside.values(key))]  # fmt: skip
    return ratio(more, theirs.values(key))


def got(target, results):
    """The number to compare with the limit, or None, and a note."""
    ours = results.find(target.work, target.ours)
    their_work = target.theirs_work or target.work
    theirs = results.find(their_work, target.theirs)
    if not ours:
        return None, why_missing(results, target.work, target.ours)
    if target.how == "value":
        return ours.value(target.figure or ours.headline), ""
    if target.how == "worst":
        number, name = worst_of(results, ours, target.work)
        missing = [each.contender for each in results.of(target.work)
                   if each.role == "rival" and not each.measured]  # fmt: skip
        words = [name] * bool(name) + [f"without {', '.join(missing)}"] * bool(missing)
        return number, "; ".join(words) or "no rival was measured"
    if not theirs:
        return None, why_missing(results, their_work, target.theirs)
    if target.how == "added":
        beside = results.find(target.work, target.beside)
        if not beside:
            return None, why_missing(results, target.work, target.beside)
        found = added(ours, beside, theirs)
        return (found.median, "") if found else (None, "no round in which all were measured")
    if target.how == "difference":
        return ours.value(ours.headline) - theirs.value(theirs.headline), ""
    found = theirs.ratio(ours) if target.how == "times" else ours.ratio(theirs)
    return (found.median, "") if found else (None, "no round in which both were measured")


def judge(results, targets=TARGETS):
    """One verdict for each target whose work is in the results."""
    verdicts = []
    for target in targets:
        if not results.of(target.work):
            continue
        number, note = got(target, results)
        known = results.find(target.work, target.ours)
        key = target.figure or (known.headline if known else "")
        verdict = Verdict(target, number, key, note)
        if verdict.met is False:
            by = abs(number - target.limit) / target.limit if target.limit else 0
            note = "; ".join(filter(None, [f"by {by:.0%}" if by else "", note]))
            verdict = Verdict(target, number, key, note)
        verdicts.append(verdict)
    return verdicts
