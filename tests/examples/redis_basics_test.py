"""redis_basics does what its lines say, against a server of its own; without one it says so."""

import subprocess
import sys
import tempfile
import time

from servers import TIMEOUT, free_port, Peer

EXAMPLES = sys.argv[1]
SAYS = ["the greeting is hello", "42 visits, and nothing", "the user is called Ada",
        "the server said: ERR value is not an integer or out of range", "right has 5",
        "moved 5, right has 10"]


def wait_for(port):
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            Peer(port).send(b"PING\r\n").expect(b"+PONG\r\n").close()
            return
        except (OSError, AssertionError):
            assert time.monotonic() < deadline, "redis-server does not answer"
            time.sleep(0.01)


def basics(port):
    return subprocess.run([f"{EXAMPLES}/redis_basics", "--server", f"redis://127.0.0.1:{port}"],
                          capture_output=True, text=True, timeout=TIMEOUT)


def main():
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(["redis-server", "--port", str(port), "--bind", "127.0.0.1",
                                   "--save", "", "--dir", folder], stdout=subprocess.DEVNULL)
        try:
            wait_for(port)
            run = basics(port)
        finally:
            server.terminate()
            server.wait(timeout=TIMEOUT)
    assert run.returncode == 0, f"{run.returncode}, {run.stderr}"
    assert run.stdout.splitlines() == SAYS, run.stdout

    alone = basics(port)
    assert alone.returncode == 1, alone.returncode
    assert "refused" in alone.stderr, alone.stderr


main()
