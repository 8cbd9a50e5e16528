"""Whether table/commands.json is what a redis-server of that version says of its commands."""

import pathlib
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # nothing is written beside the sources
sys.path.insert(0, str(pathlib.Path(__file__).parents[3] / "kv/redis/table"))
import collect_commands  # noqa: E402


def main():
    with tempfile.TemporaryDirectory() as folder:
        socket = pathlib.Path(folder) / "socket"
        command = ["redis-server", "--port", "0", "--unixsocket", str(socket), "--save", "",
                   "--dir", folder]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
            try:
                deadline = time.monotonic() + 30
                while not socket.exists() and server.poll() is None:
                    if time.monotonic() > deadline:
                        sys.exit("redis-server did not start")
                    time.sleep(0.01)
                return collect_commands.main([f"unix:{socket}", "--check"])
            finally:
                server.terminate()


sys.exit(main())
