"""What the commands share: an error is one line and an exit status."""

import functools
import sys
from collections.abc import Callable

from absl import logging

from peernets_tf.checkpoint import TrainingError
from peernets_tf.data import DataError

_EXPECTED = (DataError, TrainingError, ValueError, OSError)


def guarded(main: Callable[[list[str]], None]) -> Callable[[list[str]], None]:
    """Returns a main function for `absl.app.run` that prints no tracebacks.

    What a user can mend (`DataError`, `TrainingError`, `ValueError`, `OSError`)
    becomes one line on standard error and exit status 1; Ctrl-C becomes 130.
    `--verbosity=1` shows where it happened.
    """

    @functools.wraps(main)
    def run(argv: list[str]) -> None:
        try:
            main(argv)
        except KeyboardInterrupt:
            print(
                "\nInterrupted: the same command resumes a training.",
                file=sys.stderr,
            )
            sys.exit(130)
        except _EXPECTED as error:
            logging.debug("Where it happened:", exc_info=True)
            print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
            sys.exit(1)

    return run
