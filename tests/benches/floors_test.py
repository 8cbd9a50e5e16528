"""The floors keep what they promise: `floors_test.py FOLDER_OF_BENCHES`.

They are compared with servers that lose nothing and hold back a publisher whose subscribers are
slow, so they must do the same.
"""

import concurrent.futures
import json
import select
import socket
import subprocess
import sys

from servers import TIMEOUT, server

FOLDER = sys.argv[1]
LINE = b"%060d\r\n"
LINE_BYTES = len(LINE % 0)
BUFFERS_MAX = 128 << 20  # more than four sockets and a floor take; one may take 32 MB


def floor(name):
    return server(f"{FOLDER}/{name}", "PORT")


def lines(begin, end):
    """These bytes of a text without an end, in which no two lines are the same."""
    first = begin // LINE_BYTES
    text = b"".join(LINE % i for i in range(first, -(-end // LINE_BYTES)))
    return text[begin - first * LINE_BYTES:end - first * LINE_BYTES]


def load(name, port, *options):
    command = [f"{FOLDER}/{name}", "--json", "--port", str(port), *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    assert done.returncode == 0, done
    return json.loads(done.stdout)


def peer(port, greeting, answer=b"OK\r\n"):
    connection = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
    connection.sendall(greeting)
    expect(connection, answer)
    return connection


def expect(connection, wanted):
    got = bytearray()
    while len(got) < len(wanted):
        data = connection.recv(len(wanted) - len(got))
        assert data, f"the end after {len(got)} of {len(wanted)} bytes: {bytes(got[:80])!r}"
        got += data
    assert got == wanted, f"expected {wanted[:80]!r}, got {bytes(got[:80])!r}"


def expect_end(connection):
    assert connection.recv(1) == b""
    connection.close()


def echo(name):
    with floor(name) as port:
        for size, connections in ((1, 1), (64, 64), (16_384, 8), (1 << 20, 4)):
            got = load("echo_load", port, "--connections", connections, "--size", size,
                       "--seconds", 0.1)
            assert got["requests"] > 0, got
        assert load("churn_load", port, "--connections", 8, "--seconds", 0.1)["connections"] > 0


def pubsub(name):
    with floor(name) as port:
        for channels, subscribers, window in ((1, 1, 1), (5, 25, 64), (1, 200, 16)):
            got = load("fanout_load", port, "--channels", channels, "--subscribers", subscribers,
                       "--window", window, "--seconds", 0.1)
            assert got["deliveries"] == got["published"] * subscribers > 0, got
        greetings(port)
        slow_subscriber(port)


def greetings(port):
    expect_end(peer(port, b"HELLO\r\n",
                    b"ERROR expected PUBLISH <channel> or SUBSCRIBE <channel>\r\n"))
    expect_end(peer(port, b"PUBLISH \r\n", b"ERROR the channel has no name\r\n"))
    expect_end(peer(port, b"SUBSCRIBE c0\n", b"ERROR lines end with CR LF\r\n"))
    subscriber = peer(port, b"SUBSCRIBE g\r\n")
    publisher = peer(port, b"PUBLISH g\r\nfirst\r\nsec")
    publisher.sendall(b"ond\r\nBYE\r\n")
    expect_end(publisher)
    expect(subscriber, b"first\r\nsecond\r\n")
    subscriber.sendall(b"BYE\r\n")
    expect_end(subscriber)


def slow_subscriber(port):
    """A publisher is held once the buffers are full; then everything arrives in order."""
    slow = peer(port, b"SUBSCRIBE s\r\n")
    quick = peer(port, b"SUBSCRIBE s\r\n")
    publisher = peer(port, b"PUBLISH s\r\n")
    publisher.setblocking(False)
    sent = 0
    quick.setblocking(False)
    received = bytearray()
    while any(ready := select.select([quick], [publisher], [], 0.2)[:2]):
        if ready[0]:
            received += quick.recv(1 << 20)
        if ready[1]:
            assert sent < BUFFERS_MAX, "the publisher was never held"
            sent += publisher.send(lines(sent, sent + 65536))
    assert received == lines(0, len(received))
    for connection in (publisher, quick):
        connection.settimeout(TIMEOUT)
    whole = sent - sent % LINE_BYTES
    # Each of them holds the publisher when it is slow, so they read at the same time.
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for done in (pool.submit(expect, slow, lines(0, whole)),
                     pool.submit(expect, quick, lines(len(received), whole))):
            done.result()
    publisher.sendall(lines(sent, whole + LINE_BYTES) + b"BYE\r\n")
    expect(slow, lines(whole, whole + LINE_BYTES))
    expect_end(publisher)


echo("echo_uring")
echo("echo_epoll")
pubsub("pubsub_uring")
pubsub("pubsub_epoll")
