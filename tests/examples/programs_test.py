"""The small example programs do what their first line says."""

import subprocess
import sys

from servers import Peer, free_port, running

EXAMPLES = sys.argv[1]


def says(name, *lines):
    run = subprocess.run([f"{EXAMPLES}/{name}"], capture_output=True, text=True, timeout=30)
    assert run.returncode == 0, f"{name}: {run.returncode}, {run.stderr}"
    for line in lines:
        assert line in run.stdout, f"{name} did not say {line!r} but:\n{run.stdout}"


def echo(port):
    peer = Peer(port)
    for text in (b"hello\n", b"x" * 100_000 + b"\n", b"\n"):
        peer.send(text).expect(text)
    peer.half_close().expect_end()


def main():
    says("timers", "tick 5", "the slow answer: timed out", "both done after about 500 ms")
    says("cancellation", "alone was asked to stop: user", "alone has cleaned up",
         "limited was asked to stop: timeout", "first sibling has cleaned up",
         "second sibling was asked to stop: sibling", "the scope failed: the disk is full")
    says("channels", "the squares of 1 to 10 sum up to 385")
    says("blocking_work", "answers 40 and 42, the loop turned 10 times")
    says("multi_worker", "worker 1 says 499500", "1000 items came from worker 1")

    for reactor in ("uring", "epoll"):
        port = free_port()
        with running([f"{EXAMPLES}/echo_server", "--listen", f"127.0.0.1:{port}",
                      "--reactor", reactor]):
            echo(port)
            proxy = free_port()
            with running([f"{EXAMPLES}/tcp_proxy", "--listen", f"127.0.0.1:{proxy}",
                          "--to", f"localhost:{port}"]):
                echo(proxy)
        with running([f"{EXAMPLES}/echo_server", "--listen", f"127.0.0.1:{port}", "--workers", "2",
                      "--buffers", "lent", "--reactor", reactor]):
            for _ in range(8):
                echo(port)

    port = free_port()
    with running([f"{EXAMPLES}/chat", "--listen", f"127.0.0.1:{port}"]):
        first = Peer(port)
        second = Peer(port)
        first.expect(b"guest 2 comes in\n")
        second.send(b"good morning\r\n")
        first.expect(b"guest 2: good morning\n")
        second.close()
        first.expect(b"guest 2 leaves\n")


main()
