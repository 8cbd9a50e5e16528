"""The programs that are compared: the floors in C, ours, and the rivals, as plain data.

In a command {build} is our build folder, {rivals} where benches/rivals/build.py puts its programs,
{port} the port to listen on or to connect to, {work} and {seconds} those of an in-process work or
of a client, {cert} and {key} the files of a certificate.
"""

import pathlib
import shlex
import shutil
from dataclasses import dataclass, replace

from .failure import Failure
from .machine import ROOT


@dataclass(frozen=True)
class Contender:
    name: str
    role: str  # "floor", "ours" or "rival"
    command: str
    floor: str = ""  # the floor on the same reactor
    rival: str = ""  # what benches/rivals/build.py calls it
    protocol: str = "line"  # of a pub/sub server
    quick: bool = True  # takes part in a --quick run
    both_cores: bool = False  # an in-process work of several threads
    kind: str = ""  # who measures it, when that is not as the work says; see measure.py
    clear: bool = False  # its load is to leave out TLS
    server: str = ""  # of a client, when it is not that of the work

    def words(self, build, **values):
        """The command, ready to be started. A program that is not there is a Failure."""
        rivals = f"{build}/rivals"
        found = [
            word.format(build=build, rivals=rivals, **values) for word in shlex.split(self.command)
        ]
        if "/" not in found[0] and not shutil.which(found[0]):
            raise Failure(f"{found[0]} is not installed")
        if "/" in found[0] and not pathlib.Path(found[0]).is_file():
            raise Failure(f"was not built: there is no {found[0]}")
        return found


OURS = "--listen 127.0.0.1:{port} --reactor"


def floor(reactor, program):
    return Contender(f"floor {reactor}", "floor", f"{{build}}/benches/{program}_{reactor} {{port}}")


def ours(reactor, program, extra="", name="ouro"):
    command = f"{{build}}/examples/{program} {OURS} {reactor} {extra}"
    return Contender(f"{name} {reactor}", "ours", command, f"floor {reactor}")


def rival(name, build_name, command, reactor="epoll", **more):
    return Contender(name, "rival", command, f"floor {reactor}", build_name, **more)


ECHO_OURS = (ours("uring", "echo_server"), ours("epoll", "echo_server"))
ECHO_FLOORS = (floor("uring", "echo"), floor("epoll", "echo"))
ECHO_RIVALS = (
    rival("tokio", "tokio", "{rivals}/tokio_echo {port} current"),
    rival("tokio multi", "tokio", "{rivals}/tokio_echo {port} multi", quick=False),
    rival("Asio epoll", "asio", "{rivals}/asio_echo_epoll {port}"),
    rival("Asio uring", "asio", "{rivals}/asio_echo_uring {port}", "uring"),
    rival("Go", "go", "{rivals}/go_echo {port}"),
)
ECHO = ECHO_FLOORS + ECHO_OURS + ECHO_RIVALS

LENT = "--buffers lent"
MEMORY = (
    ECHO_FLOORS
    + tuple(ours(reactor, "echo_server", LENT, "ouro lent") for reactor in ("uring", "epoll"))
    + tuple(ours(reactor, "echo_server", "--buffers own", "ouro own")
            for reactor in ("uring", "epoll"))
    + ECHO_RIVALS
)

# benches/rivals/README.md says why they are started like this.
REDIS = (
    "redis-server --port {port} --bind 127.0.0.1 --protected-mode no --save '' --appendonly no "
    "--client-output-buffer-limit 'pubsub 0 0 0' --io-threads 1 --tcp-backlog 4096 "
    "--maxclients 10000"
)
NATS = f"nats-server -a 127.0.0.1 -p {{port}} -c {ROOT}/benches/rivals/nats.conf"

PUBSUB_OURS = (ours("uring", "pubsub_server"), ours("epoll", "pubsub_server"))
PUBSUB = (
    floor("uring", "pubsub"),
    floor("epoll", "pubsub"),
    *PUBSUB_OURS,
    rival("tokio", "tokio", "{rivals}/tokio_pubsub {port} current"),
    rival("tokio broadcast", "tokio", "{rivals}/tokio_pubsub_broadcast {port} current"),
    rival("redis-server", "", REDIS, protocol="redis"),
    rival("nats-server", "", NATS, protocol="nats"),
)


SECRETS = "{cert} {key}"


def tls_floor(mode):
    """The server in C, on OpenSSL's own sockets."""
    command = f"{{build}}/benches/tls_epoll {{port}} {SECRETS} {mode}"
    return Contender("floor epoll", "floor", command)


def tls_ours(program, extra="", name="ouro", floor="floor epoll", **more):
    command = f"{{build}}/{program} {OURS} {{reactor}} --cert {{cert}} --key {{key}} {extra}"
    return tuple(
        Contender(f"{name} {reactor}", "ours", command.replace("{reactor}", reactor), floor, **more)
        for reactor in ("uring", "epoll")
    )  # fmt: skip


def tls_inside(name, role, program, extra=""):
    """One side of a connection inside one process, without a socket."""
    command = f"{{build}}/benches/{program} {{work}} --seconds {{seconds}} {extra}"
    return Contender(name, role, command, "floor record", kind="inprocess")


def tls_records(connections):
    """OpenSSL's alone, and those of our engine."""
    options = f"--connections {connections}"
    return (
        tls_inside("floor record", "floor", "tls_record", options),
        tls_inside("ouro engine", "ours", "tls_engine", f"{options} --cert {{cert}} --key {{key}}"),
    )


TLS_ASIO = rival("Asio epoll", "asio_tls", f"{{rivals}}/asio_tls_echo_epoll {{port}} {SECRETS}")
TLS_GO = rival("Go", "go", f"{{rivals}}/go_echo {{port}} {SECRETS}")
TLS_ECHO = (
    tls_floor("echo"),
    tls_records(64)[0],
    *tls_ours("examples/tls_echo"),
    *(replace(ours(reactor, "echo_server", name="ouro clear"), clear=True, floor="")
      for reactor in ("uring", "epoll")),
    tls_records(64)[1],
    TLS_ASIO,
    rival("Asio uring", "asio_tls", f"{{rivals}}/asio_tls_echo_uring {{port}} {SECRETS}",
          quick=False),
    TLS_GO,
)  # fmt: skip
SPEED = Contender("openssl speed", "floor", "openssl speed -mr -evp aes-256-gcm -bytes 16384 "
                  "-seconds 1", kind="speed")  # fmt: skip


def tls_bulk(mode):
    return (
        tls_floor(mode),
        SPEED,
        tls_records(1)[0],
        *tls_ours("benches/tls_flow", f"--mode {mode}"),
        tls_records(1)[1],
    )


TLS_HANDSHAKES = (
    tls_floor("echo"),
    *tls_ours("examples/tls_echo"),
    rival("nginx", "nginx", f"{{rivals}}/nginx_tls {{port}} {SECRETS}"),
    replace(TLS_GO, quick=False),
)
TLS_INSTRUCTIONS = (tls_floor("echo"), *tls_ours("examples/tls_echo"))
TLS_IDLE = (
    tls_floor("echo"),
    *tls_ours("examples/tls_echo", LENT, "ouro lent"),
    *tls_ours("examples/tls_echo", "--buffers own", "ouro own", quick=False),
    TLS_ASIO,
    TLS_GO,
)


# The same under TLS alone, as the servers of the other works have it.
REDIS_TLS = (
    REDIS.replace("--port {port}", "--port 0 --tls-port {port}")
    + " --tls-cert-file {cert} --tls-key-file {key} --tls-auth-clients no "
    "--tls-protocols TLSv1.3 --tls-ciphersuites TLS_AES_256_GCM_SHA384"
)

# The servers of the clients. Each has one thread for requests, and keeps nothing on disk.
SERVERS = {
    "redis": Contender("redis-server", "rival", REDIS),
    "rediss": Contender("redis-server", "rival", REDIS_TLS),
    "memcached": Contender("memcached", "rival",
                           "memcached -l 127.0.0.1 -p {port} -U 0 -t 1 -c 4096 -u nobody"),
}  # fmt: skip


def kv_floors(protocol, window, batch, quick=False):
    """One that sleeps when there is nothing to do, and one that polls first.

    Waking a processor that sleeps takes longer than many requests. The second one also sends in
    batches, of what was found to be best with this server.
    """
    command = (f"{{build}}/benches/kv_get {protocol} --port {{port}} --seconds {{seconds}} "
               f"--window {window}")  # fmt: skip
    polling = f"{command} --batch {batch} --poll-us 50"
    return (Contender("floor", "floor", command, quick=quick),
            Contender("floor polling", "floor", polling, quick=quick))  # fmt: skip


def kv_ours(extra="", name="", work="{work}", **more):
    """On either reactor. `extra`: options of kv_load, and `name` what they are called."""
    load = f"{{build}}/benches/kv_load {work} --port {{port}} --seconds {{seconds}}"
    more = {"floor": f"floor{name}"} | more
    return tuple(
        Contender(f"ouro {reactor}{name}", "ours", f"{load} --reactor {reactor} {extra}", **more)
        for reactor in ("uring", "epoll")
    )  # fmt: skip


# As it comes, and as a program would have it that can spare a core: it polls before it sleeps. For
# redis-server, which answers whatever it has read in one piece, it also sends when 16 tasks have
# asked, instead of all 64, so that both have something to do; memcached answers every 20 requests.
KV_PLAIN = kv_ours()
REDIS_POLLS = "--poll-us 50 --batch 16"
REDIS_POLLING = kv_ours(REDIS_POLLS, " polling")
MEMCACHED_POLLING = kv_ours("--poll-us 50", " polling")


def under_tls(extra="", name=""):
    """The callers of redis_get_64 under TLS and, in the same round, in the clear."""
    same = {"work": "redis_get_64", "floor": ""}
    return (*kv_ours(f"--ca {{cert}} {extra}", name, **same),
            *kv_ours(extra, f"{name} over redis://", server="redis", **same))  # fmt: skip


def not_quick(contenders):
    return tuple(replace(each, quick=False) for each in contenders)


def kv_rival(name, build_name, program, options, **more):
    command = f"{{rivals}}/{program} --port {{port}} --seconds {{seconds}} {options}"
    return Contender(name, "rival", command, "floor", build_name, **more)


def redis_benchmark(name, options):
    return kv_rival(name, "redis_benchmark", "redis_benchmark", options)


def hiredis(name, options, **more):
    return kv_rival(name, "hiredis", "hiredis_get", options, **more)


def libmemcached(name, options, **more):
    return kv_rival(name, "libmemcached", "libmemcached_get", options, **more)


REDIS_GET_64 = (
    *kv_floors("redis", 64, 8, quick=True),
    *REDIS_POLLING,
    *KV_PLAIN,
    redis_benchmark("redis-benchmark", "--clients 50"),
    redis_benchmark("redis-benchmark -P 16", "--clients 50 --pipeline 16"),
    hiredis("hiredis async", "--mode async --depth 64"),
    hiredis("hiredis, 64 pipelined", "--mode pipeline --depth 64", quick=False),
    kv_rival("redigo", "go_kv", "go_kv redis", "--connections 64", quick=False),
)
REDISS_GET_64 = (*under_tls(), *under_tls(REDIS_POLLS, " polling"))
REDIS_GET_1 = (
    *kv_floors("redis", 1, 1),
    *KV_PLAIN,
    *not_quick(REDIS_POLLING),
    hiredis("hiredis", "--mode sync"),
    kv_rival("redigo", "go_kv", "go_kv redis", "--connections 1", quick=False),
)
REDIS_PIPELINE = (
    *kv_floors("redis", 1000, 200),
    *KV_PLAIN,
    *not_quick(REDIS_POLLING),
    hiredis("hiredis", "--mode pipeline --depth 1000"),
)
REDIS_SET_64 = (
    *REDIS_POLLING,
    *KV_PLAIN,
    redis_benchmark("redis-benchmark", "--clients 50 --test set"),
)
MEMCACHED_GET_64 = (
    *kv_floors("memcached", 64, 32),
    *MEMCACHED_POLLING,
    *KV_PLAIN,
    libmemcached("libmemcached", "--mode threads --connections 64"),
    libmemcached("libmemcached cycle", "--mode cycle --connections 64"),
    kv_rival("gomemcache", "go_kv", "go_kv memcached", "--connections 64", quick=False),
)
MEMCACHED_GET_1 = (
    *kv_floors("memcached", 1, 1),
    *KV_PLAIN,
    *not_quick(MEMCACHED_POLLING),
    libmemcached("libmemcached", "--mode cycle --connections 1"),
    kv_rival("gomemcache", "go_kv", "go_kv memcached", "--connections 1", quick=False),
)


def tokio_inprocess(name, runtime, **options):
    command = f"{{rivals}}/tokio_inprocess --runtime {runtime} {{work}} --seconds {{seconds}}"
    return Contender(name, "rival", command, rival="tokio", **options)


def in_process(*twins, both_cores=False):
    """An in-process work of ours and its twins on tokio."""
    ours = "{build}/benches/inprocess {work} --seconds {seconds}"
    return (Contender("ouro", "ours", ours, both_cores=both_cores), *twins)


# What stays on one worker has one core, beside tokio's current-thread runtime. What crosses workers
# has both cores, as tokio's multi-thread runtime always has. There, tasks that talk to each other
# soon share a thread; in a pair of current-thread runtimes they must cross.
CURRENT = tokio_inprocess("tokio", "current")
MULTI = tokio_inprocess("tokio multi", "multi", both_cores=True)
PAIR = tokio_inprocess("tokio pair", "pair", both_cores=True)
ON_ONE_WORKER = in_process(CURRENT, replace(MULTI, quick=False))
ANYWHERE = in_process(MULTI, both_cores=True)
ACROSS_WORKERS = in_process(PAIR, MULTI, both_cores=True)
