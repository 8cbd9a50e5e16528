"""Several pub/sub servers on one Redis: who subscribes at one hears who publishes at another."""

import contextlib
import subprocess
import sys
import tempfile
import threading
import time

from servers import TIMEOUT, Peer, free_port, running, wait_until

EXAMPLES = sys.argv[1]
REACTOR = sys.argv[2]
LINES = 5_000


def low_port():
    """A port to which 10000 can be added, for the bus between the nodes of a cluster."""
    while True:
        port = free_port()
        if port < 55_000:
            return port


class Redis:
    """A redis-server on a fresh port, which can be started again there."""

    def __init__(self, folder, *options):
        self.port = low_port() if options else free_port()
        self.folder = folder
        self.options = options
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
             "--dir", self.folder, *self.options], stdout=subprocess.DEVNULL)
        wait_until(lambda: self.answers(b"PING") == b"+PONG\r\n", "redis-server answers")

    def stop(self):
        self.process.kill()
        self.process.wait(timeout=TIMEOUT)

    def answers(self, command):
        """The first line of the answer; nothing when there is no server."""
        try:
            peer = Peer(self.port)
        except OSError:
            return b""
        try:
            return peer.send(command + b"\r\n").line()
        finally:
            peer.close()

    def says_whole(self):
        peer = Peer(self.port)
        peer.send(b"CLUSTER INFO\r\n").line()
        state = peer.line()
        peer.close()
        return state == b"cluster_state:ok\r\n"

    def listeners(self, channel):
        """How many connections have subscribed to a shard channel."""
        try:
            peer = Peer(self.port)
        except OSError:
            return -1
        peer.send(b"PUBSUB SHARDNUMSUB " + channel + b"\r\n")
        answer = [peer.line() for _ in range(4)]
        peer.close()
        return int(answer[3][1:])


@contextlib.contextmanager
def a_redis():
    with tempfile.TemporaryDirectory() as folder:
        redis = Redis(folder)
        redis.start()
        try:
            yield redis
        finally:
            redis.stop()


@contextlib.contextmanager
def a_cluster():
    """Three masters; yields one of them."""
    with contextlib.ExitStack() as stack:
        nodes = []
        for _ in range(3):
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            nodes.append(Redis(folder, "--cluster-enabled", "yes"))
            nodes[-1].start()
            stack.callback(nodes[-1].stop)
        subprocess.run(["redis-cli", "--cluster", "create",
                        *[f"127.0.0.1:{node.port}" for node in nodes], "--cluster-yes"],
                       stdout=subprocess.DEVNULL, check=True, timeout=3 * TIMEOUT)
        for node in nodes:
            wait_until(lambda: node.says_whole(), "the cluster is whole")
        yield nodes[0]


def server(redis, *options):
    port = free_port()
    return port, running([f"{EXAMPLES}/pubsub_server", "--listen", f"127.0.0.1:{port}",
                          "--reactor", REACTOR, "--backplane", f"redis://127.0.0.1:{redis.port}",
                          *options])


def subscriber(port, channel):
    return Peer(port).send(b"SUBSCRIBE " + channel + b"\r\n").expect(b"OK\r\n")


def publisher(port, channel):
    return Peer(port).send(b"PUBLISH " + channel + b"\r\n").expect(b"OK\r\n")


def publish_many(port, channel, who):
    source = publisher(port, channel)
    for begin in range(0, LINES, 100):
        source.send(b"".join(b"%s %d\r\n" % (who, number) for number in range(begin, begin + 100)))
    source.send(b"BYE\r\n").expect_end()


def in_threads(*works):
    threads = [threading.Thread(target=work[0], args=work[1:]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=3 * TIMEOUT)
        assert not thread.is_alive(), "a publisher hangs"


def check_all_arrive(first, second):
    """Publishers at the first server, subscribers at both: nothing is lost, all is in order."""
    channels = [b"load-%d" % i for i in range(3)]
    listeners = [(channel, subscriber(port, channel)) for channel in channels
                 for port in (second, second, first)]
    in_threads(*[(publish_many, first, channel, b"p") for channel in channels])
    for channel, listener in listeners:
        for number in range(LINES):
            got = listener.line()
            assert got == b"p %d\r\n" % number, f"{channel}: {got} instead of {number}"
        listener.send(b"BYE\r\n").expect_end()


def check_one_order(first, second):
    """Publishers of one channel at both servers: all subscribers see one order."""
    listeners = [subscriber(port, b"one") for port in (first, second, first, second)]
    in_threads((publish_many, first, b"one", b"a"), (publish_many, second, b"one", b"b"))
    seen = [[listener.line() for _ in range(2 * LINES)] for listener in listeners]
    assert all(one == seen[0] for one in seen), "the subscribers saw different orders"
    for who in (b"a", b"b"):
        own = [line for line in seen[0] if line.startswith(who)]
        assert own == [b"%s %d\r\n" % (who, number) for number in range(LINES)], own[:3]
    for listener in listeners:
        listener.close()


def check_references(redis, first, second):
    """Redis is asked once for a channel by each server, and no more when nobody listens."""
    there = [subscriber(second, b"counted") for _ in range(5)]
    here = subscriber(first, b"counted")
    assert redis.listeners(b"counted") == 2
    here.send(b"BYE\r\n").expect_end()
    wait_until(lambda: redis.listeners(b"counted") == 1, "the first server has given it up")
    for one in there[1:]:
        one.close()
    again = subscriber(second, b"counted")
    assert redis.listeners(b"counted") == 1
    there[0].reset()
    publisher(first, b"counted").send(b"still there\r\nBYE\r\n").expect_end()
    again.expect(b"still there\r\n").send(b"BYE\r\n").expect_end()
    wait_until(lambda: redis.listeners(b"counted") == 0, "the second one, too")


def check_strangers(redis, first):
    """What others publish there is passed on when it is lines, and else left out."""
    listener = subscriber(first, b"open")
    peer = Peer(redis.port)
    peer.send(b"SPUBLISH open \"no end of line\"\r\n").expect(b":1\r\n")
    peer.send(b"SPUBLISH open \"a line\\r\\n\"\r\n").expect(b":1\r\n")
    listener.expect(b"a line\r\n").close()
    peer.close()


def check_restart(redis, first, second):
    listener = subscriber(second, b"lasting")
    source = publisher(first, b"lasting")
    source.send(b"before\r\n")
    listener.expect(b"before\r\n")
    redis.stop()
    source.send(b"held back\r\n")
    time.sleep(0.1)  # for whoever sends that into the void
    redis.start()
    wait_until(lambda: redis.listeners(b"lasting") == 1, "it is subscribed again")
    source.send(b"after\r\nBYE\r\n").expect_end()
    while (got := listener.line()) != b"after\r\n":
        assert got == b"held back\r\n", got
    late = subscriber(first, b"lasting")
    publisher(second, b"lasting").send(b"both ways\r\nBYE\r\n").expect_end()
    late.expect(b"both ways\r\n")
    listener.expect(b"both ways\r\n")


def check_command_line():
    for wrong, code in (("nonsense://x", 2), (f"redis://127.0.0.1:{free_port()}", 1)):
        run = subprocess.run([f"{EXAMPLES}/pubsub_server", "--listen",
                              f"127.0.0.1:{free_port()}", "--backplane", wrong],
                             capture_output=True, text=True, timeout=TIMEOUT)
        assert run.returncode == code, f"{wrong}: {run.returncode} {run.stderr}"
        assert len(run.stderr.splitlines()) == 1, run.stderr


def check_redis_pubsub(redis):
    run = subprocess.run([f"{EXAMPLES}/redis_pubsub", "--server",
                          f"redis://127.0.0.1:{redis.port}"],
                         capture_output=True, text=True, timeout=TIMEOUT)
    assert run.returncode == 0, run.stderr
    said = sorted(run.stdout.splitlines())
    assert said == ["heard by 1", "news: good morning", "news: good night",
                    "weather.north: rain"], run.stdout


def main():
    check_command_line()
    with a_redis() as redis:
        check_redis_pubsub(redis)
        for options in ([], ["--workers", "2"]):
            first, one = server(redis, *options)
            second, other = server(redis)
            with one, other as process:
                check_all_arrive(first, second)
                check_one_order(first, second)
                if not options:
                    check_references(redis, first, second)
                check_strangers(redis, first)
                check_restart(redis, first, second)
            assert "backplane: out" in process.report, process.report
            assert "gaps 1" in process.report, process.report
    with a_cluster() as node:
        first, one = server(node)
        second, other = server(node)
        with one, other:
            check_all_arrive(first, second)
            check_one_order(first, second)


main()
