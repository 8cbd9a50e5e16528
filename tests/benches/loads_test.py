"""Each load finds what it claims to find: `loads_test.py FOLDER_OF_LOADS`.

Servers that lose, repeat, swap, alter or hold back a message make it end with 1 and a sentence
that says so; one that behaves well makes it end with 0 and print one line of sane figures.
"""

import concurrent.futures
import functools
import json
import subprocess
import sys
import time

from faulty_servers import ChurnServer, EchoServer, FanoutServer, unused_port

FOLDER = sys.argv[1]
TIMEOUT = 60  # of one run; a sane one takes less than 6 s, the patience of the loads included
LONG = 30  # seconds for a fault to happen; the run ends when it has been found


def run(load, port, *options):
    command = [f"{FOLDER}/{load}", "--json", "--port", str(port), *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)


def figures(done):
    """The one line that a run without faults prints, having looked at what all loads print."""
    assert done.returncode == 0, done
    assert done.stderr == "", done
    assert len(done.stdout.splitlines()) == 1, done
    got = json.loads(done.stdout)
    assert 0 < got["p50_us"] <= got["p99_us"] <= got["p999_us"] <= got["max_us"] * 1.01, got
    return got


def expect_sentence(done, sentence):
    assert done.returncode == 1, done
    assert done.stdout == "", done
    assert len(done.stderr.splitlines()) == 1, done
    assert sentence in done.stderr, f"no {sentence!r} in {done.stderr!r}"


# --- echo_load and churn_load -----------------------------------------------------------------


def echo(*options, **faults):
    with EchoServer(**faults) as server:
        return run("echo_load", server.port, *(options or ("--connections", 4, "--seconds", LONG)))


def churn(seconds=LONG, **faults):
    with ChurnServer(**faults) as server:
        return run("churn_load", server.port, "--connections", 4, "--seconds", seconds)


def echo_behaves():
    for size in (1, 64, 100_000):
        got = figures(echo("--connections", 4, "--seconds", 0.2, "--size", size))
        assert got["connections"] == 4 and got["size"] == size, got
        assert got["requests"] >= 4, got
        assert abs(got["requests"] / got["seconds"] - got["requests_per_second"]) < \
            0.02 * got["requests_per_second"], got


def echo_alters():
    expect_sentence(echo(alters=200), "a reply differs from its message")


def echo_shifts():
    expect_sentence(echo(inserts=200), "a reply differs from its message")


def echo_mixes_up_connections():
    expect_sentence(echo(crosses=20), "a reply differs from its message")


def echo_says_more_at_the_end():
    expect_sentence(echo("--connections", 1, "--rate", 1, "--seconds", 0.1, appends=1),
                    "the server sent more than it had received")


def echo_closes():
    expect_sentence(echo(closes=20), "the server closed a connection")


def echo_hangs():
    expect_sentence(echo(stops=20), "the server has stopped answering")


def echo_latency_is_that_of_the_server():
    got = figures(echo("--connections", 1, "--seconds", 0.3, delay=0.02))
    assert got["p50_us"] >= 20_000, got


def echo_open_loop_asks_for_what_is_due():
    got = figures(echo("--connections", 8, "--seconds", 0.5, "--rate", 400))
    assert got["requests"] + got["backlog"] == 200, got


def echo_open_loop_shows_the_backlog():
    """50 answers a second are possible, 200 are due: those asked last are due for long."""
    got = figures(echo("--connections", 1, "--seconds", 0.5, "--rate", 200, delay=0.02))
    assert got["requests"] <= 26 and got["requests"] + got["backlog"] == 100, got
    assert got["max_us"] >= 100_000, got


def churn_behaves():
    got = figures(churn(seconds=0.3))
    assert got["connections"] >= 4 and got["connections_per_second"] > 0, got


def churn_alters():
    expect_sentence(churn(alters=640), "an echo differs from its message")


def churn_says_more():
    expect_sentence(churn(inserts=640), "an echo is longer than its message")


def churn_closes():
    expect_sentence(churn(closes=10), "the server closed a connection")


def churn_hangs():
    expect_sentence(churn(stops=10), "the server has stopped answering")


# --- fanout_load ------------------------------------------------------------------------------

PROTOCOLS = ("line", "redis", "nats")
CROWD = ("--channels", 2, "--subscribers", 3, "--window", 32)
SHAPE = (*CROWD, "--seconds", 0.3)
FAULTY = (*CROWD, "--seconds", LONG)
ONE_MESSAGE = ("--channels", 1, "--subscribers", 2, "--rate", 1, "--seconds", 0.1)


def fanout(protocol, *options, **faults):
    with FanoutServer(protocol, **faults) as server:
        done = run("fanout_load", server.port, "--protocol", protocol, *(options or FAULTY))
    return done, server


def fanout_behaves(protocol):
    for size in (64, 14, 1000):
        got = figures(fanout(protocol, *SHAPE, "--size", size)[0])
        assert got["published"] >= 64 and got["deliveries"] == got["published"] * 3, got
        assert got["deliveries_per_second"] <= got["deliveries"] / 0.3 * 1.01, got


def fanout_reads_deliveries_however_they_are_cut(protocol):
    got = figures(fanout(protocol, *SHAPE, cuts=37)[0])
    assert got["deliveries"] == got["published"] * 3 > 0, got


def fanout_keeps_the_window(protocol):
    """With a window of one, the server sees no message before everybody has the one before."""
    done, server = fanout(protocol, "--channels", 1, "--subscribers", 3, "--window", 1,
                          "--seconds", 0.2)
    got = figures(done)
    assert got["deliveries"] == got["published"] * 3 > 0, got
    assert server.batch_max == 1, server.batch_max


def fanout_open_loop(protocol):
    got = figures(fanout(protocol, *SHAPE, "--rate", 200)[0])
    assert got["published"] >= 2 * 0.3 * 200 and got["deliveries"] == got["published"] * 3, got


def fanout_open_loop_counts_from_when_it_was_due(protocol):
    """A server that handles a message in 20 ms falls behind, and the latency says so."""
    got = figures(fanout(protocol, "--channels", 1, "--subscribers", 1, "--seconds", 0.3,
                         "--rate", 200, delay=0.02)[0])
    assert got["max_us"] >= 100_000, got


def fanout_loses(protocol):
    expect_sentence(fanout(protocol, loses=100)[0],
                    "lost or reordered: subscriber 1 of c0 received message 101 when 100 was next")


def fanout_loses_the_last(protocol):
    """The other channel goes on, so only the end of the time tells."""
    expect_sentence(fanout(protocol, *SHAPE, mute_from=30)[0], "lost: ")


def fanout_loses_everything(protocol):
    expect_sentence(fanout(protocol, "--channels", 1, "--subscribers", 2, "--window", 8,
                           "--seconds", LONG, mute_from=100)[0],
                    "lost: the server has stopped delivering, and ")


def fanout_repeats(protocol):
    expect_sentence(fanout(protocol, repeats=100)[0],
                    "repeated or reordered: subscriber 1 of c0 received message 100 when 101 was")


def fanout_repeats_the_last(protocol):
    expect_sentence(fanout(protocol, *ONE_MESSAGE, repeats=0)[0],
                    "repeated or reordered: subscriber 1 of c0 received message 0 when 1 was next")


def fanout_goes_on_after_the_last(protocol):
    expect_sentence(fanout(protocol, *ONE_MESSAGE, trails=0)[0],
                    "repeated: subscriber 1 of c0 received part of a message after the last")


def fanout_swaps(protocol):
    expect_sentence(fanout(protocol, swaps=100)[0],
                    "lost or reordered: subscriber 1 of c0 received message 101 when 100 was next")


def fanout_alters(protocol):
    expect_sentence(fanout(protocol, alters=100)[0], "altered: subscriber 1 of c0 received '")


def fanout_inserts(protocol):
    expect_sentence(fanout(protocol, inserts=100)[0], "altered: subscriber 1 of c0 received '")


def fanout_crosses(protocol):
    expect_sentence(fanout(protocol, crosses=100)[0], "altered: subscriber 1 of c0 received '")


def fanout_closes(protocol):
    expect_sentence(fanout(protocol, closes=100)[0], "the server closed a connection")


def fanout_is_refused(protocol):
    expect_sentence(fanout(protocol, refuses=b"-ERR go away\r\n")[0], "'-ERR go away'")


def fanout_gets_no_greeting(protocol):
    expect_sentence(fanout(protocol, refuses=b"")[0], "the server does not answer a greeting")


def redis_replies_are_counted():
    expect_sentence(fanout("redis", wrong_reply=100)[0],
                    "a PUBLISH of c0 was answered ':2..' and not ':3..'")
    expect_sentence(fanout("redis", extra_reply=100)[0],
                    "the publisher of c0 was answered more often than it published")
    expect_sentence(fanout("redis", *SHAPE, no_reply=0)[0],
                    "lost: some PUBLISH were never answered")


def nats_pings_are_answered():
    for cuts in (0, 37):
        done, server = fanout("nats", *SHAPE, pings=50, cuts=cuts)
        got = figures(done)
        assert got["deliveries"] == got["published"] * 3 > 0, got
        # Eight connections are asked when they come and at message 0; the last may come too late.
        assert server.pings >= 16 and server.pongs >= server.pings - 8, vars(server)


def nats_errors_are_told():
    expect_sentence(fanout("nats", error=100)[0], "altered: subscriber 1 of c0 received '-ERR no")


# --- the command line -------------------------------------------------------------------------


def without_a_server():
    for load in ("echo_load", "churn_load", "fanout_load"):
        expect_sentence(run(load, unused_port(), "--seconds", 0.1), "cannot connect to 127.0.0.1:")


def wrong_usage():
    for load, options, sentence in (
        ("echo_load", ("--port", 1, "--conections", 1), "unknown option '--conections'"),
        ("echo_load", ("--port", 0), "--port takes 1 to 65535"),
        ("echo_load", ("--port", 1, "--connections", 0), "--connections takes 1 to 16384"),
        ("echo_load", ("--port", 1, "--connections", 1.5), "--connections takes a whole number"),
        ("echo_load", ("--port", 1, "--connections", 16384, "--size", 1 << 20), "1 GiB"),
        ("echo_load", ("--port", 1, "--seconds", "nan"), "--seconds takes 0.01 to 3600"),
        ("echo_load", ("--port", 1, "--rate", "fast"), "--rate takes 1 to 1000000000"),
        ("echo_load", ("--port", 1, "--address", "10.0.0.1"), "only loopback addresses"),
        ("echo_load", ("--connections", 1), "--port is missing"),
        ("churn_load", ("--port",), "--port takes 1 to 65535"),
        ("churn_load", ("--port", 1, "--size", 64), "unknown option '--size'"),
        ("fanout_load", ("--port", 1, "--protocol", "amqp"), "--protocol does not take 'amqp'"),
        ("fanout_load", ("--port", 1, "--window", 2048), "--window takes 1 to 2047"),
        ("fanout_load", ("--port", 1, "--size", 13), "--size takes 14 to 4096"),
        ("fanout_load", ("--port", 1, "--channels", 4096, "--subscribers", 4), "limited to 16384"),
        ("fanout_load", ("--port", 1, "--channels", 4096, "--subscribers", 1), "1 GiB"),
    ):
        command = [f"{FOLDER}/{load}", *map(str, options)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
        first, *usage = done.stderr.splitlines()
        assert done.returncode == 2 and done.stdout == "", done
        assert first == f"{load}: {first.removeprefix(load + ': ')}" and sentence in first, done
        assert usage and usage[0].startswith(f"usage: {load} "), done


def for_people():
    with EchoServer() as server:
        command = [f"{FOLDER}/echo_load", "--port", str(server.port), "--seconds", "0.1"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    assert done.returncode == 0 and "requests/s\nlatency p50 " in done.stdout, done


# --- all of it --------------------------------------------------------------------------------


def stories():
    for name, story in list(globals().items()):
        if name.startswith(("echo_", "churn_", "redis_", "nats_")) and callable(story):
            yield name, story
        if name.startswith("fanout_"):
            for protocol in PROTOCOLS:
                yield f"{name} {protocol}", functools.partial(story, protocol)
    yield from (("without_a_server", without_a_server), ("wrong_usage", wrong_usage),
                ("for_people", for_people))


def main():
    failed = 0
    # Several of them wait for the patience of a load to end, and can do so together.
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        told = {name: pool.submit(timed, story) for name, story in stories()}
        for name, outcome in told.items():
            error = outcome.exception()
            failed += error is not None
            print(f"{name}: {f'{outcome.result():.1f} s' if error is None else repr(error)}")
    print(f"{failed} of {len(told)} failed")
    return 1 if failed else 0


def timed(story):
    begun = time.monotonic()
    story()
    return time.monotonic() - begun


sys.exit(main())
