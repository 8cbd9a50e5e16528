"""tls_echo and tls_client talk to each other, and say what is wrong with certificates and files."""

import pathlib
import subprocess
import sys
import tempfile

from servers import free_port, make_certificate, running

EXAMPLES = sys.argv[1]


def client(port, ca, text):
    return subprocess.run([f"{EXAMPLES}/tls_client", "--host", "localhost", "--port", str(port),
                           "--ca", ca], input=text, capture_output=True, timeout=30)


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        make_certificate(folder, "localhost")
        make_certificate(folder, "elsewhere")
        port = free_port()
        with running([f"{EXAMPLES}/tls_echo", "--listen", f"127.0.0.1:{port}",
                      "--cert", f"{folder}/localhost.pem", "--key", f"{folder}/localhost.key"]):
            text = b"hello\n" * 10_000
            good = client(port, f"{folder}/localhost.pem", text)
            assert good.returncode == 0 and good.stdout == text, good
            assert b"TLS 1.3" in good.stderr and b"CN=localhost" in good.stderr, good.stderr
            bad = client(port, f"{folder}/elsewhere.pem", text)
            assert bad.returncode != 0 and b"self_signed" in bad.stderr, bad.stderr
        wrong = subprocess.run([f"{EXAMPLES}/tls_echo", "--cert", f"{folder}/localhost.pem",
                                "--key", f"{folder}/elsewhere.key"], capture_output=True)
        assert wrong.returncode == 1 and b"elsewhere.key" in wrong.stderr, wrong.stderr


main()
