#!/usr/bin/env python3
"""What `./dev bench` runs: our echo and pub/sub servers beside the hand-written floors.

Echo: server CPU per request, interleaved rounds, ratios to the floor (see echo_cpu.py).
Pub/sub: deliveries per second and server CPU per delivery at 5 x 25, 64 messages on their way.
"""

import argparse
import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_for(port):
    for _ in range(1000):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        os.sched_yield()
    sys.exit("a server did not come up")


def pin(core):
    return lambda: os.sched_setaffinity(0, {core % os.cpu_count()})


def pubsub_once(command, load, seconds):
    port = free_port()
    server = subprocess.Popen([part.format(port=port) for part in command],
                              stdout=subprocess.DEVNULL, preexec_fn=pin(0))
    try:
        wait_for(port)
        before = cpu_seconds(server.pid)
        with tempfile.NamedTemporaryFile(suffix=".json") as figures:
            run = subprocess.run(
                [load, "--connect", f"127.0.0.1:{port}", "--rate", "max", "--window", "64",
                 "--seconds", str(seconds), "--json", figures.name],
                stdout=subprocess.DEVNULL, preexec_fn=pin(1))
            result = json.load(open(figures.name))
        if run.returncode != 0:
            sys.exit(f"{command[0]}: messages were lost, duplicated or reordered")
        cpu = cpu_seconds(server.pid) - before
        return result["deliveries_per_second"], cpu / result["delivered"] * 1e9
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=20)


def pubsub(build, rounds, seconds):
    ours = [f"{build}/examples/pubsub_server", "--listen", "127.0.0.1:{port}", "--reactor"]
    servers = {"floor": [f"{build}/benches/pubsub_uring", "{port}"],
               "ouro": ours + ["uring"], "ouro epoll": ours + ["epoll"]}
    got = {name: [] for name in servers}
    for _ in range(rounds):
        for name, command in servers.items():
            got[name].append(pubsub_once(command, f"{build}/examples/pubsub_load", seconds))
    print(f"\npub/sub 5 x 25, 64 B, window 64, {rounds} rounds of {seconds} s")
    print(f"{'server':<12}{'deliveries/s':>14}{'server ns each':>16}{'rate ratio':>12}")
    floor = statistics.median(rate for rate, _ in got["floor"])
    for name, figures in got.items():
        rate = statistics.median(rate for rate, _ in figures)
        cpu = statistics.median(cpu for _, cpu in figures)
        print(f"{name:<12}{rate:>14.0f}{cpu:>16.1f}{rate / floor:>12.3f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    given = parser.parse_args()
    build = given.build
    listen = "--listen 127.0.0.1:{port} --reactor"
    for connections in (64, 512):
        subprocess.run(
            [sys.executable, HERE / "echo_cpu.py", "--rounds", str(given.rounds),
             "--seconds", str(given.seconds), "--connections", str(connections),
             "--load", f"{build}/benches/echo_load",
             f"floor={build}/benches/echo_uring {{port}}",
             f"ouro={build}/examples/echo_server {listen} uring",
             f"floor-epoll={build}/benches/echo_epoll {{port}}",
             f"ouro-epoll={build}/examples/echo_server {listen} epoll"], check=True)
    pubsub(build, given.rounds, given.seconds)


main()
