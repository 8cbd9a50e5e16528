"""What must not compile: `refused.py SOURCE INCLUDE -- COMPILER…`.

SOURCE says on its second line, behind "says: ", what the compiler's message contains. With RIGHT
defined it has the remedy in place of the mistake, and compiles: so nothing else is refused.
"""

import pathlib
import subprocess
import sys


def compile(source, include, compiler, *defines):
    command = [*compiler, "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Werror",
               "-I", include, *defines, source]
    run = subprocess.run(command, text=True, capture_output=True)
    return run.returncode, run.stdout + run.stderr


def main(source, include, dashes, *compiler):
    assert dashes == "--"
    compiler = [word for word in compiler if pathlib.Path(word).name not in ("ccache", "sccache")]
    says = pathlib.Path(source).read_text().splitlines()[1]
    assert says.startswith("// says: "), f"{source}:2: says nothing"
    wanted = says.removeprefix("// says: ").split(" | ")

    code, words = compile(source, include, compiler)
    print(words)
    if code == 0:
        sys.exit(f"{source} compiles")
    if not any(each in words for each in wanted):
        sys.exit(f"{source}: the message does not say «{says}»")
    code, words = compile(source, include, compiler, "-DRIGHT")
    if code != 0:
        sys.exit(f"{source} does not compile with the remedy:\n{words}")


main(*sys.argv[1:])
