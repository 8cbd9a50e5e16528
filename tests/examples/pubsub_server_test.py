"""The pub/sub server as its clients see it: what it passes on, and what it makes of bad input."""

import contextlib
import os
import resource
import select
import subprocess
import sys
import time

from servers import Peer, free_port, open_descriptors, running, wait_until

EXAMPLES = sys.argv[1]
REACTOR = sys.argv[2]


def server(*options):
    port = free_port()
    return port, running([f"{EXAMPLES}/pubsub_server", "--listen", f"127.0.0.1:{port}",
                          "--reactor", REACTOR, *options])


def subscriber(port, channel):
    return Peer(port).send(b"SUBSCRIBE " + channel + b"\r\n").expect(b"OK\r\n")


def publisher(port, channel):
    return Peer(port).send(b"PUBLISH " + channel + b"\r\n").expect(b"OK\r\n")


def check_delivery(port):
    early = subscriber(port, b"news")
    other = subscriber(port, b"weather")
    lonely = publisher(port, b"nobody")
    lonely.send(b"is there anybody?\r\nBYE\r\n").expect_end()
    source = publisher(port, b"news")
    source.send(b"one\r\n\r\nthr").send(b"ee\r\n")
    for line in (b"one\r\n", b"\r\n", b"three\r\n"):
        early.expect(line)
    late = subscriber(port, b"news")
    source.send(b"four\r\nBYE\r\nfive\r\n").expect_end()
    early.expect(b"four\r\n").send(b"BYE\r\n").expect_end()
    late.expect(b"four\r\n").send(b"BYE\r\n").expect_end()
    other.send(b"BYE\r\n").expect_end()


def check_refusals(port):
    """Each of these gets one ERROR line and the end; nobody else notices."""
    witness = subscriber(port, b"calm")
    long_name = b"x" * 256
    for wrong in (b"HELLO\r\n", b"publish a\r\n", b"PUBLISH\r\n", b"PUBLISH \r\n",
                  b"PUBLISH " + long_name + b"\r\n", b"SUBSCRIBE " + long_name + b"\r\n",
                  b"SUBSCRIBE a b\r\n", b"PUBLISH a\n", b"PUBLISH a\0b\r\n", b"\r\n",
                  b"x" * (65 * 1024)):
        Peer(port).send(wrong).expect_error_and_end()
    Peer(port).send(b"PUBLISH half").half_close().expect_error_and_end()
    Peer(port).half_close().expect_end()
    publisher(port, b"calm").send(b"y" * (65 * 1024)).expect_error_and_end()
    publisher(port, b"calm").send(b"a\0b\r\n").expect_error_and_end()
    publisher(port, b"calm").send(b"no carriage return\n").expect_error_and_end()
    publisher(port, b"calm").send(b"half a line").half_close().expect_error_and_end()
    subscriber(port, b"loud").send(b"I have something to say\r\n").expect_error_and_end()
    longest = b"z" * (64 * 1024 - 2) + b"\r\n"
    publisher(port, b"calm").send(longest + b"BYE\r\n").expect_end()
    witness.expect(longest).send(b"BYE\r\n").expect_end()
    publisher(port, b"x" * 255).send(b"BYE\r\n").expect_end()


def check_resets(port, process):
    before = open_descriptors(process)
    witness = subscriber(port, b"calm")
    for _ in range(20):
        Peer(port).reset()
        subscriber(port, b"calm").reset()
        publisher(port, b"calm").send(b"last words\r\npartly").reset()
    source = publisher(port, b"calm")
    source.send(b"the end\r\nBYE\r\n").expect_end()
    while witness.line() != b"the end\r\n":
        pass
    witness.close()
    wait_until(lambda: open_descriptors(process) <= before, "every descriptor is closed")


def fill(source):
    """Publishes until the server stops reading; returns how many bytes it took."""
    source.socket.settimeout(0.5)
    sent = 0
    try:
        while sent < 200_000_000:
            sent += source.socket.send((b"." * 998 + b"\r\n") * 64)
    except TimeoutError:
        return sent
    raise AssertionError("the publisher was never held back")


def check_block():
    port, serving = server("--slow-subscriber", "block")
    with serving:
        slow, quick = subscriber(port, b"a"), subscriber(port, b"a")
        elsewhere = subscriber(port, b"b")
        source = publisher(port, b"a")
        sent = fill(source)
        publisher(port, b"b").send(b"undisturbed\r\nBYE\r\n").expect_end()
        elsewhere.expect(b"undisturbed\r\n")
        source.half_close()
        # Now both read, side by side, and nothing is missing.
        missing = {reader.socket: sent // 1000 * 1000 for reader in (slow, quick)}
        while missing:
            readable, _, _ = select.select(list(missing), [], [], 20)
            assert readable, f"nothing came any more; missing: {list(missing.values())}"
            for one in readable:
                missing[one] -= len(one.recv(min(missing[one], 1 << 20)))
                if missing[one] == 0:
                    del missing[one]


def send_what_goes(source, most):
    """Publishes lines without waiting, up to `most` bytes; returns how many bytes went."""
    source.socket.setblocking(False)
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while sent < most:
            sent += source.socket.send((b"." * 998 + b"\r\n") * 16)
    return sent


def check_stuck_channel():
    """A subscriber that does not read holds back its own channel and no other, on any worker."""
    port, serving = server("--slow-subscriber", "block", "--workers", "2")
    with serving:
        pairs = []
        for number in range(12):
            name = b"other%d" % number
            pairs.append((subscriber(port, name), publisher(port, name)))
        stuck = subscriber(port, b"slow")
        floods = [publisher(port, b"slow") for _ in range(8)]
        quiet_since = time.monotonic()
        while time.monotonic() < quiet_since + 0.5:  # until nobody gets rid of anything
            if any([send_what_goes(flood, 1 << 20) for flood in floods]):
                quiet_since = time.monotonic()
        for reader, source in pairs:
            source.send(b"undisturbed\r\n")
            reader.expect(b"undisturbed\r\n")
        stuck.close()


def check_departed_publishers():
    """Publishers that go while they are held back are let go of, and what they left arrives."""
    port, serving = server("--slow-subscriber", "block")
    with serving as process:
        stuck = subscriber(port, b"a")
        base = open_descriptors(process)
        expected = fill(publisher(port, b"a")) // 1000
        for _ in range(8):
            source = publisher(port, b"a")
            expected += send_what_goes(source, 600_000) // 1000
            source.close()
        wait_until(lambda: open_descriptors(process) <= base, "those who went are let go of")
        for _ in range(expected):
            assert stuck.line() == b"." * 998 + b"\r\n"
        for _ in range(40):  # more than is kept for those who have gone
            source = publisher(port, b"a")
            send_what_goes(source, 1_000_000)
            source.close()
        wait_until(lambda: open_descriptors(process) <= base, "many more are let go of")


def check_given_up():
    """A subscriber that takes nothing is given up, and no longer holds its publishers back."""
    port, serving = server("--slow-subscriber", "block", "--user-timeout", "1s")
    with serving as process:
        stuck = subscriber(port, b"a")
        source = publisher(port, b"a")
        fill(source)
        source.socket.settimeout(20)
        source.send((b"." * 998 + b"\r\n") * 20_000)
        del stuck
    assert "broken 0 " in process.report, process.report


def server_sockets(port, state):
    """The rows of /proc/net/tcp about the server's sockets in that state."""
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    return [row for row in rows if int(row[1].split(":")[1], 16) == port and row[3] == state]


def keep_alive_timers(port):
    """How many of the server's connections have a timer that asks whether the peer is there."""
    return sum(row[5].startswith("02") for row in server_sockets(port, "01"))


def listening(port):
    return len(server_sockets(port, "0A"))


def check_vanishing():
    for options, expected in (((), 5), (("--keep-alive", "0s"), 0)):
        port, serving = server(*options)
        with serving:
            peers = [subscriber(port, b"quiet") for _ in range(5)]
            # While something is on its way, another timer has its place in the table.
            wait_until(lambda: keep_alive_timers(port) == expected,
                       f"{expected} connections watch whether their peer is there")
            for peer in peers:
                peer.close()


def cpu_seconds(process):
    with open(f"/proc/{process.pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def check_many_channels():
    """A channel for each subscriber costs about what one channel for all of them does."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(4000, hard - 200)
    cost = []
    for name in (b"all", b"user%d"):
        port, serving = server()
        with serving as process:
            before = cpu_seconds(process)
            peers = [subscriber(port, name % number if b"%" in name else name)
                     for number in range(count)]
            cost.append(cpu_seconds(process) - before)
            for peer in peers:
                peer.close()
    one, own = cost
    assert own <= 1.5 * one + 0.1, f"one channel {one:.2f} s, a channel each {own:.2f} s"


def check_disconnect():
    port, serving = server("--slow-subscriber", "disconnect")
    with serving:
        slow, quick = subscriber(port, b"a"), subscriber(port, b"a")
        source = publisher(port, b"a")
        for _ in range(20_000):
            source.send(b"." * 998 + b"\r\n")
            quick.lines.read(1000)
        try:
            assert len(slow.lines.read()) < 20_000_000
        except ConnectionResetError:
            pass


def check_drop():
    port, serving = server("--slow-subscriber", "drop")
    with serving as process:
        slow, quick = subscriber(port, b"a"), subscriber(port, b"a")
        source = publisher(port, b"a")
        for _ in range(20_000):
            source.send(b"." * 998 + b"\r\n")
            quick.lines.read(1000)
        source.send(b"BYE\r\n").expect_end()
    assert "dropped" in process.report, process.report
    del slow


def check_command_line():
    binary = f"{EXAMPLES}/pubsub_server"
    for wrong in (["--nonsense", "1"], ["--listen"], ["--listen", "nowhere"], ["--workers", "0"],
                  ["--slow-subscriber", "ignore"], ["--report", "5 parsecs"], ["stray"]):
        run = subprocess.run([binary, *wrong], capture_output=True, text=True, timeout=20)
        assert run.returncode == 2, f"{wrong}: {run.returncode}"
        assert len(run.stderr.splitlines()) == 1, run.stderr
    # A second server is told so, however many workers either has.
    for first, second in (("1", "1"), ("1", "2"), ("2", "1"), ("2", "2")):
        port, serving = server("--workers", first)
        with serving:
            run = subprocess.run([binary, "--listen", f"127.0.0.1:{port}", "--reactor", REACTOR,
                                  "--workers", second], capture_output=True, text=True, timeout=20)
            assert run.returncode == 1, run.returncode
            assert len(run.stderr.splitlines()) == 1 and str(port) in run.stderr, run.stderr
            assert "Address already in use" in run.stderr, run.stderr


def check_workers(listen, port_of):
    with running([f"{EXAMPLES}/pubsub_server", "--listen", listen, "--reactor", REACTOR,
                  "--workers", "2"]) as process:
        port = port_of(process)
        if isinstance(port, int):
            wait_until(lambda: listening(port) == 2, "both workers listen on the port")
        # Enough connections that either worker has some of each kind.
        listeners = [subscriber(port, b"wide") for _ in range(16)]
        sources = [publisher(port, b"wide") for _ in range(8)]
        for number, source in enumerate(sources):
            source.send(b"".join(b"%d %d\r\n" % (number, i) for i in range(100)))
        for listener in listeners:
            seen = {number: 0 for number in range(len(sources))}
            for _ in range(100 * len(sources)):
                number, i = map(int, listener.line().split())
                assert i == seen[number], "the order of a publisher's messages was changed"
                seen[number] += 1


def announced_port(process):
    return int(process.announced.split()[2].rsplit(":", 1)[1])


def main():
    port, serving = server()
    with serving as process:
        check_delivery(port)
        check_refusals(port)
        check_resets(port, process)
    assert "refused" in process.report, process.report
    check_block()
    check_stuck_channel()
    check_departed_publishers()
    check_given_up()
    check_vanishing()
    check_many_channels()
    check_drop()
    check_disconnect()
    check_workers("127.0.0.1:0", announced_port)
    name = f"ouro-pubsub-{os.getpid()}"
    check_workers(f"unix:@{name}", lambda _: name)
    check_command_line()


main()
