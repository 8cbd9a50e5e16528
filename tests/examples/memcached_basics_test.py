"""memcached_basics does what its lines say, against a server of its own."""

import getpass
import socket
import subprocess
import sys
import time

from servers import TIMEOUT, free_port

EXAMPLES = sys.argv[1]
SAYS = ["greeting: hello", "longer: hello, world", "removed: (nothing)", "hits: 42",
        "first of two: 42", "second of two: (nothing)", "list: a b",
        "10 askers, answer 42, computed 1 time",
        "a key with blanks: not a key: 1 to 250 bytes, no blank or control character"]


def wait_for(port):
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < deadline, "memcached does not take connections"
            time.sleep(0.01)


def main():
    port = free_port()
    server = subprocess.Popen(["memcached", "-l", "127.0.0.1", "-p", str(port), "-U", "0",
                               "-u", getpass.getuser()])
    try:
        wait_for(port)
        run = subprocess.run([f"{EXAMPLES}/memcached_basics", "--server", f"127.0.0.1:{port}"],
                             capture_output=True, text=True, timeout=TIMEOUT)
    finally:
        server.terminate()
        server.wait(timeout=TIMEOUT)
    assert run.returncode == 0, f"{run.returncode}, {run.stderr}"
    assert run.stdout.splitlines() == SAYS, run.stdout


main()
