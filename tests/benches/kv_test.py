"""The clients of Redis and Memcached among the benchmarks: `kv_test.py FOLDER_OF_BENCHES [--tls]`.

They ask real servers, look at every answer, and end with 1 and a sentence when one is wrong. --tls:
they were built with it.
"""

import contextlib
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading
import types

from faulty_servers import unused_port
from servers import TIMEOUT, server  # also finds benches/

from harness import catalogue
from harness.bench import UNABLE, Bench
from harness.certificate import Certificate
from harness.contender import SERVERS
from harness.measure import measure_once

FOLDER = sys.argv[1]
TLS = "--tls" in sys.argv
KEYS = ["work", "requests", "wall_ns", "cpu_ns", "requests_per_second", "p50_us", "p99_us"]
PASSES = 500  # pieces of what the server says, before one is altered
REDIS_WORKS = ["redis_get_64", "redis_get_1", "redis_pipeline_1000", "redis_set_64"]
MEMCACHED_WORKS = ["memcached_get_64", "memcached_get_1"]


@contextlib.contextmanager
def fresh(*command):
    """A real server, which has a folder of its own; yields its port."""
    with tempfile.TemporaryDirectory() as folder, \
            server(*command, cwd=folder, stdout=subprocess.DEVNULL) as port:
        yield port


def redis():
    return fresh("redis-server", "--port", "PORT", "--bind", "127.0.0.1", "--save", "",
                 "--appendonly", "no")  # fmt: skip


def memcached(*options):
    return fresh("memcached", "-l", "127.0.0.1", "-p", "PORT", "-U", "0", "-t", "1",
                 "-u", "nobody", *options)  # fmt: skip


def redis_tls(secrets):
    """As the harness starts it."""
    return fresh(*SERVERS["rediss"].words(FOLDER, port="PORT", **secrets.words))


def memcached_tls(secrets):
    return memcached("-Z", "-o", f"ssl_chain_cert={secrets.certificate},ssl_key={secrets.key}")


def answers(setup, reply):
    """Yields the port of a server that answers the first so many requests as it should and every
    later one with `reply`, whatever they are."""

    def serve(listener):
        with contextlib.suppress(OSError):
            peer, _ = listener.accept()
            for answer in setup:
                peer.recv(4096)
                peer.sendall(answer)
            while peer.recv(65536):
                peer.sendall(reply)

    @contextlib.contextmanager
    def running():
        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=serve, args=(listener,))
            thread.start()
            try:
                yield listener.getsockname()[1]
            finally:
                thread.join(timeout=TIMEOUT)

    return running()


@contextlib.contextmanager
def altering(port):
    """Yields the port of a proxy that changes a value, after some time, on its way back."""

    def forward(source, target, alters):
        pieces = 0
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                pieces += 1
                if alters and pieces > PASSES:
                    data = data.replace(b"value-", b"alien-", 1)
                target.sendall(data)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def serve(listener, threads):
        with contextlib.suppress(OSError):
            while True:
                near = listener.accept()[0]
                far = socket.create_connection(("127.0.0.1", port))
                for each in (near, far, False), (far, near, True):
                    threads.append(threading.Thread(target=forward, args=each))
                    threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threads = []
        threads.append(threading.Thread(target=serve, args=(listener, threads)))
        threads[0].start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        for each in threads:
            each.join(timeout=TIMEOUT)


def run(program, *options):
    command = [f"{FOLDER}/{program}", *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)


def figures(done, *more):
    assert done.returncode == 0 and done.stderr == "", done
    assert done.stdout.count("\n") == 1, done
    got = json.loads(done.stdout)
    for key in (*KEYS, *more):
        assert key in got, f"no {key} in {got}"
    assert got["requests"] > 0 and got["wall_ns"] > 0 and got["cpu_ns"] > 0, got
    assert 0 < got["p50_us"] <= got["p99_us"], got
    rate = got["requests"] * 1e9 / got["wall_ns"]
    assert abs(rate - got["requests_per_second"]) <= 0.02 * rate, got
    return got


def expect_sentence(done, code, sentence):
    assert done.returncode == code, done
    assert done.stdout == "", done
    assert re.search(sentence, done.stderr), f"no {sentence!r} in {done.stderr!r}"


def floor_answers(protocol, port):
    for options in ([], ["--window", 1], ["--window", 1000, "--batch", 7], ["--poll-us", 50]):
        figures(run("kv_get", protocol, "--port", port, "--seconds", 0.1, *options))
    # Not even one whole window fits into that time.
    hasty = ["--window", 4000, "--batch", 1, "--seconds", 0.01]
    figures(run("kv_get", protocol, "--port", port, *hasty))


def floor_finds_faults():
    entries = 64
    stored, value = b"+OK\r\n", b"$16\r\nvalue-0000000000\r\n"
    wrong = b"$16\r\nvalue-0000000063\r\n"
    asked = ("redis", "--window", 1, "--seconds", 20, "--port")
    with answers([stored] * entries + [value], wrong) as port:
        expect_sentence(run("kv_get", *asked, port), 1, "the value of key:000000000001 is '")
    with answers([b"-ERR no"], b"") as port:
        expect_sentence(run("kv_get", *asked, port), 1, "the server does not store 'key:0")
    expect_sentence(run("kv_get", *asked, unused_port()), 1, "cannot connect to")
    expect_sentence(run("kv_get", "postgres", "--port", 1), 1, "redis or memcached?")
    expect_sentence(run("kv_get", "redis", "--windows", 1), 2, "unknown option '--windows'")


def load_is_answered(works, port, *more):
    for work in works:
        for options in (["--reactor", "uring"], ["--reactor", "epoll"],
                        ["--poll-us", 50, "--batch", 16]):  # fmt: skip
            got = figures(run("kv_load", work, "--port", port, "--seconds", 0.1, *options, *more),
                          "system_calls", "allocations")
            assert got["work"] == work and got["system_calls"] > 0, got


def load_answers(works, port):
    load_is_answered(works, port)
    with altering(port) as altered:
        work = works[1]  # of one caller, so there are enough pieces
        done = run("kv_load", work, "--port", altered, "--seconds", 20)
        expect_sentence(done, 1, "the value of key:000000000000 is 'alien-0000000000'")


def load_refuses():
    listed = run("kv_load", "--list")
    assert sorted(listed.stdout.split()) == sorted(REDIS_WORKS + MEMCACHED_WORKS), listed
    for sentence, *options in (
        ("which work\\? --list names them",),
        ("'redis' is no work; --list names them", "redis"),
        ("one work at a time, not 'redis_get_1', too", "redis_get_64", "redis_get_1"),
        ("--port is missing", "redis_get_1"),
        ("--seconds takes 0.01 to 3600, not '0'", "redis_get_1", "--seconds", "0"),
        ("--reactor takes uring or epoll, not 'kqueue'", "redis_get_1", "--reactor", "kqueue"),
        ("--batch needs a value", "redis_get_1", "--batch"),
        ("unknown option '--windows'", "redis_get_1", "--windows", "1"),
    ):
        expect_sentence(run("kv_load", *options), 2, sentence)
    for work in ("redis_get_1", "memcached_get_1"):
        expect_sentence(run("kv_load", work, "--port", unused_port()), 1, "refused")


def load_trusts_whom_it_is_told():
    ours, strangers = Certificate(), Certificate()
    with redis_tls(ours) as port:
        load_is_answered(REDIS_WORKS, port, "--ca", ours.certificate)
        for options, sentence in (
            (("--ca", strangers.certificate), "certificate of 127.0.0.1: self_signed"),
            ((), "a port for TLS does that, too: try rediss://"),
        ):
            done = run("kv_load", "redis_get_64", "--port", port, *options)
            expect_sentence(done, 1, sentence)
    with memcached_tls(ours) as port:
        load_is_answered(MEMCACHED_WORKS, port, "--ca", ours.certificate)
    for sentence, ca in (
        ("--ca takes a file, not ''", ""),
        ("--ca: cannot read /no/such/ca.pem: No such file or directory", "/no/such/ca.pem"),
        (f"--ca: .*{ours.key}", ours.key),
    ):
        done = run("kv_load", "redis_get_64", "--port", 1, "--ca", ca)
        expect_sentence(done, 2, f"^kv_load: {sentence}")


def load_has_no_tls():
    done = run("kv_load", "redis_get_64", "--port", 1, "--ca", "ca.pem")
    expect_sentence(done, UNABLE, "--ca: ouro was built without TLS")


def harness_measures_tls_beside_the_clear():
    work = next(each for each in catalogue.WORKS if each.name == "rediss_get_64")
    core = min(os.sched_getaffinity(0))  # one will do, as nobody looks at how fast it is
    cores = types.SimpleNamespace(server=core, load=core, both=(core,))
    bench = Bench(pathlib.Path(FOLDER).parent, cores=cores)
    for each in work.contenders:
        got = measure_once(bench, work, each, 0.05)
        assert got["operations"] > 0 and got["requests_per_second"] > 0, (each.name, got)


def floors():
    with redis() as port:
        floor_answers("redis", port)
    with memcached() as port:
        floor_answers("memcached", port)
    floor_finds_faults()


def loads():
    with redis() as port:
        load_answers(REDIS_WORKS, port)
    with memcached() as port:
        load_answers(MEMCACHED_WORKS, port)
    load_refuses()
    if not TLS:
        load_has_no_tls()
        return
    load_trusts_whom_it_is_told()
    harness_measures_tls_beside_the_clear()


floors()
loads()
