#!/usr/bin/env python3
"""Builds the rivals that are compiled from source: build.py --into DIR [--only tokio,asio,go].

Nothing is fetched: tokio and its crates come from the directory where Debian puts them, Go's
libraries from another one, and everything else from its package. What is newer than its sources
and was built by the same tools is left alone, so a second run only asks the tools for their
versions. Prints one JSON line per rival: what it was built with, or why it was not.

`build` is the same for a program that imports this file.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
CRATES = pathlib.Path("/usr/share/cargo/registry")
GO_PATH = pathlib.Path("/usr/share/gocode")
C_FLAGS = ["-std=gnu11", "-O3", "-DNDEBUG", "-flto=auto"]
AT_ONCE = 2  # compilers
OUTPUT_LINES = 20


class NotThere(Exception):
    """A tool or library that a rival needs is not on this machine; says what would help."""


class Broken(Exception):
    """A compiler failed; holds the end of what it said."""


def run(command, **more):
    """Returns what the command printed."""
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          **more)
    if done.returncode != 0:
        raise Broken("\n".join(done.stdout.rstrip().splitlines()[-OUTPUT_LINES:]))
    return done.stdout


def tool(name, package):
    found = shutil.which(name)
    if not found:
        raise NotThere(f"no {name} on this machine: install {package}")
    return found


def as_numbers(version):
    return [int(part) for part in re.findall(r"\d+", version)]


def put(source, target):
    """Puts a finished executable in its place, also where the old one is running."""
    fresh = target.with_name(target.name + ".new")
    shutil.copy(source, fresh)
    os.replace(fresh, target)


class Tokio:
    """The servers and in-process works written on tokio: one Cargo package."""

    name = "tokio"
    folder = HERE / "tokio"

    @property
    def products(self):
        return sorted(path.stem for path in (self.folder / "src/bin").glob("*.rs"))

    def tools(self):
        self.cargo = tool("cargo", "cargo")
        rustc = run([tool("rustc", "rustc"), "--version"]).split()[1]
        crates = [path.name.partition("-")[2] for path in CRATES.glob("tokio-[0-9]*")]
        if not crates:
            raise NotThere(f"no tokio in {CRATES}: install librust-tokio-dev")
        return f"tokio {max(crates, key=as_numbers)}, rustc {rustc}"

    def make(self, into):
        # Cargo writes its lock file beside Cargo.toml: not into the source tree.
        package = into / "tokio"
        package.mkdir(exist_ok=True)
        for part in ("Cargo.toml", "src"):
            link = package / part
            link.unlink(missing_ok=True)
            link.symlink_to(self.folder / part)
        run([self.cargo, "build", "--release", "--bins", "--offline", "--color", "never",
             "--config", 'source.crates-io.replace-with="debian"',
             "--config", f'source.debian.directory="{CRATES}"',
             "--target-dir", package / "target", "--jobs", str(AT_ONCE)], cwd=package)
        for product in self.products:
            put(package / "target/release" / product, into / product)


class Asio:
    """The Boost.Asio server, on either of Asio's reactors."""

    name = "asio"
    folder = HERE / "asio"
    products = ["asio_echo_epoll", "asio_echo_uring"]
    flags = ["-std=c++20", "-O3", "-DNDEBUG", "-flto=auto"]
    uring = ["-DBOOST_ASIO_HAS_IO_URING", "-DBOOST_ASIO_DISABLE_EPOLL"]
    probe = "#include <boost/version.hpp>\n#include <liburing.h>\n"
    packages = {"liburing": "liburing-dev", "": "libboost1.81-dev"}
    libraries = []

    def tools(self):
        compiler = shutil.which(os.environ.get("CXX", "g++"))
        self.compiler = compiler or tool("g++", "g++")
        try:
            macros = run([self.compiler, "-E", "-dM", "-x", "c++", "-"], input=self.probe)
        except Broken as missing:
            package = next(package for word, package in self.packages.items()
                           if word in str(missing))
            raise NotThere(f"no headers of it on this machine: install {package}") from None
        boost = re.search(r'define BOOST_LIB_VERSION "(.*)"', macros)[1].replace("_", ".")
        return f"Boost.Asio {boost}, {run([self.compiler, '--version']).splitlines()[0]}"

    def make(self, into):
        work = into / self.name
        work.mkdir(exist_ok=True)
        on_epoll, on_uring = self.products
        source = self.folder / f"{on_epoll.removesuffix('_epoll')}.cpp"
        command = [self.compiler, *self.flags, source]
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as both:
            list(both.map(run, [[*command, "-o", work / on_epoll, *self.libraries],
                                [*command, *self.uring, "-o", work / on_uring, *self.libraries,
                                 "-luring"]]))
        for product in self.products:
            put(work / product, into / product)


class AsioTls(Asio):
    """The same under TLS, through Boost.Asio's streams on OpenSSL."""

    name = "asio_tls"
    products = ["asio_tls_echo_epoll", "asio_tls_echo_uring"]
    probe = Asio.probe + "#include <openssl/ssl.h>\n"
    packages = {"openssl": "libssl-dev"} | Asio.packages
    libraries = ["-lssl", "-lcrypto", "-pthread"]


class Go:
    """The Go server."""

    name = "go"
    folder = HERE / "go"
    products = ["go_echo"]
    environment = {"GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local", "GOPROXY": "off"}

    def tools(self):
        self.go = tool("go", "golang-go")
        return run([self.go, "version"], env=os.environ | self.environment).split()[2]

    def make(self, into):
        work = into / "go"
        work.mkdir(exist_ok=True)
        run([self.go, "build", "-p", str(AT_ONCE), "-o", work / "go_echo", "."], cwd=self.folder,
            env=os.environ | self.environment | {"GOCACHE": str(work / "cache")})
        put(work / "go_echo", into / "go_echo")


class CClient:
    """A client written in C on somebody's library: one file, and what such clients share."""

    shared = [HERE.parent / "kv/client.c", HERE.parent / "load/load.c"]
    headers = [path.with_suffix(".h") for path in shared]

    @property
    def folder(self):
        return HERE / self.name

    @property
    def products(self):
        return [f"{self.name}_get"]

    @property
    def more_sources(self):
        return self.shared + self.headers

    def tools(self):
        compiler = shutil.which(os.environ.get("CC", "gcc"))
        self.compiler = compiler or tool("gcc", "gcc")
        probe = f"#include <{self.header}>\n{self.version}\n"
        try:
            expanded = run([self.compiler, "-E", "-P", "-x", "c", "-"], input=probe)
        except Broken:
            raise NotThere(f"no headers of it on this machine: install {self.package}") from None
        version = ".".join(map(str, as_numbers(expanded.splitlines()[-1])))
        return f"{self.name} {version}, {run([self.compiler, '--version']).splitlines()[0]}"

    def make(self, into):
        work = into / self.name
        work.mkdir(exist_ok=True)
        (product,) = self.products
        run([self.compiler, *C_FLAGS, *(f"-I{path.parent}" for path in self.shared),
             self.folder / f"{product}.c", *self.shared, *self.libraries, "-o", work / product])
        put(work / product, into / product)


class Hiredis(CClient):
    """GET with hiredis: one by one, pipelined, and from callers that share a connection."""

    name = "hiredis"
    package = "libhiredis-dev"
    header = "hiredis/hiredis.h"
    version = "HIREDIS_MAJOR HIREDIS_MINOR HIREDIS_PATCH"
    libraries = ["-lhiredis"]


class Libmemcached(CClient):
    """GET with libmemcached, over as many connections as callers."""

    name = "libmemcached"
    package = "libmemcached-dev"
    header = "libmemcached/memcached.h"
    version = "LIBMEMCACHED_VERSION_STRING"
    libraries = ["-lmemcached", "-lpthread"]


class GoKv:
    """GET with the libraries for Go that Debian has. They come without modules."""

    name = "go_kv"
    folder = HERE / "go_kv"
    products = ["go_kv"]
    environment = {"GO111MODULE": "off", "GOPATH": str(GO_PATH), "GOPROXY": "off"}
    packages = {
        "github.com/gomodule/redigo": "golang-github-gomodule-redigo-dev",
        "github.com/bradfitz/gomemcache": "golang-github-bradfitz-gomemcache-dev",
    }

    def tools(self):
        self.go = tool("go", "golang-go")
        for name, package in self.packages.items():
            if not (GO_PATH / "src" / name).is_dir():
                raise NotThere(f"no {name} in {GO_PATH}: install {package}")
        versions = [self.version_of(package) for package in self.packages.values()]
        return ", ".join(filter(None, [run([self.go, "version"]).split()[2], *versions]))

    @staticmethod
    def version_of(package):
        """Empty where packages are not Debian's."""
        if not shutil.which("dpkg-query"):
            return ""
        try:
            version = run(["dpkg-query", "-W", "-f", "${Version}", package])
        except Broken:
            return ""
        return f"{package.split('-')[-2]} {version}"

    def make(self, into):
        work = into / "go_kv.work"  # beside the program of that name
        work.mkdir(exist_ok=True)
        run([self.go, "build", "-p", str(AT_ONCE), "-o", work / "go_kv", "."], cwd=self.folder,
            env=os.environ | self.environment | {"GOCACHE": str(work / "cache")})
        put(work / "go_kv", into / "go_kv")


class RedisBenchmark:
    """The redis-benchmark of the distribution, in a script that sizes its runs by time."""

    name = "redis_benchmark"
    folder = HERE / "redis_benchmark"
    products = ["redis_benchmark"]

    def tools(self):
        return run([tool("redis-benchmark", "redis-tools"), "--version"]).strip()

    def make(self, into):
        put(self.folder / "redis_benchmark", into / "redis_benchmark")


class Nginx:
    """The nginx of the distribution, in a script that writes its configuration."""

    name = "nginx"
    folder = HERE / "nginx"
    products = ["nginx_tls"]

    def tools(self):
        nginx = shutil.which("nginx") or tool("/usr/sbin/nginx", "nginx")
        return run([nginx, "-v"]).strip().rpartition(" ")[2]

    def make(self, into):
        put(self.folder / "nginx_tls", into / "nginx_tls")


RIVALS = {rival.name: rival for rival in (Tokio, Asio, AsioTls, Go, Hiredis, Libmemcached, GoKv,
                                          RedisBenchmark, Nginx)}


def sources(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def up_to_date(rival, into, stamp, version):
    """Whether everything is there, newer than its sources and built by these very tools."""
    products = [into / product for product in rival.products]
    if not all(path.exists() for path in (stamp, *products)) or stamp.read_text() != version:
        return False
    made_of = [*sources(rival.folder), *getattr(rival, "more_sources", []), pathlib.Path(__file__)]
    newest = max(path.stat().st_mtime for path in made_of)
    return min(path.stat().st_mtime for path in [stamp, *products]) > newest


def build_one(name, into, report):
    rival = RIVALS[name]()
    stamp = into / f"{name}.version"
    try:
        version = rival.tools()
        if not up_to_date(rival, into, stamp, version):
            report(f"{name}: building with {version}")
            rival.make(into)
            stamp.write_text(version)
            report(f"{name}: built")
        return {"rival": name, "built": True, "version": version}
    except NotThere as why:
        return {"rival": name, "built": False, "why": str(why)}
    except Broken as why:
        report(f"{name}: the compiler failed\n{why}")
        return {"rival": name, "built": False, "why": "the compiler failed"}


def build(into, only=None, report=lambda text: None):
    """Builds the rivals of the given names, or all, into the folder `into`.

    Returns a dict for each: `rival` and `built`, then `version`, or `why` it was not built. An
    executable of one that could not be built may be there from before: go by `built`. `report` is
    called with what is being done and, when a compiler fails, its last lines.
    """
    into = pathlib.Path(into).resolve()
    into.mkdir(parents=True, exist_ok=True)
    names = list(RIVALS) if only is None else list(only)
    return [build_one(name, into, report) for name in names]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--into", required=True, help="folder for the executables")
    parser.add_argument("--only", help="of " + ",".join(RIVALS))
    given = parser.parse_args()
    only = given.only.split(",") if given.only else None
    for name in only or []:
        if name not in RIVALS:
            parser.error(f"no rival is called {name}")
    results = build(given.into, only, lambda text: print(text, file=sys.stderr, flush=True))
    for result in results:
        print(json.dumps(result))
    sys.exit(any(result.get("why") == "the compiler failed" for result in results))


if __name__ == "__main__":
    main()
