"""Programs that serve while a `with` lasts; importing it also finds benches/harness."""

import contextlib
import pathlib
import socket
import subprocess
import sys

from faulty_servers import unused_port

ROOT = pathlib.Path(__file__).resolve().parents[2]
TIMEOUT = 60

sys.path.insert(0, str(ROOT / "benches"))


@contextlib.contextmanager
def server(*command, **how):
    """Runs a server that takes its port in place of PORT, and may not end by itself; yields the
    port once it listens."""
    port = unused_port()
    process = subprocess.Popen([each.replace("PORT", str(port)) for each in command], **how)
    try:
        while True:  # until it listens, or has ended
            assert process.poll() is None, f"{command[0]} ended with {process.returncode}"
            with contextlib.suppress(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT).close()
                break
        yield port
        assert process.poll() is None, f"{command[0]} ended with {process.returncode}"
    finally:
        process.kill()
        process.wait(timeout=TIMEOUT)
