"""redis_cluster does what its lines say, against a cluster of three; without one it says so."""

import contextlib
import random
import subprocess
import sys
import tempfile
import time

from servers import TIMEOUT, Peer

EXAMPLES = sys.argv[1]
NODES = 3
SAYS = ["3 masters serve 16384 slots", "plum has 4 letters, none has -, quince has 6",
        "100 counters add up to 100", "right has 5",
        "refused: the keys are in different slots", "removed 106 keys"]


def until(what, true):
    deadline = time.monotonic() + TIMEOUT
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def answers(port):
    try:
        Peer(port).send(b"PING\r\n").expect(b"+PONG\r\n").close()
        return True
    except (OSError, AssertionError):
        return False


def says(port, *command):
    return subprocess.run(["redis-cli", "-p", str(port), *command], capture_output=True, text=True,
                          timeout=TIMEOUT).stdout


@contextlib.contextmanager
def node(folder):
    """A server on a free port, with its bus 10000 above; both must be free: it may take tries."""
    for _ in range(20):
        port = random.randrange(12000, 22000)
        server = subprocess.Popen(
            ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "",
             "--dir", folder, "--cluster-enabled", "yes",
             "--cluster-config-file", f"{port}.conf"], stdout=subprocess.DEVNULL)
        try:
            until("redis-server starts", lambda: server.poll() is not None or answers(port))
            if server.poll() is not None:
                continue
            yield port
            return
        finally:
            server.terminate()
            server.wait(timeout=TIMEOUT)
    raise AssertionError("no free port")


def tour(port):
    return subprocess.run([f"{EXAMPLES}/redis_cluster", "--seed", f"redis://127.0.0.1:{port}"],
                          capture_output=True, text=True, timeout=TIMEOUT)


def main():
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        ports = [stack.enter_context(node(folder)) for _ in range(NODES)]
        made = subprocess.run(["redis-cli", "--cluster", "create",
                               *(f"127.0.0.1:{port}" for port in ports), "--cluster-yes"],
                              capture_output=True, text=True, timeout=TIMEOUT)
        assert made.returncode == 0, made.stdout
        until("the cluster is whole",
              lambda: all("cluster_state:ok" in says(port, "CLUSTER", "INFO") for port in ports))
        run = tour(ports[0])
    assert run.returncode == 0, f"{run.returncode}, {run.stderr}"
    assert run.stdout.splitlines() == SAYS, run.stdout

    alone = tour(ports[0])
    assert alone.returncode == 1, alone.returncode
    assert "refused" in alone.stderr, alone.stderr


main()
