"""Runs a command: parses its flags, records its provenance and calls it.

The exit status is 0 on success, 130 after Ctrl-C, and 141 if the reader of
standard output, such as `head`, has seen enough. For an error that the user can
correct it is 1, with one line on standard error. Any other exception is a bug
and shows its traceback.
"""

import dataclasses
import io
import math
import os
import re
import shlex
import sys
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

from absl import app, flags, logging

from peernets_tf import interrupts, lazy, quiet, records
from peernets_tf.cli import flag_files, help_text
from peernets_tf.errors import UserError

# TensorFlow counts images and steps in 32 bits.
_INT_LIMIT = 2**31
# The status that a shell gives a command ended by SIGPIPE.
_PIPE_CLOSED = 141


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """A command of this project.

    Attributes:
        module: str, the module that `python -m` runs.
        parse: function from the positional arguments to the command's frozen
            configuration. Only this function reads the flags. It raises a
            `ValueError` if a flag is wrong.
        run: function of the configuration and the `records.Provenance`, which
            is None if the command needs no Keras.
        needs_keras: function of the configuration that returns whether Keras
            must be imported before `run`.
        details: function that returns the last part of `--help`, or None. It
            may read the flags.
        start: function of the configuration, called when Keras is imported,
            before it looks for devices.
    """

    module: str
    parse: Callable[[list[str]], Any]
    run: Callable[[Any, Any], None]
    needs_keras: Callable[[Any], bool] = lambda config: True
    details: Callable[[], str] | None = None
    start: Callable[[Any], None] = lambda config: None


def main(command: Command) -> None:
    """Runs a command with the flags of the command line."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Tables hold a plus-minus sign, which some terminals do not know.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        interrupts.raise_again()
        try:
            app.run(
                lambda argv: _exit(execute(command, argv)),
                flags_parser=lambda argv: parse_flags(argv, command),
            )
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        _exit(_interrupted())
    except BrokenPipeError:
        # Python flushes once more at its end, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _exit(_PIPE_CLOSED)
    except Exception:
        traceback.print_exc()
        _exit(1)


def _exit(status: int) -> NoReturn:
    """Ends the process: normally after success, at once after a failure.

    An interrupted training leaves an iterator of TensorFlow behind, whose
    thread may be waiting for Python. While Python ends, both would wait for
    each other for ever.
    """
    if status:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def execute(command: Command, argv: list[str]) -> int:
    """Runs a command after its flags are parsed and returns the exit status.

    Args:
        command: the `Command`.
        argv: list of str, the name of the program and the positional arguments.
    """
    try:
        config = command.parse(argv[1:])
    except (ValueError, OSError) as error:
        return _report(error)
    try:
        needs_keras = command.needs_keras(config)
        command.run(
            config, _start_keras(command, config) if needs_keras else None
        )
    except KeyboardInterrupt:
        return _interrupted()
    except BrokenPipeError:
        raise
    except (UserError, OSError) as error:
        return _report(error)
    return 0


def _start_keras(command: Command, config: Any) -> records.Provenance:
    """Imports Keras and all layers; returns the provenance of this start."""
    with quiet.starting_tensorflow():
        lazy.import_layers()
        if not flags.FLAGS["verbosity"].present:
            # TensorFlow Datasets and its downloads report through this log.
            logging.set_verbosity(logging.ERROR)
    command.start(config)
    with quiet.starting_tensorflow():
        return records.capture(
            command=_command_line(command.module),
            flags=_own_flags(command),
            seed=_own_flags(command).get("seed") or 0,
        )


def _interrupted() -> int:
    """Says how to resume and returns the exit status after Ctrl-C."""
    print(f"\n{interrupts.MESSAGE}", file=sys.stderr)
    return interrupts.STATUS


def refuse_arguments(arguments: list[str]) -> None:
    """Raises a `UserError` if a command got arguments that are not flags."""
    if arguments:
        shown = " ".join(a if a.isprintable() else repr(a) for a in arguments)
        raise UserError(
            f"not a flag: {shown}; remove it (--help lists the flags)"
        )


def parse_flags(argv: list[str], command: Command | None = None) -> list[str]:
    """Parses the flags and returns the other arguments.

    A wrong flag prints one line and exits with status 1. `--help` prints the
    help of the command and exits with status 0.

    Args:
        argv: list of str, the name of the program and its arguments.
        command: the `Command`, or None without a help.
    """
    try:
        argv = flag_files.resolve(argv)
        if command is not None and help_text.is_asked(argv):
            print(_help(command, help_text.without_request(argv)))
            sys.exit(0)
        rest = flags.FLAGS(argv)
        _check_numbers()
    except (flags.Error, UserError, UnicodeDecodeError) as error:
        sys.exit(_report(f"{error} (--help lists the flags)"))
    return rest


def _check_numbers() -> None:
    """Raises a `UserError` for a number that no command can use."""
    for name in flags.FLAGS:
        value = flags.FLAGS[name].value
        if isinstance(value, int) and abs(value) >= _INT_LIMIT:
            raise UserError(
                f"--{name} must be below {_INT_LIMIT}, 2 to the power of 31. "
                f"Received: {value}"
            )
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"--{name} must be finite. Received: {value}")


def _help(command: Command, argv: list[str]) -> str:
    """Returns the help of a command, given its other arguments."""
    try:
        flags.FLAGS(argv)
    except flags.Error:
        # What is missing or wrong does not matter to the help.
        flags.FLAGS.mark_as_parsed()
    return help_text.text(
        sys.modules[command.parse.__module__].__doc__ or "",
        _key_flags(command),
        command.details() if command.details else "",
    )


def _own_flags(command: Command) -> dict[str, Any]:
    """Returns the values of the flags that the command's module shows."""
    return {flag.name: flag.value for flag in _key_flags(command)}


def _key_flags(command: Command) -> list[flags.Flag[Any]]:
    """Returns the flags that the command's module shows."""
    module = command.parse.__module__
    if module == "__main__":
        # absl calls the main module by the name of the program.
        module = sys.argv[0]
    return flags.FLAGS.get_key_flags_for_module(module)


def _command_line(module: str) -> str:
    """Returns the command line that runs the module again with its flags."""
    # absl removes the flags from the arguments that it passes to `main`.
    return shlex.join(["python", "-m", module, *sys.argv[1:]])


def _report(error: Exception | str) -> int:
    """Prints an error on one line and returns the exit status."""
    logging.debug("Where it happened:", exc_info=isinstance(error, Exception))
    text = str(error)
    if isinstance(error, OSError) and error.filename is not None:
        reason = error.strerror or type(error).__name__
        text = f"cannot use {error.filename} ({reason}): give another path"
    # Keras colours its messages, begins them with the layer that was called,
    # and appends the arguments of the call.
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    text = re.sub(r"Exception encountered when calling \S+\(\)\.", "", text)
    text = text.split("Arguments received by")[0]
    if sys.stdout.isatty():
        # A progress bar may have left its line unfinished.
        print(flush=True)
    # A file may name a field, or a person a path, with control characters.
    text = records.visible(" ".join(text.split()))
    print(f"error: {text}", file=sys.stderr)
    return 1
