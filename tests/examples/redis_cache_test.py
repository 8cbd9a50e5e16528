"""redis_cache does what its lines say, against a server of its own; without one it says so."""

import subprocess
import sys
import tempfile

from servers import TIMEOUT, Peer, free_port, wait_until

EXAMPLES = sys.argv[1]
SAYS = ["1000 reads: red; 999 came from memory", "10 readers of Ada, born 1815: 1 request",
        "somebody has changed it: blue", "gone, but we have read blue"]


def answers(port):
    try:
        Peer(port).send(b"PING\r\n").expect(b"+PONG\r\n").close()
        return True
    except (OSError, AssertionError):
        return False


def cache(port):
    return subprocess.run([f"{EXAMPLES}/redis_cache", "--server", f"redis://127.0.0.1:{port}"],
                          capture_output=True, text=True, timeout=TIMEOUT)


def main():
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(["redis-server", "--port", str(port), "--bind", "127.0.0.1",
                                   "--save", "", "--dir", folder], stdout=subprocess.DEVNULL)
        try:
            wait_until(lambda: answers(port), "redis-server answers")
            run = cache(port)
        finally:
            server.terminate()
            server.wait(timeout=TIMEOUT)
    assert run.returncode == 0, f"{run.returncode}, {run.stderr}"
    assert run.stdout.splitlines() == SAYS, run.stdout

    alone = cache(port)
    assert alone.returncode == 1, alone.returncode
    assert "refused" in alone.stderr, alone.stderr


main()
