"""Whether table/commands.json is what a redis-server of that version says of its commands."""

import pathlib
import socket
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # nothing is written beside the sources
sys.path.insert(0, str(pathlib.Path(__file__).parents[3] / "kv/redis/table"))
import collect_commands  # noqa: E402


def listens(path):
    """The file is there before anybody listens."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def main():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "socket"
        command = ["redis-server", "--port", "0", "--unixsocket", str(path), "--save", "",
                   "--dir", folder]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
            try:
                deadline = time.monotonic() + 30
                while not listens(path) and server.poll() is None:
                    if time.monotonic() > deadline:
                        sys.exit("redis-server did not start")
                    time.sleep(0.01)
                return collect_commands.main([f"unix:{path}", "--check"])
            finally:
                server.terminate()


sys.exit(main())
