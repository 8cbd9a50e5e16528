"""What meson says of a build folder: its tests, and the files that a test needs."""

import json
import pathlib
import shlex

# 'net writer' is written net/writer: its file is tests/net/bytes/writer_test.cpp.
FOLDERS = ("kv redis ", "kv memcached ", "runtime io ", "runtime sim ", "runtime sync ",
           "runtime time ", "runtime ", "net ", "kv ", "examples ", "benches ")


class Test:
    def __init__(self, said, files_of):
        self.meson_name = said["name"]
        self.suites = [suite.split(":")[-1] for suite in said["suite"]]
        self.command = said["cmd"]
        self.files = [file for target in said["depends"] for file in files_of.get(target, [])]

    @property
    def name(self):
        for folder in FOLDERS:
            if self.meson_name.startswith(folder):
                return folder.replace(" ", "/") + self.meson_name.removeprefix(folder)
        return self.meson_name


def alike(name):
    """What people may call a test: net/writer, tests/net/bytes/writer_test.cpp, 'net writer'."""
    return name.strip("/").removeprefix("tests/").removesuffix("_test.cpp").replace("/", " ")


class Tree:
    def __init__(self, build):
        self.build = pathlib.Path(build)
        info = self.build / "meson-info"
        targets = json.loads((info / "intro-targets.json").read_text())
        files_of = {target["id"]: target["filename"] for target in targets}
        said = json.loads((info / "intro-tests.json").read_text())
        self.tests = [Test(each, files_of) for each in said]

    def named(self, names):
        """The tests of the given names; a folder or a suite stands for all in it. Every test for
        no name. Raises KeyError."""
        found = [] if names else self.tests
        for name in names:
            wanted = alike(name)
            matching = [test for test in self.tests
                        if test.meson_name == wanted or test.meson_name.startswith(wanted + " ")
                        or name in test.suites]
            if not matching:
                raise KeyError(name)
            found += [test for test in matching if test not in found]
        return found

    def needs(self, tests):
        """What has to be built for these tests, as ninja calls it."""
        root = self.build.resolve()
        files = {pathlib.Path(file) for test in tests for file in test.files}
        return sorted(str(file.relative_to(root)) for file in files if file.is_relative_to(root))

    def weights(self):
        """How long each object takes to compile, roughly: optimising is what costs."""
        weight = {}
        for entry in json.loads((self.build / "compile_commands.json").read_text()):
            levels = [word for word in shlex.split(entry["command"])
                      if word in ("-O0", "-O1", "-O2", "-O3")]
            weight[entry["output"]] = 2 if levels and levels[-1] != "-O0" else 1
        return weight
