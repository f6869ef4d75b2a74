"""Commands run as a user runs them, in processes of their own."""

import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

_ONE_AFTER_ANOTHER = """
import importlib, json, sys
from absl import flags
from absl.testing import flagsaver
from peernets_tf import command

name, function, cases = sys.argv[1:]
main = getattr(importlib.import_module(name), function)
for case in json.loads(cases):
    with flagsaver.flagsaver():
        try:
            command.guarded(main)(command.parse_flags([name, *case]))
            status = 0
        except SystemExit as stop:
            status = stop.code
    print(f"status {status}", file=sys.stderr)
"""


def run(*flags, module="peernets_tf.train", **environment):
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, flags)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=600,
    )


def error_line(process):
    """The one line in which a command says what went wrong."""
    assert "Traceback" not in process.stderr
    # TensorFlow greets on the same stream.
    lines = process.stderr.strip().splitlines()
    assert [line.startswith("error: ") for line in lines].count(True) == 1
    assert lines[-1].startswith("error: ")
    return lines[-1]


def check_errors(main, cases):
    """Asserts that each case's flags give one line and status 1.

    All in one process, because starting TensorFlow takes seconds.

    Args:
        main: str, the command's module and function, `package.module:function`.
        cases: list of (list of str, str), flags and a part of the line.
    """
    arguments = json.dumps([flags for flags, _ in cases])
    process = subprocess.run(
        [sys.executable, "-c", _ONE_AFTER_ANOTHER, *main.split(":"), arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert process.returncode == 0, process.stderr
    assert "Traceback" not in process.stderr
    lines = [
        line
        for line in process.stderr.splitlines()
        if line.startswith(("error: ", "status "))
    ]
    assert lines[1::2] == ["status 1"] * len(cases)
    for (flags, message), line in zip(cases, lines[::2], strict=True):
        assert message in line, flags
