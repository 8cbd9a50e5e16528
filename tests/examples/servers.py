"""Starting and ending the example servers, and talking to them: for the tests in this folder."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile
import time

TIMEOUT = 20


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running(command, announces="listening"):
    """Runs a server until the block ends; yields the process. It must end by SIGTERM, with 0."""
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        line = server.stdout.readline()
        assert line.startswith(announces), f"{command} said: {line!r}"
        server.announced = line
        yield server
        assert server.poll() is None, f"{command} ended by itself: {server.returncode}"
    finally:
        if server.poll() is None:
            server.send_signal(signal.SIGTERM)
        server.report = server.stdout.read()
        code = server.wait(timeout=TIMEOUT)
    assert code == 0, f"{command} ended with {code}"


def make_certificate(folder, name, *more):
    """A certificate that signs for itself, of that name and of 127.0.0.1: its file and its key's.

    `more` goes to openssl: who signs instead.
    """
    files = f"{folder}/{name}.pem", f"{folder}/{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-out", files[0], "-keyout", files[1],
                    "-days", "2", "-subj", f"/CN={name}", "-addext",
                    f"subjectAltName=DNS:{name},IP:127.0.0.1", *more],
                   check=True, capture_output=True)
    return files


def pubsub_load(examples, port, *options):
    """Runs the load generator: how it ended, and its figures, if it has any."""
    with tempfile.NamedTemporaryFile(suffix=".json") as figures:
        run = subprocess.run(
            [f"{examples}/pubsub_load", "--connect", f"127.0.0.1:{port}", "--json", figures.name,
             *options], capture_output=True, text=True, timeout=60)
        text = open(figures.name).read()
    return run, json.loads(text) if text else None


class Peer:
    """One connection, with lines: to a port, or to the abstract Unix socket of that name; under
    TLS, as 127.0.0.1, when there is a context for it."""

    def __init__(self, where, tls=None):
        if isinstance(where, str):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(TIMEOUT)
            self.socket.connect("\0" + where)
        else:
            self.socket = socket.create_connection(("127.0.0.1", where), timeout=TIMEOUT)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="127.0.0.1")
        self.lines = self.socket.makefile("rb")

    def send(self, data):
        self.socket.sendall(data)
        return self

    def line(self):
        return self.lines.readline()

    def expect(self, line):
        got = self.line()
        assert got == line, f"expected {line!r}, got {got!r}"
        return self

    def expect_error_and_end(self):
        got = self.line()
        assert got.startswith(b"ERROR ") and got.endswith(b"\r\n"), f"no ERROR line but {got!r}"
        self.expect_end()

    def expect_end(self):
        rest = self.lines.read()
        assert rest == b"", f"expected the end, got {rest[:100]!r}"

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.lines.close()
        self.socket.close()

    def close(self):
        self.lines.close()
        self.socket.close()


def wait_until(condition, what):
    """Polls a condition of another process, which nothing can signal; fails after TIMEOUT."""
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end, f"waited in vain until {what}"
        time.sleep(0.005)


def open_descriptors(process):
    return len(os.listdir(f"/proc/{process.pid}/fd"))
