"""Servers for the loads that behave well, or do one thing wrong at a chosen place.

Each runs on a thread of its own for the length of a `with`. They do not need to be quick.
"""

import selectors
import socket
import threading
import time

QUIET = 0.005  # seconds without an event after which a server has its idle thoughts


def unused_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Client:
    def __init__(self, connection):
        self.connection = connection
        self.input = b""
        self.held = b""  # the end of the output, when it is cut
        self.channel = None
        self.index = None  # among the subscribers of its channel; None: no subscriber

    def send(self, data):
        try:
            self.connection.sendall(data)
        except OSError:
            self.channel = None  # the load has seen enough


class Server:
    """Accepts, receives and calls `heard(client)` and `idle()`, until the block ends."""

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.listener.getsockname()[1]
        self.clients = {}
        self.ending = False
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ending = True
        self.thread.join()
        for client in list(self.clients.values()):
            self.drop(client)
        self.selector.close()
        self.listener.close()

    def serve(self):
        while (ready := self.selector.select(QUIET)) or not self.ending:
            for key, _ in ready:
                if key.fileobj is self.listener:
                    self.accept()
                else:
                    self.receive(self.clients[key.fd])
            if not ready:
                self.idle()

    def accept(self):
        connection, _ = self.listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.clients[connection.fileno()] = client = Client(connection)
        self.selector.register(connection, selectors.EVENT_READ)
        self.greet(client)

    def receive(self, client):
        try:
            data = client.connection.recv(65536)
        except ConnectionError:
            data = b""
        client.input += data
        if data:
            self.heard(client)
        else:
            self.drop(client)

    def drop(self, client):
        if self.clients.pop(client.connection.fileno(), None):
            self.selector.unregister(client.connection)
            client.connection.close()
        client.channel = None

    def greet(self, client):
        pass

    def idle(self):
        pass


class EchoServer(Server):
    """Each fault happens once, at a byte (alters, inserts) or receive counted from the start."""

    def __init__(self, alters=None, inserts=None, crosses=None, appends=None, closes=None,
                 stops=None, delay=0):
        self.alters, self.inserts, self.crosses = alters, inserts, crosses
        self.appends, self.closes, self.stops = appends, closes, stops
        self.delay = delay
        self.bytes = self.receives = 0
        self.others = None  # what another client should have got

    def heard(self, client):
        data, client.input = client.input, b""
        self.receives += 1
        first, self.bytes = self.bytes, self.bytes + len(data)
        if self.delay:
            time.sleep(self.delay)
        if self.stops is not None and self.receives >= self.stops:
            return
        if self.receives == self.closes:
            self.drop(client)
            return
        if self.alters is not None and first <= self.alters < self.bytes:
            at = self.alters - first
            data = data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]
        if self.inserts is not None and first <= self.inserts < self.bytes:
            at = self.inserts - first
            data = data[:at] + b"?" + data[at:]
        if self.receives == self.appends:
            data += b"?"
        self.answer(client, data)

    def answer(self, client, data):
        if self.crosses is not None and self.receives >= self.crosses:
            if self.others is None:
                self.others = (client, data)
            elif self.others[0] is not client:
                other, others_data = self.others
                self.crosses = None
                client.send(others_data)
                other.send(data)
                return
            return
        client.send(data)


class ChurnServer(EchoServer):
    """The same: what differs is how long the clients stay."""


class FanoutServer(Server):
    """Speaks one protocol. A fault befalls message n of channel c0 at its subscriber 1."""

    def __init__(self, protocol, loses=None, repeats=None, swaps=None, alters=None, inserts=None,
                 crosses=None, closes=None, error=None, mute_from=None, trails=None,
                 refuses=None, wrong_reply=None, extra_reply=None, no_reply=None, pings=0, cuts=0,
                 delay=0):
        self.protocol = protocol
        self.loses, self.repeats, self.swaps, self.alters = loses, repeats, swaps, alters
        self.inserts, self.crosses, self.closes, self.error = inserts, crosses, closes, error
        self.mute_from, self.trails, self.refuses = mute_from, trails, refuses
        self.wrong_reply, self.extra_reply, self.no_reply = wrong_reply, extra_reply, no_reply
        self.ping_every, self.cuts, self.delay = pings, cuts, delay
        self.channels = {}  # name → its subscribers
        self.published = {}  # name → how many messages
        self.batch_max = 0  # messages that came at once
        self.pings = self.pongs = 0

    # --- what clients say ---

    def greet(self, client):
        if self.protocol == "nats":
            client.send(b'INFO {"server_id":"faulty","max_payload":1048576}\r\n')

    def heard(self, client):
        if self.refuses is not None:
            client.input = b""
            client.send(self.refuses)
            return
        count = 0
        while (message := getattr(self, f"read_{self.protocol}")(client)) is not None:
            channel, text = message
            count += 1
            self.publish(client, channel, text)
        self.batch_max = max(self.batch_max, count)

    def line_of(self, client):
        line, end, rest = client.input.partition(b"\r\n")
        if not end:
            return None
        client.input = rest
        return line

    def read_line(self, client):
        """Returns a message and its channel, or None when there is none (yet)."""
        while (line := self.line_of(client)) is not None:
            if client.channel:
                return client.channel, line
            verb, channel = line.split(b" ")
            assert verb in (b"PUBLISH", b"SUBSCRIBE"), line
            client.channel = channel
            if verb == b"SUBSCRIBE":
                self.subscribe(client, channel)
            client.send(b"OK\r\n")
        return None

    def read_redis(self, client):
        while True:
            words, at = [], 0
            while len(words) < 7 and (end := client.input.find(b"\r\n", at)) >= 0:
                words.append(client.input[at:end])
                at = end + 2
                if words[0] == b"*2" and len(words) == 5:
                    break
            if words[:3] == [b"*2", b"$9", b"SUBSCRIBE"] and len(words) == 5:
                client.input = client.input[at:]
                self.subscribe(client, words[4])
                client.send(b"*3\r\n$9\r\nsubscribe\r\n$%d\r\n%s\r\n:1\r\n" % (len(words[4]),
                                                                              words[4]))
                continue
            if len(words) < 7:
                return None
            assert words[:3] == [b"*3", b"$7", b"PUBLISH"], words
            assert words[3:6:2] == [b"$%d" % len(words[4]), b"$%d" % len(words[6])], words
            client.input = client.input[at:]
            return words[4], words[6]

    def read_nats(self, client):
        while True:
            if client.input.startswith(b"PUB "):
                head, end, rest = client.input.partition(b"\r\n")
                if not end:
                    return None
                _, channel, count = head.split(b" ")
                if len(rest) < int(count) + 2:
                    return None
                client.input = rest[int(count) + 2:]
                assert rest[int(count):int(count) + 2] == b"\r\n", rest
                return channel, rest[:int(count)]
            line = self.line_of(client)
            if line is None:
                return None
            if line.startswith(b"SUB "):
                self.subscribe(client, line.split(b" ")[1])
            elif line == b"PING":
                client.send(b"PING\r\nPONG\r\n")  # a server asks when it likes to
                self.pings += 1
            elif line == b"PONG":
                self.pongs += 1
            else:
                assert line == b'CONNECT {"verbose":false,"pedantic":false}', line

    # --- what they get ---

    def subscribe(self, client, channel):
        members = self.channels.setdefault(channel, [])
        client.index = len(members)
        client.channel = channel
        members.append(client)

    def frame(self, channel, text):
        if self.protocol == "redis":
            return b"*3\r\n$7\r\nmessage\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" % (
                len(channel), channel, len(text), text)
        if self.protocol == "nats":
            return b"MSG %s 1 %d\r\n%s\r\n" % (channel, len(text), text)
        return text + b"\r\n"

    def publish(self, publisher, channel, text):
        number = self.published.get(channel, 0)
        self.published[channel] = number + 1
        if self.delay:
            time.sleep(self.delay)
        members = self.channels[channel]
        frame = self.frame(channel, text)
        for client in members:
            chosen = channel == b"c0" and client.index == 1
            self.deliver(client, self.spoil(number, frame, client) if chosen else frame, number)
        if self.protocol == "redis":
            publisher.send(self.reply(number, len(members)) if channel == b"c0"
                           else b":%d\r\n" % len(members))
        if self.ping_every and number % self.ping_every == 0:
            publisher.send(b"PI")
            publisher.send(b"NG\r\n")
            self.pings += 1

    def spoil(self, number, frame, client):
        if number == self.loses:
            return b""
        if number == self.repeats:
            return frame + frame
        if number == self.trails:
            return frame + frame[:5]
        if number == self.swaps:
            self.kept = frame
            return b""
        if self.swaps is not None and number == self.swaps + 1:
            return frame + self.kept
        if number == self.alters:
            return frame[:-7] + bytes([frame[-7] ^ 1]) + frame[-6:]
        if number == self.inserts:
            return frame[:-7] + b"?" + frame[-7:]
        if number == self.crosses:
            return frame.replace(b"00000.", b"00001.")
        if number == self.closes:
            self.drop(client)
            return b""
        if number == self.error:
            return b"-ERR no more\r\n"
        if self.mute_from is not None and number >= self.mute_from:
            return b""
        return frame

    def deliver(self, client, data, number):
        if self.ping_every and number % self.ping_every == 0:
            data = b"PING\r\n" + data
            self.pings += 1
        if self.cuts:
            data = client.held + data
            at = len(data) - min(len(data), number % self.cuts)
            data, client.held = data[:at], data[at:]
        client.send(data)

    def reply(self, number, subscribers):
        if number == self.no_reply:
            return b""
        right = b":%d\r\n" % subscribers
        if number == self.extra_reply:
            return right * 40
        return b":%d\r\n" % (subscribers - 1) if number == self.wrong_reply else right

    # --- what happens when nothing does ---

    def idle(self):
        for client in self.clients.values():
            held, client.held = client.held, b""
            if held:
                client.send(held)
