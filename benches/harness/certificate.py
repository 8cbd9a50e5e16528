"""The certificate of the servers that speak TLS: ECDSA P-256, signed by itself, made once a run."""

import pathlib
import shutil
import subprocess
import tempfile

from .failure import Failure


class Certificate:
    """Two PEM files in a folder that goes with it."""

    def __init__(self):
        if not shutil.which("openssl"):
            raise Failure("openssl is not installed, which makes the certificates")
        self.folder = tempfile.TemporaryDirectory()
        self.certificate = pathlib.Path(self.folder.name) / "cert.pem"
        self.key = pathlib.Path(self.folder.name) / "key.pem"
        done = subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-keyout", self.key, "-out", self.certificate, "-days", "2",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
            capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode != 0:
            raise Failure(f"openssl made no certificate: {done.stderr.strip()[-200:]}")

    @property
    def words(self):
        return {"cert": str(self.certificate), "key": str(self.key)}
