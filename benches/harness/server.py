"""A server under measurement: its process, its port and the CPU time that it takes."""

import contextlib
import ctypes
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import time

from .failure import Failure
from .machine import pinned

START_SECONDS_MAX = 10  # to accept its first connection
STOP_SECONDS_MAX = 5  # to end on SIGTERM before it is killed
PORTS = range(20000, 32000)  # below the ports that the kernel gives to clients

libc = ctypes.CDLL(None, use_errno=True)


class CpuMeter:
    """The CPU time of a process: all its threads, also those that have ended.

    The total comes from the process's CPU clock, in nanoseconds. The kernel splits it into user
    and system by sampling at its tick, so the split needs many requests to mean anything.
    """

    def __init__(self, pid):
        self.pid = pid
        self.clock = ctypes.c_int()
        error = libc.clock_getcpuclockid(pid, ctypes.byref(self.clock))
        if error:
            raise Failure(f"no CPU clock for process {pid}: {os.strerror(error)}")

    def read(self):
        """Nanoseconds in total, ticks in user mode, ticks in the kernel."""
        try:
            total = time.clock_gettime_ns(self.clock.value)
            stat = pathlib.Path(f"/proc/{self.pid}/stat").read_text()
        except OSError as error:
            raise Failure("the server ended while it was measured") from error
        fields = stat.rpartition(")")[2].split()  # the name before it may contain anything
        return total, int(fields[11]), int(fields[12])


class Server:
    """One server process on a port of its own, pinned to a core, ended on exit."""

    def __init__(self, command, port, core, start_seconds_max=START_SECONDS_MAX):
        self.port, self.start_seconds_max = port, start_seconds_max
        self.report = ""  # what it said on stdout; complete once it has ended
        self.stdout = tempfile.TemporaryFile()  # a pipe that nobody reads could fill up
        self.stderr = tempfile.TemporaryFile()
        self.folder = tempfile.TemporaryDirectory()  # to write into whatever it likes
        try:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=self.stdout,
                stderr=self.stderr,
                cwd=self.folder.name,
                start_new_session=True,  # its own group, so that workers end with it
                preexec_fn=pinned(core),
            )
        except OSError as error:
            self.close()
            raise Failure(f"cannot be started: {error}") from error

    def __enter__(self):
        try:
            self.await_start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def await_start(self):
        give_up = time.monotonic() + self.start_seconds_max
        while time.monotonic() < give_up:
            if self.process.poll() is not None:
                raise Failure(f"ended at once: {self.last_words()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.01)
        raise Failure(f"does not accept connections on port {self.port}")

    def last_words(self):
        self.stderr.seek(0)
        lines = self.stderr.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def system_calls(self):
        """What our servers count and say when they end; None when this one does not count."""
        counts = re.findall(r"system_calls (\d+)", self.report)
        return sum(map(int, counts)) if counts else None

    def stop(self):
        """Ends the process and everything that it started; does nothing the second time."""
        if self.stdout.closed:
            return
        for how in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, how)
            try:
                self.process.wait(STOP_SECONDS_MAX)
                break
            except subprocess.TimeoutExpired:
                continue
        self.stdout.seek(0)
        self.report = self.stdout.read().decode(errors="replace")
        self.close()

    def close(self):
        self.stdout.close()
        self.stderr.close()
        self.folder.cleanup()


class Ports:
    """Hands out ports that nobody listens on, each only once.

    After a server that used a ring has ended, its listening socket can live on for a moment.
    """

    def __init__(self):
        first = PORTS.start + os.getpid() * 37 % len(PORTS)
        self.left = [*range(first, PORTS.stop), *range(PORTS.start, first)]

    def take(self):
        while self.left:
            port = self.left.pop(0)
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                    return port
                except OSError:
                    continue
        raise Failure("no free port is left")
