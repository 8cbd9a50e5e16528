"""The parts of the benchmark harness; run_test.py runs the whole."""

import contextlib
import io
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree
from unittest import mock

from servers import ROOT  # also finds benches/

import run
from harness import catalogue, contender, measure, page, plan, results, sheet, targets
from harness.catalogue import Work
from harness.contender import Contender
from harness.failure import Failure
from harness.figure import FIGURES
from harness.progress import Progress
from harness.results import Result, Results
from harness.rounds import run_work
from harness.spread import Spread, ratio, spread

def result(name, role, values, headline="cpu_us", work="w", **more):
    rounds = [None if value is None else {headline: value} for value in values]
    return Result(work, name, role, headline, rounds=rounds, **more)


def work_of(*contenders, kind="network", figures=("cpu_us",), name="w", **more):
    more = {"seconds": 0.01, "quick_seconds": 0.01, "quick": True} | more
    return Work(name, "group", "a <work> & more", kind, contenders, figures, **more)


class Silent:
    """A progress that nobody sees."""

    def begin(self, *_):
        pass

    end = finish = begin


class Numbers(unittest.TestCase):
    def test_the_median_and_the_ends_of_some_rounds(self):
        self.assertEqual(spread([3, 1, 2]), Spread(2, 1, 3))
        self.assertEqual(spread([4, None, 2]), Spread(3, 2, 4))
        self.assertIsNone(spread([None]))

    def test_a_ratio_is_taken_within_each_round(self):
        # The medians alone would give 20 / 20.
        self.assertEqual(ratio([10, 20, 60], [20, 10, 30]), Spread(2, 0.5, 2))

    def test_a_round_without_both_figures_does_not_count(self):
        self.assertEqual(ratio([10, None, 30, 5], [10, 10, None, 0]), Spread(1, 1, 1))
        self.assertIsNone(ratio([1], [0]))

    def test_what_the_kernel_samples_is_shown_as_a_mean(self):
        each = result("a", "ours", [1, 2, 9], "user_us")
        self.assertEqual(each.value("user_us"), 4)
        self.assertEqual(result("a", "ours", [1, 2, 9]).value("cpu_us"), 2)


class Order(unittest.TestCase):
    def measured(self, fails=()):
        seen = []

        def one_run(_, each):
            seen.append(each.name)
            if each.name in fails:
                raise Failure("cannot be started")
            return {"cpu_us": len(seen)}

        three = [Contender(name, "rival", "x") for name in "ABC"]
        return seen, run_work(work_of(*three), three, 3, one_run, Silent())

    def test_rounds_are_interleaved(self):
        seen, found = self.measured()
        self.assertEqual("".join(seen), "ABCABCABC")
        self.assertEqual(found[1].values("cpu_us"), [2, 5, 8])

    def test_who_fails_is_not_tried_again_and_the_others_go_on(self):
        seen, found = self.measured(fails="B")
        self.assertEqual("".join(seen), "ABCACAC")
        self.assertEqual(found[1].rounds, [None, None, None])
        self.assertEqual(found[1].why, "cannot be started")
        self.assertFalse(found[1].wrong)

    def test_disturbed_runs_are_repeated_a_bounded_number_of_times(self):
        others = iter([50, 40, 60, 0])
        fake = mock.Mock(measure=lambda *_: {"others": next(others)}, OVERHEAD_SECONDS=0)
        bench, ours = mock.Mock(warmup_seconds=0), Contender("ouro", "ours", "x")
        with mock.patch.dict(measure.KINDS, network=fake):
            best = measure.measure_calmly(bench, work_of(), ours, 1, measure.Repeats(100))
            self.assertEqual(best, {"others": 40})  # the least disturbed one of three
            others = iter([50, 0])
            best = measure.measure_calmly(bench, work_of(), ours, 1, measure.Repeats(0.5))
            self.assertEqual(best, {"others": 50})  # no time is left for another try


class Selection(unittest.TestCase):
    def names(self, *wanted, quick=False):
        return [work.name for work in catalogue.select(wanted, quick)]

    def test_a_name_a_group_or_the_beginning_of_names(self):
        self.assertEqual(self.names("echo_1"), ["echo_1"])  # and not echo_16k
        self.assertEqual(self.names("echo"), ["echo_1", "echo_64", "echo_512", "echo_16k"])
        self.assertEqual(len(self.names("pubsub_5x25")), 3)
        self.assertEqual(len(self.names("inprocess")), 16)
        self.assertEqual(self.names("mutex", "churn"), ["churn", "mutex"])

    def test_quick_is_what_the_targets_need(self):
        quick = self.names(quick=True)
        self.assertLessEqual({each.work for each in targets.TARGETS}, set(quick))
        self.assertLess(len(quick), len(self.names()))

    def test_a_file_that_cannot_be_written_is_found_out_before_the_run(self):
        with contextlib.redirect_stderr(io.StringIO()) as said:
            with self.assertRaises(SystemExit) as ended:
                run.main(["mutex", "--json", "/no/such/folder/x"])
        self.assertEqual(ended.exception.code, 2)
        self.assertIn("/no/such/folder/x cannot be written", said.getvalue())

    def test_an_unknown_name_is_an_error_with_close_matches(self):
        with self.assertRaisesRegex(Failure, "'ecko'.*echo"):
            self.names("ecko")
        with contextlib.redirect_stderr(io.StringIO()) as said:
            with self.assertRaises(SystemExit) as ended:
                run.main(["ecko"])
        self.assertEqual(ended.exception.code, 2)
        self.assertIn("did you mean echo", said.getvalue())


class Catalogue(unittest.TestCase):
    def test_names_are_unique_and_everything_named_exists(self):
        names = [work.name for work in catalogue.WORKS]
        self.assertEqual(len(names), len(set(names)))
        for work in catalogue.WORKS:
            with self.subTest(work.name):
                there = {each.name: each for each in work.contenders}
                self.assertEqual(len(there), len(work.contenders))
                kinds = {work.kind, *(each.kind for each in work.contenders if each.kind)}
                self.assertLessEqual(kinds, set(measure.KINDS))
                self.assertLessEqual(set(work.figures), set(FIGURES))
                self.assertTrue(not work.base or work.base in there)
                self.assertTrue(work.quick_seconds or work.rounds_max)

    def test_every_target_compares_what_is_measured_in_a_quick_run(self):
        works = {work.name: work for work in catalogue.WORKS}
        for each in targets.TARGETS:
            there = {c.name for c in works[each.work].contenders_of(quick=True)}
            others = works[each.theirs_work or each.work].contenders_of(quick=True)
            self.assertIn(each.ours, there)
            self.assertTrue(not each.theirs or each.theirs in {c.name for c in others}, each)
            self.assertTrue(not each.beside or each.beside in there, each)

    def test_a_quick_run_measures_for_eight_minutes_at_most(self):
        steps = plan.make_plan(catalogue.select([], True), True, run.ROUNDS)
        needed = plan.total_seconds(steps)
        self.assertLessEqual(needed + plan.repeat_seconds(steps, True), 480)
        self.assertTrue(all(s.rounds >= 5 for s in steps if s.work.seconds))

    def test_commands_are_complete(self):
        with mock.patch("pathlib.Path.is_file", return_value=True), \
                mock.patch("shutil.which", return_value="/bin/x"):  # fmt: skip
            for work in catalogue.WORKS:
                for each in work.contenders:
                    words = each.words("b", port=7, work="mutex", seconds="1", cert="c", key="k")
                    self.assertNotIn("{", " ".join(words))
        redis = next(each for each in contender.PUBSUB if each.protocol == "redis")
        with mock.patch("shutil.which", return_value="/bin/x"):
            self.assertIn("", redis.words("b", port=7))  # --save ''


class Judgement(unittest.TestCase):
    def judge(self, target, *each):
        (verdict,) = targets.judge(Results({}, each), [target])
        return verdict

    def test_a_ratio_is_met_at_its_limit_and_missed_above(self):
        target = targets.at_most("w", "ouro", "ratio", 1.03, theirs="floor")
        floor = result("floor", "floor", [100, 100, 100])
        met = self.judge(target, floor, result("ouro", "ours", [103, 90, 200]))
        self.assertEqual((met.mark, met.got), ("met", 1.03))
        missed = self.judge(target, floor, result("ouro", "ours", [206, 206, 206]))
        self.assertEqual((missed.mark, missed.note), ("missed", "by 100%"))

    def test_times_faster_is_theirs_divided_by_ours(self):
        target = targets.at_least("w", "ouro", "times", 4, theirs="tokio")
        ours = result("ouro", "ours", [10, 10])
        self.assertEqual(self.judge(target, ours, result("tokio", "rival", [40, 40])).mark, "met")
        missed = self.judge(target, ours, result("tokio", "rival", [30, 30]))
        self.assertEqual((missed.mark, missed.note), ("missed", "by 25%"))

    def test_what_is_added_to_another_is_compared_round_by_round(self):
        target = targets.at_most("w", "tls", "added", 1.15, theirs="record", beside="clear")
        tls, clear = result("tls", "ours", [30, 50, 41]), result("clear", "ours", [20, 30, 20])
        record = result("record", "floor", [10, 10, 20])
        verdict = self.judge(target, tls, clear, record)
        self.assertEqual((verdict.got, verdict.mark), (1.05, "met"))
        self.assertIn("(tls − clear) ÷ record", target.words)
        verdict = self.judge(target, tls, record)
        self.assertEqual((verdict.mark, verdict.note), ("?", "clear was not measured"))

    def test_a_ratio_to_another_work_names_it(self):
        target = targets.at_least("w", "ouro", "ratio", 3, theirs="ouro", theirs_work="full")
        ours, full = result("ouro", "ours", [6]), result("ouro", "ours", [2], work="full")
        self.assertEqual(self.judge(target, ours, full).got, 3)
        self.assertIn("ouro ÷ ouro in full", target.words)

    def test_a_limit_of_zero_can_be_missed(self):
        target = targets.at_most("w", "ouro", "value", 0)
        self.assertEqual(self.judge(target, result("ouro", "ours", [0])).mark, "met")
        missed = self.judge(target, result("ouro", "ours", [2]))
        self.assertEqual((missed.mark, missed.note), ("missed", ""))

    def test_the_worst_ratio_names_its_rival_and_who_was_missing(self):
        target = targets.at_most("w", "ouro", "worst", 1)
        verdict = self.judge(
            target, result("ouro", "ours", [10]), result("Go", "rival", [20]),
            result("tokio", "rival", [8]), result("Asio", "rival", [None], why="not built"),
        )  # fmt: skip
        self.assertEqual((verdict.mark, verdict.got), ("missed", 1.25))
        self.assertEqual(verdict.note, "by 25%; tokio; without Asio")

    def test_values_and_differences(self):
        ours = result("ouro", "ours", [500, 700, 600])
        floor = result("floor", "floor", [100, 100, 100])
        difference = targets.at_most("w", "ouro", "difference", 600, theirs="floor")
        self.assertEqual(self.judge(difference, ours, floor).got, 500)
        value = targets.at_most("w", "ouro", "value", 550)
        self.assertEqual(self.judge(value, ours).mark, "missed")
        ours.rounds[0]["system_calls"] = 0.005
        calls = targets.at_most("w", "ouro", "value", 0.01, figure="system_calls")
        self.assertEqual(self.judge(calls, ours).mark, "met")

    def test_what_was_not_measured_is_not_met_and_says_why(self):
        target = targets.at_most("w", "ouro", "ratio", 1, theirs="floor")
        missing = result("floor", "floor", [None], why="was not built: no compiler")
        verdict = self.judge(target, result("ouro", "ours", [1]), missing)
        self.assertEqual(verdict.mark, "?")
        self.assertEqual(verdict.note, "floor: was not built: no compiler")

    def test_targets_of_works_that_were_not_asked_for_are_left_out(self):
        self.assertEqual(targets.judge(Results({}, [result("ouro", "ours", [1])])), [])


class Kept(unittest.TestCase):
    def kept(self, *each, machine=None):
        file = io.StringIO()
        results.write(Results(machine or {"cores": 2}, each), file)
        return file.getvalue().splitlines()

    def test_json_holds_everything_and_can_be_read_back(self):
        floor = result("floor", "floor", [10, 20])
        ours = result("ouro", "ours", [11, None], floor="floor", why="died", wrong=True)
        lines = self.kept(floor, ours, result("Go", "rival", [None], why="no go"))
        self.assertEqual(len(lines), 4)
        self.assertEqual(json.loads(lines[0]), {"machine": {"cores": 2}})
        line = json.loads(lines[2])
        self.assertEqual((line["median"], line["ratios"]), (11, {"floor": 1.1}))
        back = results.read(lines)
        self.assertEqual(back.machine, {"cores": 2})
        self.assertEqual(list(back)[1], ours)
        self.assertIsNone(back.find("w", "Go"))

    def test_other_files_are_refused(self):
        for lines in ([], ["{}"], ["x"], ['{"machine": {}}', '{"work": "w"}']):
            with self.assertRaises(ValueError):
                results.read(lines)

    def compared(self, old, new):
        with tempfile.TemporaryDirectory() as folder:
            paths = [pathlib.Path(folder) / name for name in ("old", "new")]
            for path, each in zip(paths, (old, new)):
                path.write_text("\n".join(self.kept(*each)))
            command = [sys.executable, ROOT / "benches/compare", *paths]
            return subprocess.run(command, capture_output=True, text=True)

    def test_compare_marks_changes_whose_ranges_do_not_overlap(self):
        old = [result("a", "ours", [10, 11, 12]), result("b", "ours", [10, 11, 12]),
               result("c", "ours", [10, 11], "requests_per_second"), result("d", "ours", [1])]
        new = [result("a", "ours", [5, 6, 7]), result("b", "ours", [12, 13, 14]),
               result("c", "ours", [5, 6], "requests_per_second"), result("e", "ours", [1])]
        lines = self.compared(old, new).stdout.splitlines()
        found = {line.split()[1]: line for line in lines if line.startswith("w ")}
        self.assertRegex(found["a"], r"11\.000 +6\.000 +-45\.5 % +← better")
        self.assertRegex(found["b"], r"\+18\.2 %$")
        self.assertRegex(found["c"], "← worse")  # fewer requests
        self.assertIn("only in the old file: w, d", lines)
        self.assertIn("only in the new file: w, e", lines)

    def test_compare_of_what_is_no_result_says_so(self):
        done = subprocess.run([sys.executable, ROOT / "benches/compare", "/dev/null", "/dev/null"],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(len(done.stderr.splitlines()), 1)


class Shown(unittest.TestCase):
    def run_of(self):
        """A network work with all of its figures, and an in-process one."""
        network = work_of(
            *contender.ECHO, figures=("cpu_us", "p50_us", "p99_us", "p999_us"), name="echo_64"
        )
        inside = work_of(*contender.ON_ONE_WORKER, kind="inprocess", figures=("wall_ns",))
        found = Results({"processor": "<fast> & small", "cores": 2})
        for number, each in enumerate(network.contenders):
            rounds = [{"cpu_us": 4 + number + i, "p50_us": 10.0, "p99_us": 20.0 + number,
                       "p999_us": 900.0} for i in range(3)]  # fmt: skip
            found.add(Result("echo_64", each.name, each.role, "cpu_us", each.floor, rounds))
        found.add(result("ouro", "ours", [10, 20], "wall_ns"))
        found.add(result("tokio", "rival", [100, 200], "wall_ns"))
        found.add(result("tokio multi", "rival", [None], "wall_ns", why="no <cargo>"))
        return plan.make_plan([network, inside], False, 3), found

    def test_the_page_is_well_formed_and_needs_nothing_else(self):
        steps, found = self.run_of()
        text = page.render(steps, found, targets.judge(found))
        tree = xml.etree.ElementTree.fromstring(text)  # stricter than a browser
        self.assertEqual(len(tree.findall(".//svg")), 3)  # bars, curves, times faster
        for outside in ("http:", "https:", "src=", "url(", "@import", "<script", "<link"):
            self.assertNotIn(outside, text)
        for link in tree.findall(".//a"):
            self.assertIsNotNone(tree.find(f".//section[@id='{link.get('href')[1:]}']"))
        self.assertIn("prefers-color-scheme: dark", text)
        self.assertIn("no &lt;cargo&gt;", text)
        self.assertIn("missed", text)

    def test_a_page_of_nothing_is_still_a_page(self):
        xml.etree.ElementTree.fromstring(page.render([], Results({}), []))

    def test_tables_name_ratios_and_who_is_missing(self):
        steps, found = self.run_of()
        (_, echo), (_, inside) = sheet.sheets(steps, found)
        ours = next(texts for _, texts in echo.rows if texts[0] == "ouro uring*")
        self.assertIn("to floor", echo.headings)
        self.assertEqual(ours[echo.headings.index("to floor")], "1.40")
        tokio = next(texts for _, texts in echo.rows if texts[0] == "tokio")
        self.assertEqual(tokio[echo.headings.index("ouro uring ÷")], "0.78")
        self.assertIn("10.0", inside.rows[0][1])
        self.assertEqual(inside.notes, ["tokio multi is missing: no <cargo> (w)"])

    def test_labels_beside_curves_do_not_overlap(self):
        from harness.chart import apart

        placed = apart([50, 50, 51, 99, 100], 10, 0, 100)
        self.assertTrue(all(b - a >= 10 for a, b in zip(placed, placed[1:])))
        self.assertTrue(0 <= placed[0] and placed[-1] <= 100)

    def test_progress_is_a_bar_on_a_terminal_and_a_line_per_work_elsewhere(self):
        work = work_of(Contender("A", "ours", "x"))
        steps = plan.make_plan([work], False, 2)
        for terminal in (True, False):
            file = io.StringIO()
            file.isatty = lambda: terminal
            shown = Progress(steps, file)
            for number in range(2):
                shown.begin(work, work.contenders[0], number)
                shown.end(work)
            shown.finish(work)
            if terminal:
                self.assertRegex(file.getvalue(), r"░.* 50%.*left  w, round 2: A")
            else:
                self.assertEqual(len(file.getvalue().splitlines()), 1)


if __name__ == "__main__":
    unittest.main()
