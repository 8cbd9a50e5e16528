"""The pub/sub server and its load generator under TLS, with python's ssl as another client."""

import contextlib
import functools
import os
import signal
import ssl
import subprocess
import sys
import tempfile
import threading

from servers import (TIMEOUT, Peer, free_port, make_certificate, open_descriptors, pubsub_load,
                     running, wait_until)

EXAMPLES = sys.argv[1]
REACTOR = sys.argv[2]
load = functools.partial(pubsub_load, EXAMPLES)


def server(certificate, *options):
    port = free_port()
    return port, running([f"{EXAMPLES}/pubsub_server", "--listen", f"127.0.0.1:{port}",
                          "--reactor", REACTOR, "--tls", "--cert", certificate[0],
                          "--key", certificate[1], *options])


def trusting(file, own=None):
    context = ssl.create_default_context(cafile=file)
    if own:
        context.load_cert_chain(*own)
    return context


def subscriber(port, tls, channel):
    return Peer(port, tls).send(b"SUBSCRIBE " + channel + b"\r\n").expect(b"OK\r\n")


def publisher(port, tls, channel):
    return Peer(port, tls).send(b"PUBLISH " + channel + b"\r\n").expect(b"OK\r\n")


def check_delivery(port, tls):
    """What goes to and fro in the clear does so under TLS, large messages and many, too."""
    early, other = subscriber(port, tls, b"news"), subscriber(port, tls, b"news")
    assert early.socket.version() == "TLSv1.3", early.socket.version()
    source = publisher(port, tls, b"news")
    source.send(b"one\r\n\r\nthr").send(b"ee\r\n")
    long = b"z" * (64 * 1024 - 2) + b"\r\n"
    source.send(long)
    for number in range(1000):
        source.send(b"%d\r\n" % number)
    source.send(b"BYE\r\n").expect_end()
    for reader in (early, other):
        for line in (b"one\r\n", b"\r\n", b"three\r\n", long):
            reader.expect(line)
        for number in range(1000):
            reader.expect(b"%d\r\n" % number)
        reader.send(b"BYE\r\n").expect_end()
    Peer(port, tls).send(b"HELLO\r\n").expect_error_and_end()


def check_bad_handshakes(port, tls, process):
    """Those who fail in the handshake, or stall in it, disturb nobody."""
    before = open_descriptors(process)
    witness = subscriber(port, tls, b"calm")
    stalled = [Peer(port) for _ in range(10)]
    for peer in stalled[:5]:
        peer.send(b"\x16\x03\x01")
    for _ in range(5):
        with contextlib.suppress(ConnectionResetError):
            assert b"OK" not in Peer(port).send(b"SUBSCRIBE calm\r\n").lines.read()
    for _ in range(5):
        with contextlib.suppress(ssl.SSLCertVerificationError):
            Peer(port, ssl.create_default_context())
            raise AssertionError("a certificate of nobody was taken")
    publisher(port, tls, b"calm").send(b"still here\r\nBYE\r\n").expect_end()
    witness.expect(b"still here\r\n").send(b"BYE\r\n").expect_end()
    for peer in stalled:
        peer.close()
    wait_until(lambda: open_descriptors(process) <= before, "every descriptor is closed")


def check_block(certificate, tls):
    """A subscriber that does not read holds its publisher back; then nothing is missing."""
    port, serving = server(certificate, "--slow-subscriber", "block")
    with serving:
        readers = [subscriber(port, tls, b"a") for _ in range(2)]
        source = publisher(port, tls, b"a")
        block = (b"." * 998 + b"\r\n") * 64
        source.socket.settimeout(0.5)
        sent = 0
        try:
            while sent < 200_000_000:
                source.socket.sendall(block)
                sent += len(block)
            raise AssertionError("the publisher was never held back")
        except TimeoutError:
            sent += len(block)  # some of it went, and the rest does now
        source.socket.settimeout(TIMEOUT)
        got = []
        threads = [threading.Thread(target=lambda peer: got.append(len(peer.lines.read(sent))),
                                    args=(reader,)) for reader in readers]
        for thread in threads:
            thread.start()
        source.socket.send(block)
        for thread in threads:
            thread.join(timeout=3 * TIMEOUT)
        assert got == [sent, sent], f"{got} of {sent} bytes came"


def shown_at(port):
    """The certificate that the server shows now."""
    return ssl.get_server_certificate(("127.0.0.1", port))


def check_reload(port, certificate, folder, process):
    """SIGHUP: who is there stays, who comes sees the new one; a wrong file changes nothing."""
    tls = trusting(certificate[0])
    witness = subscriber(port, tls, b"calm")
    before = shown_at(port)
    renewed = make_certificate(folder, "renewed")
    for new, old in zip(renewed, certificate):
        os.replace(new, old)
    process.send_signal(signal.SIGHUP)
    assert process.stdout.readline() == "certificate read again\n"
    assert shown_at(port) != before
    with open(certificate[1], "w") as key:
        key.write("no key\n")
    process.send_signal(signal.SIGHUP)
    line = process.stdout.readline()
    assert line.startswith("certificate not changed: ") and certificate[1] in line, line
    after = trusting(certificate[0])
    publisher(port, after, b"calm").send(b"after all\r\nBYE\r\n").expect_end()
    witness.expect(b"after all\r\n").send(b"BYE\r\n").expect_end()


def check_client_certificates(folder, certificate):
    own = make_certificate(folder, "client")
    port, serving = server(certificate, "--client-ca", own[0], "--workers", "2")
    with serving as process:
        known = trusting(certificate[0], own)
        listener = subscriber(port, known, b"inner")
        with contextlib.suppress(ssl.SSLError, ConnectionResetError):
            stranger = Peer(port, trusting(certificate[0]))
            assert stranger.send(b"SUBSCRIBE inner\r\n").line() != b"OK\r\n"
        publisher(port, known, b"inner").send(b"among us\r\nBYE\r\n").expect_end()
        listener.expect(b"among us\r\n").send(b"BYE\r\n").expect_end()
        run, _ = load(port, "--tls", "--ca", certificate[0], "--cert", own[0], "--key", own[1],
                      "--publishers", "2", "--subscribers", "3", "--seconds", "1")
        assert run.returncode == 0, run.stdout + run.stderr
    assert "the peer's certificate is not to be trusted" in process.report, process.report


def check_load(port, certificate):
    tls = "--tls", "--ca", certificate[0]
    run, got = load(port, *tls, "--rate", "500", "--seconds", "1")
    assert run.returncode == 0, run.stdout + run.stderr
    assert got["expected"] == got["delivered"] == 500 * 5 * 25, got
    run, got = load(port, *tls, "--rate", "max", "--seconds", "1", "--server-name", "server")
    assert run.returncode == 0, run.stdout + run.stderr
    assert got["delivered"] == got["expected"] > 0, got
    for wrong, told in ((("--tls",), "certificate of 127.0.0.1"),
                        ((*tls, "--server-name", "other"), "wrong_host")):
        run, _ = load(port, *wrong, "--seconds", "1")
        assert run.returncode == 1 and told in run.stderr, run.stderr


def check_command_line(certificate):
    binary = f"{EXAMPLES}/pubsub_server"
    port = free_port()
    for wrong, code, told in ((["--tls"], 2, "--cert"), (["--key", "a"], 2, "--tls"),
                              (["--cert", "/nowhere.pem"], 1, "/nowhere.pem"),
                              (["--cert", certificate[0], "--key", certificate[0]], 1,
                               certificate[0])):
        run = subprocess.run([binary, "--listen", f"127.0.0.1:{port}", *wrong],
                             capture_output=True, text=True, timeout=20)
        assert run.returncode == code and told in run.stderr, f"{wrong}: {run}"
        assert len(run.stderr.splitlines()) == 1, run.stderr
    run = subprocess.run([binary, "--help"], capture_output=True, text=True, timeout=20)
    assert run.returncode == 0 and " --cert" in run.stdout and " --tls" in run.stdout, run


def main():
    with tempfile.TemporaryDirectory() as folder:
        certificate = make_certificate(folder, "server")
        check_command_line(certificate)
        tls = trusting(certificate[0])
        for workers in ("1", "2"):
            port, serving = server(certificate, "--workers", workers)
            with serving as process:
                check_delivery(port, tls)
                check_bad_handshakes(port, tls, process)
                check_load(port, certificate)
            assert "handshakes: full" in process.report, process.report
            assert "what came is not TLS" in process.report, process.report
        check_block(certificate, tls)
        check_client_certificates(folder, certificate)
        port, serving = server(certificate)
        with serving as process:
            check_reload(port, certificate, folder, process)


main()
