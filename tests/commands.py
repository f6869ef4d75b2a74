"""Runs commands: in this process where possible, in their own where needed."""

import contextlib
import dataclasses
import importlib
import io
import os
import pathlib
import subprocess
import sys

from absl import flags

from peernets_tf.cli import app

ROOT = pathlib.Path(__file__).resolve().parent.parent


@dataclasses.dataclass(frozen=True)
class Result:
    """What a command left: its exit status and what it printed."""

    status: int
    stdout: str
    stderr: str


_FLAGS_BY_MODULE = {}


@contextlib.contextmanager
def flags_of(module):
    """Gives absl the flags of one command, unparsed.

    Commands share names of flags, and absl takes each name once. So a command's
    flags leave absl's registry after its import and come back for each run. A
    test must not import a command in another way.
    """
    if module not in _FLAGS_BY_MODULE:
        before = set(flags.FLAGS)
        importlib.import_module(module)
        own = {name: flags.FLAGS[name] for name in set(flags.FLAGS) - before}
        _FLAGS_BY_MODULE[module] = own
        flags.FLAGS.remove_flag_values(own)
    own = _FLAGS_BY_MODULE[module]
    for name, flag in own.items():
        flag.unparse()
        flags.FLAGS[name] = flag
        flags.FLAGS.register_flag_by_module(module, flag)
    try:
        yield
    finally:
        flags.FLAGS.remove_flag_values(own)


def run_command(module, *arguments):
    """Runs a command in this process, its flags parsed afresh.

    Starting TensorFlow takes seconds, so most tests do not start a process.
    Exceptions that a command shows with a traceback are raised here.

    Args:
        module: str, such as `"peernets_tf.train"`.
        *arguments: the command line, converted to str.
    """
    argv = [module, *map(str, arguments)]
    stdout, stderr = io.StringIO(), io.StringIO()
    old_argv = sys.argv
    with (
        flags_of(module),
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(stderr),
    ):
        sys.argv = argv
        try:
            rest = app.parse_flags(argv)
            status = app.execute(sys.modules[module].COMMAND, rest)
        except SystemExit as stop:
            status = stop.code
        finally:
            sys.argv = old_argv
    return Result(status, stdout.getvalue(), stderr.getvalue())


def run_process(*arguments, module, timeout=600, **environment):
    """Runs a command in a process of its own."""
    process = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    return Result(process.returncode, process.stdout, process.stderr)


def run_python(code, *arguments, **environment):
    """Runs Python code in a process of its own; asserts that it succeeds."""
    process = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def error_line(result):
    """Returns the one line in which a command says what went wrong."""
    assert result.status == 1, result
    assert "Traceback" not in result.stderr
    lines = result.stderr.strip().splitlines()
    # TensorFlow may greet on the same stream.
    assert [line.startswith("error: ") for line in lines].count(True) == 1
    assert lines[-1].startswith("error: ")
    return lines[-1]


def check_errors(module, cases, usual=()):
    """Asserts that each case's flags give one line and status 1.

    Args:
        module: str, the command's module.
        cases: list of (list of str, str): flags and a part of the line.
        usual: flags that stand before those of each case.
    """
    for arguments, message in cases:
        line = error_line(run_command(module, *usual, *arguments))
        assert message in line, (arguments, line)
