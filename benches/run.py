#!/usr/bin/env python3
"""What `./dev bench` runs: ouro beside the hand-written floors and the rivals.

Without a NAME every work is measured, or with --quick what the targets need. A NAME is a work, a
group of works or the beginning of names: echo, echo_64, pubsub_5x25, inprocess. --list shows them.
"""

import argparse
import importlib.util
import pathlib
import signal
import sys

from harness import catalogue, page, progress, table, targets
from harness.bench import Bench
from harness.failure import Failure
from harness.machine import facts
from harness.measure import Repeats
from harness.plan import make_plan, repeat_seconds, total_seconds, warmup_seconds
from harness.results import Results, write
from harness.rounds import run_all
from harness.sheet import sheet_after

BENCHES = pathlib.Path(__file__).resolve().parent
ROUNDS = 5


def parse_arguments(words):
    parser = argparse.ArgumentParser(
        prog="./dev bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="short runs, in eight minutes")
    parser.add_argument("--json", metavar="FILE", help="one line per result, for benches/compare")
    parser.add_argument("--html", metavar="FILE", help="one page with charts")
    parser.add_argument("--list", action="store_true", help="the works, and measure nothing")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help="default: 5")
    parser.add_argument("--build", default="build-bench", help="where the programs are")
    options = parser.parse_args(words)
    options.build = pathlib.Path(options.build).resolve()  # servers run in folders of their own
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    for path in filter(None, (options.json, options.html)):
        try:
            open(path, "a", encoding="utf-8").close()  # to find out now and not after the run
        except OSError as error:
            parser.error(f"{path} cannot be written: {error.strerror}")
    try:
        options.works = catalogue.select(options.names, options.quick)
    except Failure as failure:
        parser.error(str(failure))
    return options


def say(words):
    print(words, file=sys.stderr, flush=True)


def list_works(works):
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # for `| head`
    rows = [["work", "group", "", "what is measured"]]
    for each in works:
        rows.append([each.name, each.group, "quick" if each.quick else "", each.title])
    for line in table.lines_of(rows, left=range(4)):
        print(line)


def build_rivals(build, works, say):
    """Builds the rivals that the works need; returns what benches/rivals/build.py says of each."""
    wanted = {each.rival for work in works for each in work.contenders if each.rival}
    if not wanted:
        return []
    spec = importlib.util.spec_from_file_location("build_rivals", BENCHES / "rivals/build.py")
    builder = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(builder)
    return builder.build(build / "rivals", sorted(wanted), say)


def command_line(options):
    """What was asked for, without where things are."""
    words = ["./dev bench", *options.names]
    words += ["--quick"] * options.quick
    words += [f"--rounds {options.rounds}"] * (options.rounds != ROUNDS)
    return " ".join(words)


def measure(options):
    """Builds, measures and reports; returns the exit code."""
    plan = make_plan(options.works, options.quick, options.rounds)
    rivals = build_rivals(options.build, options.works, say)
    bench = Bench(options.build, warmup_seconds(options.quick))
    bench.not_built = {each["rival"]: each["why"] for each in rivals if not each["built"]}
    machine = facts(bench.cores)
    machine |= {each["rival"]: each["version"] for each in rivals if each["built"]}
    machine["command"] = command_line(options)
    results = Results(machine)
    say(f"{len(plan)} works, {sum(step.runs for step in plan)} runs, "
        f"about {progress.clock(total_seconds(plan))} minutes of measuring")
    table.print_machine(machine, sys.stdout)
    shown = progress.Progress(plan, sys.stderr)
    repeats = Repeats(repeat_seconds(plan, options.quick))
    try:
        for step in run_all(plan, bench, results, shown, repeats):
            shown.clear()
            sheet = sheet_after(step, plan, results)
            if sheet:
                table.print_sheet(sheet, sys.stdout)
    finally:  # what was measured before an interruption is not lost
        shown.clear()
        verdicts = targets.judge(results)
        table.print_verdicts(verdicts, sys.stdout)
        save(options, plan, results, verdicts)
    wrong = [each for each in results if each.wrong]
    for each in wrong:
        say(f"bench: {each.work}, {each.contender}: {each.why}")
    return 1 if wrong else 0


def save(options, plan, results, verdicts):
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            write(results, file)
    if options.html:
        pathlib.Path(options.html).write_text(
            page.render(plan, results, verdicts), encoding="utf-8"
        )


def main(words=None):
    options = parse_arguments(words)
    if options.list:
        list_works(options.works)
        return 0
    return measure(options)


if __name__ == "__main__":
    # So that the server at work ends with us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except Failure as failure:
        print(f"bench: {failure}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
