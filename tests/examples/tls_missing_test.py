"""Examples that are asked for TLS where there is none say which option of the build they want."""

import subprocess
import sys

EXAMPLES = sys.argv[1]


def main():
    for command in (["tls_echo"], ["tls_client"], ["pubsub_load", "--tls"],
                    ["pubsub_server", "--tls", "--cert", "cert.pem", "--key", "key.pem"]):
        run = subprocess.run([f"{EXAMPLES}/{command[0]}", *command[1:]], capture_output=True,
                             text=True, timeout=30)
        assert run.returncode == 1 and not run.stdout, run
        assert run.stderr.count("\n") == 1 and "-Dtls=enabled" in run.stderr, run.stderr


main()
