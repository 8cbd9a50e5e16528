"""Builds and runs project/ against ouro:
`consume.py subproject|installed SOURCE BUILD --cpp-args=FLAGS -- COMPILER…`.

Everything happens in a temporary folder; neither the source tree nor the build is written to.
"""

import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile


def run(*command, **environment):
    print("$", *command, flush=True)
    subprocess.run(command, check=True, env=os.environ | environment)


def as_subproject(project, source, flags):
    """The folder that a wrap would unpack is a link to the source tree."""
    (project / "subprojects").mkdir()
    (project / "subprojects/ouro").symlink_to(source)
    # Compiled quickly: how fast it runs is not the question.
    run("meson", "setup", "--buildtype=plain", "--force-fallback-for=ouro", *flags,
        project / "build", project)


def as_installed(project, build, flags):
    """Installed into a folder of ours, and found there by pkg-config."""
    stage = project / "stage"
    run("meson", "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", stage)
    # A package manager would put the staged files where the prefix says; we move the prefix.
    descriptions = list(stage.rglob("*.pc"))
    testing = any(each.stem == "ouro_testing" for each in descriptions)
    for description in descriptions:
        text = description.read_text()
        print(text)
        assert "OURO_ALLOW" not in text, "what we allow our own sources is not said for a user's"
        description.write_text(re.sub("^prefix=", f"prefix={stage}", text, flags=re.M))
    run("meson", "setup", "--wrap-mode=nofallback", *flags,
        f"-Dtesting={'enabled' if testing else 'disabled'}", project / "build", project,
        PKG_CONFIG_PATH=str(descriptions[0].parent))


def main(how, source, build, cpp_args, dashes, *compiler):
    assert dashes == "--"
    # The compiler that built the library: the machine's default may be one that ouro refuses.
    os.environ["CXX"] = shlex.join(compiler)
    cpp_args = cpp_args.removeprefix("--cpp-args=")
    flags = [f"-Dcpp_args={cpp_args}"] if cpp_args else []
    with tempfile.TemporaryDirectory(prefix="ouro-consumer-") as folder:
        project = pathlib.Path(folder) / "project"
        shutil.copytree(pathlib.Path(source) / "tests/consumer/project", project)
        if how == "subproject":
            as_subproject(project, source, flags)
        else:
            as_installed(project, build, flags)
        run("ninja", "-C", project / "build")
        run("meson", "test", "-C", project / "build", "--no-rebuild", "--verbose")


main(*sys.argv[1:])
