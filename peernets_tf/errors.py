"""Errors that a user can mend. Every message says what to do.

A command prints a `UserError` as one line. Any other exception is a bug and
shows its traceback.
"""

import contextlib
from collections.abc import Iterator


class UserError(ValueError):
    """An argument, a flag, a file or a model that cannot be used."""


class DataError(UserError):
    """A data set that cannot be read."""


class BackendError(UserError, ImportError):
    """Keras without a backend, or with one that is not supported."""


class AttackError(UserError):
    """An attack or a model whose evaluation would be meaningless."""


class TrainingError(UserError):
    """A training that cannot start, go on or be saved."""


class IncompleteError(UserError):
    """An evaluation of which other shards have not done all batches yet."""


@contextlib.contextmanager
def naming(what: str) -> Iterator[None]:
    """Says in the errors of a block which argument they are about.

    Args:
        what: str, the argument as the caller writes it.
    """
    try:
        yield
    except UserError as error:
        raise type(error)(f"{what}: {error}") from error
