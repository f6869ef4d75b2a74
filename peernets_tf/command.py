"""What the commands share: an error is one line and an exit status."""

import re
import shlex
import sys
from collections.abc import Callable
from typing import Any

from absl import app, flags, logging

from peernets_tf.attacks.guards import AttackError
from peernets_tf.checkpoint import TrainingError
from peernets_tf.data import DataError

_EXPECTED = (AttackError, DataError, TrainingError, ValueError, OSError)


def run(main: Callable[[list[str]], None]) -> None:
    """Runs a command's main function as `absl.app.run` does, no tracebacks.

    What a user can mend (a wrong flag, `AttackError`, `DataError`,
    `TrainingError`, `ValueError`, `OSError`) becomes one line on standard error
    and exit status 1; Ctrl-C becomes 130. `--verbosity=1` shows where it
    happened.
    """
    app.run(guarded(main), flags_parser=parse_flags)


def guarded(main: Callable[[list[str]], None]) -> Callable[[list[str]], None]:
    """Returns `main` with its expected errors turned into one line."""

    def guarded_main(argv: list[str]) -> None:
        try:
            main(argv)
        except KeyboardInterrupt:
            print(
                "\nInterrupted: the same command goes on from here.",
                file=sys.stderr,
            )
            sys.exit(130)
        except _EXPECTED as error:
            logging.debug("Where it happened:", exc_info=True)
            _exit_with(error)

    return guarded_main


def parse_flags(argv: list[str]) -> list[str]:
    """Parses flags and returns the rest; a wrong one is one line, status 1."""
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        _exit_with(f"{error} (--help lists the flags)")
        raise


def own_flags() -> dict[str, Any]:
    """Returns the values of the command's own flags, for its record."""
    own = flags.FLAGS.flags_by_module_dict()[sys.argv[0]]
    return {flag.name: flag.value for flag in own}


def line(module: str) -> str:
    """Returns the command line that runs a module again with its flags."""
    # absl takes the flags out of the argv that it hands on.
    return shlex.join(["python", "-m", module, *sys.argv[1:]])


def _exit_with(error: Exception | str) -> None:
    # Keras colours its messages and appends the arguments of the call.
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    text = text.split("Arguments received by")[0]
    if sys.stdout.isatty():
        # A progress bar may not have ended its line.
        print(flush=True)
    print(f"error: {' '.join(text.split())}", file=sys.stderr)
    sys.exit(1)
