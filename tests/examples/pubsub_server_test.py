"""The pub/sub server as its clients see it: what it passes on, and what it makes of bad input."""

import select
import subprocess
import sys

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
    port, serving = server()
    with serving:
        run = subprocess.run([binary, "--listen", f"127.0.0.1:{port}", "--reactor", REACTOR],
                             capture_output=True, text=True, timeout=20)
        assert run.returncode == 1, run.returncode
        assert len(run.stderr.splitlines()) == 1 and str(port) in run.stderr, run.stderr


def check_workers():
    port, serving = server("--workers", "2")
    with serving:
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


def main():
    port, serving = server()
    with serving as process:
        check_delivery(port)
        check_refusals(port)
        check_resets(port, process)
    assert "refused" in process.report, process.report
    check_block()
    check_drop()
    check_disconnect()
    check_workers()
    check_command_line()


main()
