#!/usr/bin/env python3
"""Weighs echo servers against each other: CPU time of the server per request.

    benches/echo_cpu.py floor='build/benches/echo_uring {port}' \\
                        ouro='build/examples/echo_server --listen 127.0.0.1:{port}'

Each server is a name and a command; {port} becomes a fresh port each time. A round runs every
server once, one after the other, so that whatever else the machine does falls on all of them;
the rounds are repeated and the medians compared. The server is pinned to one core and the load
to another. Wall-clock figures say how fast the pair was; CPU per request says what the server
cost, and is the figure to compare.

Somebody else at work on the two cores makes every figure worse, and not evenly. What others took
during a run is measured; a disturbed run is repeated a few times and the calmest one counts.

The first server is what the others are measured against. Its ratio is taken round by round,
because neighbours in time share the machine's mood, and the median of these ratios is printed.
"""

import argparse
import ctypes
import json
import os
import pathlib
import resource
import shlex
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

START_SECONDS_MAX = 10  # for a server to accept its first connection
STOP_SECONDS_MAX = 5  # for a server to end on SIGTERM before it is killed
PORTS = range(20000, 32000)  # below the ports that the kernel gives to clients
OTHERS_MAX = 0.03  # of the two cores; above it a run is repeated
TRIES_MAX = 3
TICK = os.sysconf("SC_CLK_TCK")

libc = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    """What went wrong, in one sentence for the user."""


class CpuMeter:
    """The CPU time of a process: all its threads, also those that have ended.

    The total comes from the process's CPU clock, in nanoseconds. The kernel splits it into user
    and system by sampling at its tick, so the split needs many requests to mean anything.
    """

    def __init__(self, pid):
        self.pid = pid
        self.clock = ctypes.c_int()
        error = libc.clock_getcpuclockid(pid, ctypes.byref(self.clock))
        if error:
            raise Failure(f"no CPU clock for process {pid}: {os.strerror(error)}")

    def read(self):
        """Nanoseconds in total, ticks in user mode, ticks in the kernel."""
        total = time.clock_gettime_ns(self.clock.value)
        stat = pathlib.Path(f"/proc/{self.pid}/stat").read_text()
        fields = stat.rpartition(")")[2].split()  # the name before it may contain anything
        return total, int(fields[11]), int(fields[12])


class CoreMeter:
    """How busy some cores are, and how much of it was the load: the rest was others."""

    def __init__(self, cores):
        self.names = {f"cpu{core}" for core in cores}

    def read(self):
        """Seconds of work on all these cores together, seconds of work of ended children."""
        work = 0
        for line in pathlib.Path("/proc/stat").read_text().splitlines():
            name, *ticks = line.split()
            if name in self.names:
                user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, ticks[:8])
                work += user + nice + system + irq + softirq + steal
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return work / TICK, children.ru_utime + children.ru_stime


class Server:
    """One server process on a port of its own, pinned to a core, ended on exit."""

    def __init__(self, name, command, port, core):
        self.name, self.port = name, port
        self.words = tempfile.TemporaryFile()  # a pipe that nobody reads could fill up
        arguments = [word.replace("{port}", str(port)) for word in shlex.split(command)]
        try:
            self.process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self.words,
                start_new_session=True,  # its own group, so that workers end with it
                preexec_fn=lambda: os.sched_setaffinity(0, {core}),
            )
        except OSError as error:
            raise Failure(f"{name} cannot be started: {error}") from error

    def __enter__(self):
        try:
            self.await_start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def await_start(self):
        give_up = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < give_up:
            if self.process.poll() is not None:
                raise Failure(f"{self.name} ended at once: {self.last_words()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise Failure(f"{self.name} does not accept connections on port {self.port}")

    def last_words(self):
        self.words.seek(0)
        return self.words.read().decode(errors="replace").strip() or "it said nothing"

    def stop(self):
        for how in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, how)
            except ProcessLookupError:
                pass
            try:
                self.process.wait(STOP_SECONDS_MAX)
                break
            except subprocess.TimeoutExpired:
                continue
        self.words.close()


class Ports:
    """Hands out ports that nobody listens on, each only once.

    After a server that used a ring has ended, its listening socket can live on for a moment.
    """

    def __init__(self):
        first = PORTS.start + os.getpid() * 37 % len(PORTS)
        self.left = [*range(first, PORTS.stop), *range(PORTS.start, first)]

    def take(self):
        while self.left:
            port = self.left.pop(0)
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                    return port
                except OSError:
                    continue
        raise Failure("no free port is left")


def run_load(options, port, seconds):
    command = [
        options.load, "--json", "--port", str(port), "--connections", str(options.connections),
        "--size", str(options.size), "--seconds", str(seconds),
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=seconds + 30,
            preexec_fn=lambda: os.sched_setaffinity(0, {options.load_core}),
        )
    except OSError as error:
        raise Failure(f"the load cannot be started: {error}") from error
    except subprocess.TimeoutExpired as error:
        raise Failure("the load did not end") from error
    if done.returncode != 0:
        raise Failure(f"the load failed: {done.stderr.strip()}")
    return json.loads(done.stdout)


def measure(options, name, command, port):
    """One server under one load, started once."""
    with Server(name, command, port, options.server_core) as server:
        try:
            meter = CpuMeter(server.process.pid)
            cores = CoreMeter((options.server_core, options.load_core))
            if options.warmup > 0:
                run_load(options, port, options.warmup)
            time.sleep(0.05)  # the server still closes the connections of the warm-up
            cores_before, before = cores.read(), meter.read()
            load = run_load(options, port, options.seconds)
            after, cores_after = meter.read(), cores.read()
        except (Failure, OSError) as error:
            raise Failure(f"{name}: {error}") from error
    total, user, system = (b - a for a, b in zip(before, after))
    if load["requests"] == 0:
        raise Failure(f"{name} answered nothing")
    work, children = (b - a for a, b in zip(cores_before, cores_after))
    return {
        "cpu_us": total / 1000 / load["requests"],
        "others": max(0.0, work - children - total / 1e9) / 2 / load["seconds"],
        "user_ticks": user,
        "system_ticks": system,
        "busy": total / 1e9 / load["seconds"],
        **load,
    }


def measure_calmly(options, name, command, ports):
    """The first run that others hardly disturbed, or else the least disturbed one."""
    runs = []
    while len(runs) < TRIES_MAX:
        runs.append(measure(options, name, command, ports.take()))
        if runs[-1]["others"] <= OTHERS_MAX:
            break
    return min(runs, key=lambda run: run["others"])


def summarize(name, rounds, base_rounds):
    cpu = [each["cpu_us"] for each in rounds]
    ratios = [ours["cpu_us"] / base["cpu_us"] for ours, base in zip(rounds, base_rounds)]
    requests = sum(each["requests"] for each in rounds)

    def middle(key):
        return statistics.median(each[key] for each in rounds)

    return {
        "name": name,
        "cpu_us": statistics.median(cpu),
        "cpu_us_min": min(cpu),
        "cpu_us_max": max(cpu),
        "user_us": sum(each["user_ticks"] for each in rounds) * 1e6 / TICK / requests,
        "system_us": sum(each["system_ticks"] for each in rounds) * 1e6 / TICK / requests,
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "busy": middle("busy"),
        "others": middle("others"),
        "requests_per_second": middle("requests_per_second"),
        "p50_us": middle("p50_us"),
        "p99_us": middle("p99_us"),
        "rounds": rounds,
    }


def print_table(options, summaries):
    width = max(len("server"), *(len(each["name"]) for each in summaries))
    print(
        f"{options.connections} connections, {options.size} bytes, "
        f"{options.rounds} rounds of {options.seconds:g} s; µs of server CPU per request"
    )
    print(
        f"{'server':{width}}  {'median':>7}  {'min … max':>13}  {'user':>6}  {'system':>6}  "
        f"{'ratio':>6}  {'min … max':>13}  {'busy':>5}  {'others':>6}  "
        f"{'requests/s':>10}  {'p50 µs':>7}  {'p99 µs':>7}"
    )
    for each in summaries:
        spread = f"{each['cpu_us_min']:.3f} … {each['cpu_us_max']:.3f}"
        ratio_spread = f"{each['ratio_min']:.3f} … {each['ratio_max']:.3f}"
        print(
            f"{each['name']:{width}}  {each['cpu_us']:7.3f}  {spread:>13}  {each['user_us']:6.2f}  "
            f"{each['system_us']:6.2f}  {each['ratio']:6.3f}  {ratio_spread:>13}  "
            f"{each['busy']:5.0%}  {each['others']:6.1%}  "
            f"{each['requests_per_second']:10.0f}  {each['p50_us']:7.1f}  {each['p99_us']:7.1f}"
        )
    if max(each["others"] for each in summaries) > OTHERS_MAX:
        print("Others were at work on the two cores: repeat this when the machine is calm.")


def find_load():
    root = pathlib.Path(__file__).resolve().parent.parent
    for place in ("build/benches/echo_load", "build/benches/load/echo_load"):
        if (root / place).is_file():
            return str(root / place)
    return None


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("servers", nargs="+", metavar="name=command", help="{port} is replaced")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=3, help="per server and round")
    parser.add_argument("--warmup", type=float, default=0.3, help="seconds, not measured")
    parser.add_argument("--size", type=int, default=64, help="bytes per message")
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--load-core", type=int, default=1)
    parser.add_argument("--load", default=find_load(), help="the echo_load program")
    parser.add_argument("--json", action="store_true", help="every round, for programs")
    options = parser.parse_args()

    if options.load is None:
        parser.error("echo_load is not built; build it or name it with --load")
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds and --seconds must be positive")
    cores = os.sched_getaffinity(0)
    if options.server_core == options.load_core or not {
        options.server_core,
        options.load_core,
    } <= cores:
        parser.error(f"server and load need two different cores out of {sorted(cores)}")
    options.commands = {}
    for server in options.servers:
        name, equals, command = server.partition("=")
        if not equals or not name or "{port}" not in command or name in options.commands:
            parser.error(f"'{server}' is not name=command with {{port}} and a name of its own")
        options.commands[name] = command
    return options


def main():
    options = parse_arguments()
    ports = Ports()
    rounds = {name: [] for name in options.commands}
    for number in range(options.rounds):
        for name, command in options.commands.items():
            rounds[name].append(measure_calmly(options, name, command, ports))
        if sys.stderr.isatty():
            print(f"\rround {number + 1} of {options.rounds}", end="", file=sys.stderr)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)

    base = next(iter(rounds.values()))
    summaries = [summarize(name, each, base) for name, each in rounds.items()]
    if options.json:
        shape = {key: getattr(options, key) for key in ("connections", "size", "seconds")}
        print(json.dumps({**shape, "servers": summaries}, indent=2))
    else:
        print_table(options, summaries)


if __name__ == "__main__":
    # So that the server at work ends with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        main()
    except Failure as failure:
        print(f"echo_cpu: {failure}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
