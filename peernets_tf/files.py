"""Reads and writes files whole or not at all, with errors that name them."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peernets_tf.errors import UserError


@contextlib.contextmanager
def atomic_file(path: str) -> Iterator[str]:
    """Yields a temporary path whose file replaces `path` on success.

    On failure the temporary file is removed and `path` stays as it was. The
    temporary name keeps the suffix, because Keras chooses a format by it.
    """
    head, tail = os.path.split(path)
    temporary = os.path.join(head, f".writing.{tail}")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.remove(temporary)
        raise


def write_text(text: str, path: str) -> None:
    """Writes a UTF-8 text file, whole or not at all."""
    with (
        atomic_file(path) as temporary,
        open(temporary, "w", encoding="utf-8") as file,
    ):
        file.write(text)


def write_json(value: Any, path: str) -> None:
    """Writes strict JSON (no NaN, no infinity), whole or not at all.

    Raises:
        ValueError: if a number is not finite.
    """
    write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", path)


def read_json(path: str) -> Any:
    """Reads a JSON file.

    Raises:
        UserError: if the file cannot be read or is not JSON.
    """
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"cannot read {path} as JSON: {error}") from error


def read_array(path: str) -> NDArray[Any]:
    """Reads an .npy file.

    Raises:
        UserError: if the file cannot be read or is not a valid .npy file.
    """
    try:
        array = np.load(path)
    except (EOFError, OSError, ValueError) as error:
        raise UserError(f"cannot read {path} as .npy: {error}") from error
    if not isinstance(array, np.ndarray):
        raise UserError(f"{path} is an .npz file: give an .npy array")
    return array


def sha256(path: str) -> str:
    """Returns the SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_parent_exists(path: str) -> None:
    """Raises a `UserError` if the folder that a file goes to is missing.

    Called before long work, so that its result is not lost at the end.
    """
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise UserError(f"the folder {folder} of {path} is missing: make it")
