"""`inprocess_test.py PROGRAM SOURCE_ROOT`: the in-process benchmarks run, count and refuse what is
wrong, and their twins on tokio have the same names and descriptions."""

import json
import pathlib
import re
import subprocess
import sys

PROGRAM, ROOT = sys.argv[1], pathlib.Path(sys.argv[2])
OURS = ROOT / "benches/inprocess"
TWINS = ROOT / "benches/rivals/tokio/src"


def run(*arguments):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=120)


def works():
    done = run("--list")
    assert done.returncode == 0, done.stderr
    names = done.stdout.split()
    assert len(names) == len(set(names)) and "spawn_join" in names, names
    return names


def check_figures(name):
    done = run(name, "--seconds", "0.02")
    assert done.returncode == 0, f"{name}: {done.returncode}, {done.stderr}"
    assert done.stdout.count("\n") == 1, f"{name}: not one line: {done.stdout}"
    figures = json.loads(done.stdout)
    assert list(figures) == ["work", "operations", "wall_ns", "cpu_ns"], figures
    assert figures["work"] == name, figures
    for key in ("operations", "wall_ns", "cpu_ns"):
        assert isinstance(figures[key], int) and figures[key] > 0, figures
    # The last batch begins before the time is up, and the warm-up is not in it.
    assert figures["wall_ns"] >= 0.02 * 0.8 * 1e9, figures


def check_refused(sentence, *arguments):
    done = run(*arguments)
    assert done.returncode == 2, f"{arguments}: exit code {done.returncode}"
    assert done.stdout == "", f"{arguments}: {done.stdout}"
    assert done.stderr == f"inprocess: {sentence}\n", f"{arguments}: {done.stderr}"


def descriptions(folder, suffix, head):
    """{work: what stands above it, up to the line that says what the operation is}"""
    found = {}
    for path in sorted(folder.glob("*" + suffix)):
        text = path.read_text(encoding="utf-8")
        for comment, name in re.findall(r"((?:^///.*\n)+)" + head, text, re.MULTILINE):
            words, operation, _ = comment.partition("/// Operation: ")
            if operation:
                found[name] = words + comment[len(words) :].splitlines()[0]
    return found


def check_twins(names):
    ours = descriptions(OURS, ".cpp", r"ouro::task<> (\w+)\(stopwatch& watch\)")
    theirs = descriptions(TWINS / "inprocess", ".rs", r"pub async fn (\w+)\(mut watch: Stopwatch\)")
    assert sorted(ours) == sorted(names), f"not described: {set(names) ^ set(ours)}"
    assert sorted(theirs) == sorted(names), f"without a twin: {set(names) ^ set(theirs)}"
    for name in names:
        assert ours[name] == theirs[name], f"{name} and its twin are described differently"
    table = (TWINS / "bin/tokio_inprocess.rs").read_text(encoding="utf-8")
    assert re.findall(r'^    \("(\w+)", \|watch\|', table, re.MULTILINE) == names


def main():
    names = works()
    for name in names:
        check_figures(name)
    check_twins(names)

    check_refused("which work? --list names them")
    check_refused("'spawn' is no work; --list names them", "spawn")
    check_refused("one work at a time, not 'yield_1', too", "mutex", "yield_1")
    check_refused("unknown option '--second'; known are --list and --seconds",
                  "mutex", "--second", "1")
    check_refused("--seconds needs a number", "mutex", "--seconds")
    for wrong in ("0", "-1", "nan", "3601", "1s", ""):
        check_refused(f"--seconds must be more than 0 and at most 3600, not '{wrong}'",
                      "mutex", "--seconds", wrong)


main()
