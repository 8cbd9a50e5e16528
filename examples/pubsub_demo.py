#!/usr/bin/env python3
"""The demonstration behind `./dev demo`: the pub/sub server under load, on either reactor.

Starts the server on a fresh loopback port, lets the load generator check every message, stops the
server, and does the same on the other reactor. Then both are shown side by side.
"""

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile

REACTORS = ("uring", "epoll")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run_one(build, reactor, load_options):
    """Runs server and load; returns the load's figures and the server's own."""
    address = f"127.0.0.1:{free_port()}"
    server = subprocess.Popen(
        [f"{build}/examples/pubsub_server", "--listen", address, "--reactor", reactor],
        stdout=subprocess.PIPE, text=True)
    try:
        greeting = server.stdout.readline()
        if not greeting.startswith("listening"):
            sys.exit(f"the server did not start on {reactor}")
        before = cpu_seconds(server.pid)
        with tempfile.NamedTemporaryFile(suffix=".json") as figures:
            print(f"\n{reactor}: {greeting.strip()}", flush=True)
            load = subprocess.run(
                [f"{build}/examples/pubsub_load", "--connect", address, "--json", figures.name,
                 *load_options])
            text = open(figures.name).read()
        cpu = cpu_seconds(server.pid) - before
    finally:
        server.send_signal(signal.SIGTERM)
        report = server.stdout.read()
        server.wait(timeout=20)
    if not text:
        sys.exit("the load run failed")
    result = json.loads(text)
    result["ok"] = load.returncode == 0
    result["cpu"] = cpu
    calls = re.findall(r"system_calls (\d+)", report)
    result["system_calls"] = sum(map(int, calls))
    return result


def micros(nanoseconds):
    return f"{nanoseconds / 1000:.0f} us"


def print_table(results, asked):
    rows = [
        ("expected", lambda r: f"{r['expected']}"),
        ("delivered", lambda r: f"{r['delivered']}"),
        ("lost", lambda r: f"{r['lost']}"),
        ("duplicated", lambda r: f"{r['duplicated']}"),
        ("out of order", lambda r: f"{r['out_of_order']}"),
        ("deliveries/s, asked", lambda r: f"{asked:.0f}" if asked else "all"),
        ("deliveries/s", lambda r: f"{r['deliveries_per_second']:.0f}"),
        ("latency p50", lambda r: micros(r["latency_ns"]["p50"])),
        ("latency p99", lambda r: micros(r["latency_ns"]["p99"])),
        ("latency p99.9", lambda r: micros(r["latency_ns"]["p99.9"])),
        ("server CPU", lambda r: f"{r['cpu']:.2f} s"),
        ("system calls/delivery",
         lambda r: f"{r['system_calls'] / max(1, r['delivered']):.4f}"),
    ]
    print("\n" + f"{'':<22}" + "".join(f"{name:>14}" for name in results))
    for title, value in rows:
        print(f"{title:<22}" + "".join(f"{value(one):>14}" for one in results.values()))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--publishers", type=int, default=5)
    parser.add_argument("--subscribers", type=int, default=25)
    parser.add_argument("--rate", default="50")
    parser.add_argument("--window", type=int, default=64)
    given = parser.parse_args()
    options = []
    for name in ("publishers", "subscribers", "rate", "window", "seconds"):
        options += [f"--{name}", str(getattr(given, name))]
    print(f"{given.publishers} publishers x {given.subscribers} subscribers, "
          f"{given.rate} messages/s each, {given.seconds} s on either reactor")
    results = {reactor: run_one(given.build, reactor, options) for reactor in REACTORS}
    rate = 0 if given.rate == "max" else float(given.rate)
    asked = rate * given.publishers * given.subscribers
    print_table(results, asked)
    if not all(one["ok"] for one in results.values()):
        sys.exit("messages were lost, duplicated or reordered")
    print("\nEvery message arrived once and in order, on both.")


if __name__ == "__main__":
    main()
