"""Ctrl-C before a command catches it: one line instead of a traceback."""

import os
import signal

MESSAGE = (
    "Interrupted: give the same command again to resume a training or an "
    "evaluation; other commands start anew."
)
STATUS = 130


def end_quietly() -> None:
    """Lets Ctrl-C end the process with one line, until `raise_again`.

    A process that was started to ignore Ctrl-C goes on ignoring it.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def raise_again() -> None:
    """Lets Ctrl-C raise a `KeyboardInterrupt` again."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(*_: object) -> None:
    # An exception could reach code that prints or swallows it, such as the
    # callbacks of the import system. Nothing has been written yet.
    os.write(2, f"\n{MESSAGE}\n".encode())
    os._exit(STATUS)
