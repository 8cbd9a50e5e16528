"""filter and pipe_through do with pipes and files what a shell's user expects of such programs."""

import os
import subprocess
import sys
import tempfile

EXAMPLES, REACTOR = sys.argv[1:3]
SECONDS = 30


def program(name):
    return [f"{EXAMPLES}/{name}", "--reactor", REACTOR]


def run(command, given=b"", **more):
    return subprocess.run(command, input=given, capture_output=True, timeout=SECONDS, **more)


def shell(line, **more):
    """Both programs are there as $FILTER and $THROUGH."""
    known = {"FILTER": " ".join(program("filter")), "THROUGH": " ".join(program("pipe_through"))}
    return subprocess.run(["bash", "-c", line], capture_output=True, timeout=SECONDS,
                          stdin=subprocess.DEVNULL, env=os.environ | known, **more)


def numbered(text):
    lines = text.split(b"\n")
    last = lines.pop()
    made = b"".join(b"%6d\t%s\n" % (i, line) for i, line in enumerate(lines, 1))
    return made + (b"%6d\t%s" % (len(lines) + 1, last) if last else b"")


def filters(text):
    """From a pipe to a pipe, from a file to a file, to a file's end, and byte by byte."""
    expected = numbered(text)
    ended = run(program("filter"), text)
    assert ended.returncode == 0, ended
    assert ended.stdout == expected, (ended.stdout[:200], expected[:200])
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as target:
        source.write(text)
        source.seek(0)
        target.write(b"before\n")
        target.flush()
        ended = subprocess.run(program("filter"), stdin=source, stdout=target, timeout=SECONDS)
        target.seek(0)
        assert ended.returncode == 0 and target.read() == b"before\n" + expected


def test_filter():
    for text in (b"", b"\n", b"one", b"one\n", b"one\ntwo", b"\n\n", b"a\r\nb\r\n",
                 b"x" * 200_000 + b"\nend", b"".join(b"line %d\n" % i for i in range(80_000))):
        filters(text)

    first = shell("seq 1000000 | $FILTER | head -1; echo ${PIPESTATUS[1]}")
    assert first.stdout == b"     1\t1\n0\n", first
    assert first.stderr == b"", first
    slow = "(sleep 0.2; echo one; sleep 0.2; echo two)"
    gone = shell(slow + " | $FILTER | true; echo ${PIPESTATUS[1]}")
    assert gone.stdout == b"0\n" and gone.stderr == b"", gone

    long = run(program("filter"), b"x" * 1_100_000)
    assert long.returncode == 1 and long.stderr.startswith(b"filter: "), long
    nothing = shell("$FILTER <&-")  # its number may be something else's by then
    assert nothing.returncode == 1 and nothing.stderr, nothing
    folder = shell("$FILTER </")
    assert folder.returncode == 1 and b"directory" in folder.stderr, folder
    full = shell("echo one | $FILTER >/dev/full")
    assert full.returncode == 1 and b"No space left" in full.stderr, full


def test_line_by_line():
    """A line is passed on when it comes, not at the end."""
    with subprocess.Popen(program("filter"), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as it:
        for i in range(1, 4):
            for byte in b"line\n":
                it.stdin.write(bytes([byte]))
                it.stdin.flush()
            assert it.stdout.readline() == b"%6d\tline\n" % i
        it.stdin.close()
        assert it.stdout.read() == b"" and it.wait(timeout=SECONDS) == 0


def test_terminal():
    """A terminal is one descriptor for everything; its flags are as they were, also meanwhile."""
    import fcntl
    import pty
    user, there = pty.openpty()
    with subprocess.Popen(program("filter"), stdin=there, stdout=there, stderr=there) as it:
        os.write(user, b"typed\n")
        seen = b""
        while b"1\ttyped\r\n" not in seen:
            seen += os.read(user, 1000)
        assert not fcntl.fcntl(there, fcntl.F_GETFL) & os.O_NONBLOCK
        os.write(user, b"\x04")  # the end
        assert it.wait(timeout=SECONDS) == 0
    assert not fcntl.fcntl(there, fcntl.F_GETFL) & os.O_NONBLOCK
    os.close(user)
    os.close(there)


def test_shared_flags():
    """Who shares a pipe with the program finds it blocking."""
    import fcntl
    reads, writes = os.pipe()
    with subprocess.Popen(program("filter"), stdin=reads, stdout=subprocess.PIPE) as it:
        os.write(writes, b"one\n")
        assert it.stdout.readline() == b"     1\tone\n"
        assert not fcntl.fcntl(reads, fcntl.F_GETFL) & os.O_NONBLOCK
        os.close(writes)
        assert it.wait(timeout=SECONDS) == 0
    os.close(reads)


def test_pipe_through():
    through = program("pipe_through")
    text = b"".join(b"%07d\n" % (i * 7919 % 150_000) for i in range(150_000))  # over 1 MB
    for command, given, expected in (
            (["sort"], text, b"".join(sorted(text.splitlines(keepends=True)))),
            (["tr", "0-9", "a-j"], text, text.translate(bytes.maketrans(b"0123456789",
                                                                        b"abcdefghij"))),
            (["cat"], b"", b""), (["cat"], b"no end", b"no end")):
        ended = run(through + command, given)
        assert ended.returncode == 0 and ended.stdout == expected, (command, ended.stderr)
        assert ended.stderr == b"%s ended with 0\n" % command[0].encode(), ended.stderr

    early = run(through + ["sh", "-c", "exit 3"], text)
    assert early.returncode == 3 and early.stderr == b"sh ended with 3\n", early
    some = run(through + ["head", "-n", "1"], text)
    assert some.returncode == 0 and some.stdout == text[:8], some.returncode
    killed = run(through + ["sh", "-c", "kill -9 $$"], text)
    assert killed.returncode == 137 and killed.stderr == b"sh was ended by signal 9\n", killed
    never = run(through + ["sh", "-c", "exec <&-; echo heard; exit 4"], text)
    assert never.returncode == 4 and never.stdout == b"heard\n", never
    sleeps = run(through + ["sleep", "0.3"], text)  # more than its pipe holds, and it never reads
    assert sleeps.returncode == 0, sleeps
    deaf = run(through + ["sh", "-c", "exec >&-; wc -c >&2; exit 5"], text)
    assert deaf.returncode == 5 and b"%d\n" % len(text) in deaf.stderr, deaf
    missing = run(through + ["/no/such/program"], b"")
    assert missing.returncode == 127 and b"No such file" in missing.stderr, missing

    with subprocess.Popen(through + ["true"], stdin=subprocess.PIPE) as idle:
        assert idle.wait(timeout=SECONDS) == 0  # although its input says nothing
    downstream = shell("yes | $THROUGH cat | head -1; echo ${PIPESTATUS[1]}")
    assert downstream.stdout == b"y\n141\n", downstream  # cat itself was ended by SIGPIPE


test_filter()
test_line_by_line()
test_terminal()
test_shared_flags()
test_pipe_through()
