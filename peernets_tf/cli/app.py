"""Runs a command: parses its flags, records its provenance and calls it.

The exit status is 0 on success and 130 after Ctrl-C. For an error that the user
can correct it is 1, with one line on standard error. Any other exception is a
bug and shows its traceback.
"""

import dataclasses
import re
import shlex
import sys
from collections.abc import Callable
from typing import Any

from absl import app, flags, logging

from peernets_tf import lazy, records
from peernets_tf.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """A command of this project.

    Attributes:
        module: str, the module that `python -m` runs.
        parse: function from the positional arguments to the command's frozen
            configuration. Only this function reads the flags. It raises a
            `ValueError` if a flag is wrong.
        run: function of the configuration and the `records.Provenance`.
    """

    module: str
    parse: Callable[[list[str]], Any]
    run: Callable[[Any, records.Provenance], None]


def main(command: Command) -> None:
    """Runs a command with the flags of the command line."""
    app.run(
        lambda argv: sys.exit(execute(command, argv)),
        flags_parser=parse_flags,
    )


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
    for package in ("peernets_tf", command.module.split(".")[0]):
        if package in sys.modules:
            lazy.import_exports(package)
    provenance = records.capture(
        command=_command_line(command.module),
        flags=_own_flags(command),
        seed=_own_flags(command).get("seed") or 0,
    )
    try:
        command.run(config, provenance)
    except KeyboardInterrupt:
        print(
            "\nInterrupted: give the same command again to resume.",
            file=sys.stderr,
        )
        return 130
    except (UserError, OSError) as error:
        return _report(error)
    return 0


def refuse_arguments(arguments: list[str]) -> None:
    """Raises a `UserError` if a command got arguments that are not flags."""
    if arguments:
        raise UserError(f"not a flag: {' '.join(arguments)}")


def parse_flags(argv: list[str]) -> list[str]:
    """Parses the flags and returns the other arguments.

    A wrong flag prints one line and exits with status 1.
    """
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        sys.exit(_report(f"{error} (--help lists the flags)"))


def _own_flags(command: Command) -> dict[str, Any]:
    """Returns the values of the flags that the command's module shows."""
    module = command.parse.__module__
    if module == "__main__":
        # absl calls the main module by the name of the program.
        module = sys.argv[0]
    own = flags.FLAGS.get_key_flags_for_module(module)
    return {flag.name: flag.value for flag in own}


def _command_line(module: str) -> str:
    """Returns the command line that runs the module again with its flags."""
    # absl removes the flags from the arguments that it passes to `main`.
    return shlex.join(["python", "-m", module, *sys.argv[1:]])


def _report(error: Exception | str) -> int:
    """Prints an error on one line and returns the exit status."""
    logging.debug("Where it happened:", exc_info=isinstance(error, Exception))
    # Keras colours its messages and appends the arguments of the call.
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    text = text.split("Arguments received by")[0]
    if sys.stdout.isatty():
        # A progress bar may have left its line unfinished.
        print(flush=True)
    print(f"error: {' '.join(text.split())}", file=sys.stderr)
    return 1
