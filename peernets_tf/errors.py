"""Errors that a user can mend. Every message says what to do.

A command prints a `UserError` as one line. Any other exception is a bug and
shows its traceback.
"""


class UserError(ValueError):
    """An argument, a flag, a file or a model that cannot be used."""


class DataError(UserError):
    """A data set that cannot be read."""


class BackendError(UserError, ImportError):
    """Keras without a backend, or with one that is not supported."""


class AttackError(UserError):
    """An attack, or a model, whose figures would mean nothing."""


class TrainingError(UserError):
    """A training that cannot start, go on or be saved."""


class IncompleteError(UserError):
    """An evaluation of which other shards have not done all batches yet."""
