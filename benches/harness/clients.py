"""Connections that the harness itself opens to an echo server, for what the loads do not do."""

import contextlib
import resource
import socket
import ssl
import struct

from .failure import Wrong

MESSAGE = bytes(range(64))
TIMEOUT_SECONDS = 10
RESET = struct.pack("ii", 1, 0)  # closing sends a reset, so that no port waits for stragglers


def raise_descriptor_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def echo_once(peers):
    """One message on each connection; they are all on their way before the first is awaited."""
    for peer in peers:
        peer.sendall(MESSAGE)
    for peer in peers:
        got = b""
        while len(got) < len(MESSAGE):
            more = peer.recv(len(MESSAGE) - len(got))
            if not more:
                raise Wrong("the server closed a connection")
            got += more
        if got != MESSAGE:
            raise Wrong("a reply differs from its message")


def trusting():
    """Whoever is at the other end."""
    made = ssl.create_default_context()
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    return made


@contextlib.contextmanager
def connected(port, count, tls=False):
    """That many connections, each of which has been used once; they end by a reset."""
    raise_descriptor_limit()
    context = trusting() if tls else None
    peers = []
    try:
        for _ in range(count):
            peer = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS)
            peers.append(peer)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if context:
                peer = peers[-1] = context.wrap_socket(peer)
            echo_once([peer])
        yield peers
    except OSError as error:
        raise Wrong(f"connection {len(peers)} of {count}: {error}") from error
    finally:
        for peer in peers:
            peer.close()
