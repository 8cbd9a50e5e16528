"""The machine: its facts for the report, the cores to measure on, and how busy others are."""

import datetime
import os
import pathlib
import platform
import resource
import shutil
import subprocess
import time

from .failure import Failure

TICK = os.sysconf("SC_CLK_TCK")
ROOT = pathlib.Path(__file__).resolve().parents[2]


def first_line(*command):
    """What a program says first; empty when it is not here."""
    if not shutil.which(command[0]):
        return ""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, cwd=ROOT)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = done.stdout.strip().splitlines()
    return lines[0] if done.returncode == 0 and lines else ""


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def distribution():
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return "unknown"


def facts(cores):
    """Everything that a figure depends on besides the programs; also the first line of the JSON."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "revision": first_line("git", "describe", "--always", "--dirty"),
        "processor": processor(),
        "cores": os.cpu_count(),
        "server core": cores.server,
        "load core": cores.load,
        "virtual": "yes" if "hypervisor" in pathlib.Path("/proc/cpuinfo").read_text() else "no",
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB",
        "kernel": platform.release(),
        "distribution": distribution(),
        "C++ compiler": first_line(*os.environ.get("CXX", "c++").split(), "--version"),
        "redis": first_line("redis-server", "--version"),
        "openssl": first_line("openssl", "version"),
        "nats": first_line("nats-server", "--version"),
        "valgrind": first_line("valgrind", "--version"),
        "load average": round(os.getloadavg()[0], 2),
    }


class Cores:
    """One core for the server and another for the load, on different physical cores if possible."""

    def __init__(self):
        allowed = sorted(os.sched_getaffinity(0))
        if len(allowed) < 2:
            raise Failure("server and load need two cores, and there is one")
        self.server = allowed[0]
        siblings = self.siblings(self.server)
        self.load = next((core for core in allowed if core not in siblings), allowed[1])
        self.both = (self.server, self.load)

    @staticmethod
    def siblings(core):
        place = f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list"
        try:
            text = pathlib.Path(place).read_text().strip()
        except OSError:
            return {core}
        found = set()
        for part in text.split(","):
            first, _, last = part.partition("-")
            found.update(range(int(first), int(last or first) + 1))
        return found


def pinned(*cores):
    """To be run by a child before its program starts."""
    return lambda: os.sched_setaffinity(0, cores)


class CoreMeter:
    """How much of some cores others have used since this was made."""

    def __init__(self, cores):
        self.names = {f"cpu{core}" for core in cores}
        self.began, self.before = time.monotonic(), self.read()

    def read(self):
        """Seconds of work on these cores together, and our own: the harness and its ended loads."""
        work = 0
        for line in pathlib.Path("/proc/stat").read_text().splitlines():
            name, *ticks = line.split()
            if name in self.names:
                user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, ticks[:8])
                work += user + nice + system + irq + softirq + steal
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return work / TICK, sum(each.ru_utime + each.ru_stime for each in used)

    def others_percent(self, server_seconds=0):
        """What neither we nor the server, which has not ended yet, can have used.

        The cores are counted in whole ticks, so up to one of each is nobody's fault.
        """
        wall = time.monotonic() - self.began
        work, our_own = (b - a for a, b in zip(self.before, self.read()))
        others = work - our_own - server_seconds - len(self.names) / TICK
        return 100 * max(0.0, others) / len(self.names) / wall
