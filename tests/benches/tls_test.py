"""The floors and the load of TLS: `tls_test.py FOLDER_OF_BENCHES`.

tls_load shakes hands with a real server in every mode, and ends with 1 and a sentence when what
comes is not what it should be.
"""

import contextlib
import json
import pathlib
import socket
import ssl
import subprocess
import sys
import threading

from servers import TIMEOUT, server  # also finds benches/

from harness.certificate import Certificate

FOLDER = sys.argv[1]
LONG = 20  # seconds: more than any fault takes to be met


@contextlib.contextmanager
def talker(secrets, talk):
    """A server in which `talk` has each connection for itself."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*secrets)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(peer):
        with contextlib.suppress(OSError, ssl.SSLError), \
                context.wrap_socket(peer, server_side=True) as secured:  # fmt: skip
            talk(secured)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                peer, _ = listener.accept()
                threading.Thread(target=serve, args=(peer,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    with listener:
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def run(port, mode, *options, seconds=0.2):
    command = [f"{FOLDER}/tls_load", "--json", "--port", str(port), "--mode", mode, "--seconds",
               str(seconds), "--connections", "4", *options]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)


def figures(done, counts):
    assert done.returncode == 0, done
    got = json.loads(done.stdout)
    assert got[counts] > 0 and got[f"{counts}_per_second"] > 0, got
    assert 0 < got["p50_us"] <= got["p99_us"], got


def expect_sentence(done, sentence):
    assert done.returncode == 1 and done.stdout == "", done
    assert sentence in done.stderr, f"no {sentence!r} in {done.stderr!r}"


def every_mode(secrets):
    for name, options, mode, counts in (
        ("echo", (), "echo", "requests"),
        ("echo", ("--size", "16384"), "echo", "requests"),
        ("echo", (), "handshakes", "handshakes"),
        ("echo", ("--resume",), "handshakes", "handshakes"),
        ("echo", ("--tls12",), "handshakes", "handshakes"),
        ("echo", ("--tls12", "--resume"), "handshakes", "handshakes"),
        ("send", (), "receive", "records"),
        ("receive", (), "send", "records"),
    ):  # fmt: skip
        with server(f"{FOLDER}/tls_epoll", "PORT", *secrets, name) as port:
            figures(run(port, mode, *options), counts)
    if pathlib.Path(f"{FOLDER}/echo_epoll").is_file():
        with server(f"{FOLDER}/echo_epoll", "PORT") as port:
            figures(run(port, "echo", "--clear"), "requests")


def our_own(secrets):
    for name, mode in (("send", "receive"), ("receive", "send")):
        with server(f"{FOLDER}/tls_flow", "--listen", "127.0.0.1:PORT", "--mode", name,
                    "--cert", secrets[0], "--key", secrets[1]) as port:  # fmt: skip
            figures(run(port, mode), "records")


def inside(secrets):
    for work in ("tls_echo_64", "tls_bulk_send", "tls_bulk_receive"):
        for command in (["tls_record"], ["tls_engine", "--cert", secrets[0], "--key", secrets[1]]):
            words = [f"{FOLDER}/{command[0]}", work, "--seconds", "0.05", *command[1:]]
            done = subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT)
            assert done.returncode == 0, done
            got = json.loads(done.stdout)
            assert got["operations"] > 0 and got["bytes"] % got["operations"] == 0, got
            assert 0 < got["cpu_ns"] < 2 * got["wall_ns"], got


def faults(secrets):
    def alters(peer):
        for number in range(10**9):
            if not (data := peer.recv(64)):
                return
            peer.sendall(data if number < 20 else data[:-1] + bytes([data[-1] ^ 1]))

    def closes(peer):
        for _ in range(5):
            peer.sendall(peer.recv(64))
        peer.unwrap()

    def lies(peer):
        while peer.recv(16):
            peer.sendall(bytes(1 << 20))

    def thanks_early(peer):
        while peer.recv(16384):
            peer.sendall(b"mmmmmm")

    with talker(secrets, alters) as port:
        expect_sentence(run(port, "echo", seconds=LONG), "a reply differs from its message")
    with talker(secrets, closes) as port:
        expect_sentence(run(port, "echo", seconds=LONG), "the server closed a connection")
    with talker(secrets, lies) as port:
        expect_sentence(run(port, "receive", seconds=LONG), "a record differs from its block")
    with talker(secrets, thanks_early) as port:
        expect_sentence(run(port, "send", seconds=LONG),
                        "the server has received more than was sent")


def main():
    made = Certificate()
    secrets = made.words["cert"], made.words["key"]
    every_mode(secrets)
    our_own(secrets)
    inside(secrets)
    faults(secrets)


main()
