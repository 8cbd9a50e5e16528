"""A whole run of the benchmark harness, with servers and loads that are small scripts."""

import contextlib
import io
import os
import pathlib
import sys
import tempfile
import unittest
import xml.etree.ElementTree
from unittest import mock

from harness_test import work_of  # also finds benches/

import run
from harness import catalogue, results
from harness.bench import UNABLE
from harness.contender import SERVERS, Contender

SERVER = f"""#!{sys.executable}
import signal, socket, sys, threading
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
def end(*_):
    print("system_calls 30", flush=True)
    raise SystemExit
signal.signal(signal.SIGTERM, end)
def echo(peer):
    while data := peer.recv(4096):
        peer.sendall(data)
while True:
    threading.Thread(target=echo, args=(listener.accept()[0],), daemon=True).start()
"""
LOAD = f"""#!{sys.executable}
import json, socket, sys
peer = socket.create_connection(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])))
for _ in range(50):
    peer.sendall(b"x")
    assert peer.recv(1) == b"x"
print(json.dumps({{"requests": 50, "requests_per_second": 500, "p50_us": 10, "p99_us": 20,
                  "p999_us": 40}}))
"""
BROKEN_LOAD = f"""#!{sys.executable}
import sys
sys.exit("a reply differs from its message")
"""
INSIDE = f"""#!{sys.executable}
import json, sys
print(json.dumps({{"work": sys.argv[1], "operations": 10, "wall_ns": 1000, "cpu_ns": 500}}))
"""
CLIENT = f"""#!{sys.executable}
import json, socket, sys
peer = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
peer.sendall(b"x")
assert peer.recv(1) == b"x"
print(json.dumps({{"work": sys.argv[1], "requests": 50, "wall_ns": 5000, "cpu_ns": 2000,
                  "requests_per_second": 500, "p50_us": 10, "p99_us": 20, "allocations": 5}}))
"""
CLIENT_WITHOUT_TLS = f"""#!{sys.executable}
import sys
print("built without TLS", file=sys.stderr)
raise SystemExit({UNABLE})
"""


@unittest.skipIf(len(os.sched_getaffinity(0)) < 2, "server and load need two cores")
class WholeRun(unittest.TestCase):
    """run.py as `./dev bench` calls it, on works of our own."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.build = pathlib.Path(folder.name)
        (self.build / "benches").mkdir()
        for name, text in {"server": SERVER, "load": LOAD, "broken": BROKEN_LOAD,
                           "inside": INSIDE, "client": CLIENT}.items():  # fmt: skip
            program = self.build / "benches" / name
            program.write_text(text)
            program.chmod(0o755)
        (self.build / "benches/no_program").write_text("")
        self.server = f"{self.build}/benches/server {{port}}"
        self.ours = Contender("ouro", "ours", self.server, "floor")
        self.floor = Contender("floor", "floor", self.server)

    def network(self, *contenders, load="load", **more):
        options = {"load": load, "counts": "requests"}
        figures = ("cpu_us", "requests_per_second", "p50_us", "p99_us", "p999_us", "system_calls")
        return work_of(*contenders, figures=figures, options=options, **more)

    def run_it(self, works, *words, rivals=()):
        """The exit code, what it printed, and the lines of its JSON."""
        kept = self.build / "kept.json"
        words = ["--build", str(self.build), "--json", str(kept), "--rounds", "2", *words]
        words.append("--quick")
        out, errors = io.StringIO(), io.StringIO()
        with mock.patch.object(catalogue, "select", lambda *_: works), \
                mock.patch.object(run, "build_rivals", lambda *_: rivals), \
                contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):  # fmt: skip
            code = run.main(words)
        with kept.open() as file:
            return code, out.getvalue() + errors.getvalue(), results.read(file)

    def test_a_run_measures_prints_and_keeps(self):
        html = self.build / "page.html"
        inside = Contender("ouro", "ours", f"{self.build}/benches/inside {{work}}")
        works = [
            self.network(self.floor, self.ours),
            work_of(inside, kind="inprocess", figures=("wall_ns", "cpu_ns"), name="mutex"),
            work_of(self.ours, kind="idle", figures=("idle_us",), name="idle",
                    options={"connections": 3}),
            work_of(self.ours, kind="memory", figures=("bytes",), name="memory",
                    options={"connections": 3}),
        ]  # fmt: skip
        code, said, kept = self.run_it(works, "--html", str(html))
        self.assertEqual(code, 0, said)
        ours = kept.find("w", "ouro")
        self.assertEqual(len(ours.rounds), 2)
        self.assertEqual(ours.value("requests_per_second"), 500)
        self.assertEqual(ours.value("system_calls"), 0.3)  # 30, also for the warm-up's 50
        self.assertGreater(ours.value("cpu_us"), 0)
        self.assertEqual(kept.find("mutex", "ouro").value("wall_ns"), 100)
        self.assertGreaterEqual(kept.find("idle", "ouro").value("idle_us"), 0)
        self.assertTrue(kept.find("memory", "ouro").measured)
        self.assertRegex(said, r"ouro\* +[\d.]+")
        self.assertRegex(said, r"mutex +wall +100\.0")
        self.assertIn("kernel", kept.machine)
        xml.etree.ElementTree.fromstring(html.read_text())

    def test_one_who_is_measured_otherwise_stands_beside_the_others(self):
        inside = f"#!{sys.executable}\nprint('{{\"operations\": 10, \"wall_ns\": 900, " \
                 "\"cpu_ns\": 5000, \"bytes\": 20}')\n"
        (self.build / "benches/inside").write_text(inside)
        record = Contender("record", "floor", f"{self.build}/benches/inside {{cert}}",
                           kind="inprocess")
        code, said, kept = self.run_it([self.network(self.ours, record)])
        self.assertEqual(code, 0, said)
        self.assertEqual(kept.find("w", "record").value("cpu_us"), 0.5)
        self.assertEqual(kept.find("w", "record").value("mb_per_cpu_second"), 4)
        self.assertTrue(kept.find("w", "ouro").measured)

    def test_flags_of_a_load_and_what_it_counts(self):
        load = LOAD.replace("requests", "records").replace(
            "import json, socket, sys",
            "import json, socket, sys\nassert {'--clear', '--resume'} <= {*sys.argv}"
            " and 'True' not in sys.argv")
        (self.build / "benches/load").write_text(load)
        clear = Contender("clear", "ours", self.server, clear=True)
        work = work_of(clear, figures=("mb_per_cpu_second",),
                       options={"load": "load", "counts": "records", "resume": True})
        code, said, kept = self.run_it([work])
        self.assertEqual(code, 0, said)
        for each in kept.find("w", "clear").rounds:  # MB/s times µs of a record are its bytes
            self.assertAlmostEqual(each["mb_per_cpu_second"] * each["cpu_us"], 16384, 3)

    def client_work(self, command):
        figures = ("requests_per_second", "cpu_ns", "p50_us", "allocations")
        client = Contender("ouro", "ours", command)
        return work_of(client, kind="client", figures=figures, options={"server": "echo"})

    def test_a_client_is_measured_with_a_server_of_its_own(self):
        server = Contender("echo", "rival", self.server)
        work = self.client_work("{build}/benches/client {work} {port}")
        with mock.patch.dict(SERVERS, echo=server):
            code, said, kept = self.run_it([work])
        self.assertEqual(code, 0, said)
        ours = kept.find("w", "ouro")
        self.assertEqual(ours.value("requests_per_second"), 500)
        self.assertEqual(ours.value("cpu_ns"), 40)
        self.assertEqual(ours.value("wall_ns"), 100)
        self.assertEqual(ours.value("allocations"), 0.1)
        self.assertEqual(ours.value("p99_us"), 20)
        self.assertIsNone(ours.value("system_calls"))  # not counted by this one

    def test_a_client_that_is_answered_nothing_or_says_nonsense_fails_the_run(self):
        server = Contender("echo", "rival", self.server)
        for said, sentence in (("{}", "did not report its figures"),
                               ('{"requests": 0, "requests_per_second": 0, "wall_ns": 1}',
                                "was answered nothing")):  # fmt: skip
            (self.build / "benches/client").write_text(
                f"#!{sys.executable}\nprint({said!r})\n")
            with self.subTest(said), mock.patch.dict(SERVERS, echo=server):
                code, words, _ = self.run_it([self.client_work("{build}/benches/client {port}")])
                self.assertEqual(code, 1)
                self.assertIn(f"ouro FAILED: {sentence}", words)

    def test_a_client_that_was_built_without_what_it_is_asked_for_is_missing(self):
        (self.build / "benches/client").write_text(CLIENT_WITHOUT_TLS)
        with mock.patch.dict(SERVERS, echo=Contender("echo", "rival", self.server)):
            code, said, _ = self.run_it([self.client_work("{build}/benches/client {port}")])
        self.assertEqual(code, 0, said)
        self.assertIn("ouro is missing: built without TLS", said)

    def test_without_its_server_a_client_is_missing(self):
        server = Contender("echo", "rival", "no-such-server {port}")
        work = self.client_work("{build}/benches/client {work} {port}")
        with mock.patch.dict(SERVERS, echo=server):
            code, said, _ = self.run_it([work])
        self.assertEqual(code, 0)
        self.assertIn("ouro is missing: no-such-server is not installed", said)

    def test_who_cannot_be_measured_is_named_and_does_not_end_the_run(self):
        rivals = [{"rival": "go", "built": False, "why": "no go on this machine"},
                  {"rival": "asio", "built": True, "version": "1.81"}]  # fmt: skip
        work = self.network(
            Contender("absent", "rival", "{build}/benches/absent {port}"),
            Contender("uninstalled", "rival", "no-such-program {port}"),
            Contender("not a program", "rival", "{build}/benches/no_program {port}"),
            Contender("mute", "rival", f"{sys.executable} -c pass {{port}}"),
            Contender("Go", "rival", self.server, rival="go"),  # there, but of an older build
            self.ours,
        )
        code, said, kept = self.run_it([work], rivals=rivals)
        self.assertEqual(code, 0, said)
        for line in (
            "absent is missing: was not built: there is no ",
            "uninstalled is missing: no-such-program is not installed",
            "not a program is missing: cannot be started",
            "mute is missing: ended at once: it said nothing",
            "Go is missing: was not built: no go on this machine",
        ):
            self.assertIn(line, said)
        self.assertEqual([each.contender for each in kept if each.measured], ["ouro"])
        self.assertEqual(kept.machine["asio"], "1.81")

    def test_a_load_that_fails_fails_the_run(self):
        works = [self.network(self.ours, load="broken"), self.network(self.floor, name="next")]
        code, said, kept = self.run_it(works)
        self.assertEqual(code, 1)
        self.assertIn("ouro FAILED: a reply differs from its message", said)
        self.assertTrue(kept.find("next", "floor"))  # the others were still measured

    def test_a_load_that_says_nonsense_fails_the_run(self):
        (self.build / "benches/broken").write_text(f"#!{sys.executable}\nprint('{{}}')\n")
        code, said, _ = self.run_it([self.network(self.ours, load="broken")])
        self.assertEqual(code, 1)
        self.assertIn("did not report requests", said)

    def test_a_server_that_dies_under_load_is_wrong_or_named(self):
        dies = SERVER.replace("peer.recv(4096)", "(__import__('os')._exit(3))")
        (self.build / "benches/server").write_text(dies)
        work = work_of(self.ours, kind="idle", figures=("idle_us",), options={"connections": 1})
        code, said, _ = self.run_it([work])
        self.assertRegex(said, "ouro (FAILED|is missing): ")
        self.assertEqual(code, 1)

    def test_everything_that_was_started_has_ended(self):
        self.run_it([self.network(self.floor, self.ours)])
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                command = (process / "cmdline").read_bytes()
                self.assertNotIn(str(self.build).encode(), command)


if __name__ == "__main__":
    unittest.main()
