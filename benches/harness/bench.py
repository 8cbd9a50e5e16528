"""Where a run takes place: our build, the cores, the ports, and how much warm-up is given."""

import subprocess
from dataclasses import dataclass, field
from functools import cached_property

from .certificate import Certificate
from .failure import Failure, Wrong
from .machine import Cores, pinned
from .server import Ports, Server

GRACE_SECONDS = 30  # for a program to end after the time that it was given
UNABLE = 77  # the code of a program that was built without what it is asked for


@dataclass
class Bench:
    build: str
    warmup_seconds: float = 0.3  # under load before anything counts
    cores: Cores = field(default_factory=Cores)
    ports: Ports = field(default_factory=Ports)
    not_built: dict = field(default_factory=dict)  # rival → why

    @cached_property
    def certificate(self):
        return Certificate()

    def words(self, contender, **values):
        """The command of a contender. One that was not built is a Failure."""
        if contender.rival in self.not_built:
            raise Failure(f"was not built: {self.not_built[contender.rival]}")
        if "{cert}" in contender.command:
            values |= self.certificate.words
        return contender.words(self.build, **values)

    def server(self, contender, wrapper=(), **options):
        """Starts it; to be used in a `with`. The wrapper is a program that runs the server."""
        port = self.ports.take()
        command = [*wrapper, *self.words(contender, port=port)]
        return Server(command, port, self.cores.server, **options)


def run_pinned(command, seconds, *cores):
    """Runs a program to its end and returns what it printed.

    A program that is not there, or not able to, is a Failure. One that fails has seen something
    Wrong.
    """
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=seconds + GRACE_SECONDS,
            preexec_fn=pinned(*cores),
        )
    except OSError as error:
        raise Failure(f"{command[0]} cannot be started: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise Wrong(f"{command[0]} did not end") from error
    if done.returncode != 0:
        words = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
        raise Failure(words[-1]) if done.returncode == UNABLE else Wrong(words[-1])
    return done.stdout
