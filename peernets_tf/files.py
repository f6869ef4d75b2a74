"""Reads and writes files whole or not at all, with errors that name them."""

import contextlib
import hashlib
import json
import math
import os
import re
import secrets
import zipfile
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peernets_tf import array_headers
from peernets_tf.errors import UserError

# The largest JSON file that is read, and how deep its values may be nested.
_MAX_JSON_BYTES = 64 * 2**20
_MAX_JSON_DEPTH = 64
_LARGEST_INT = 2**63 - 1
_LEFTOVER = re.compile(r"\.writing\.[0-9a-f]{16}\..+")


@contextlib.contextmanager
def atomic_file(path: str) -> Iterator[str]:
    """Yields a temporary path whose file replaces `path` on success.

    On failure the temporary file is removed and `path` stays as it was. The
    temporary name is new for each call, so two processes never write the same
    file, and no symbolic link is followed. It keeps the suffix, because Keras
    chooses a format by it.
    """
    head, tail = os.path.split(path)
    temporary = os.path.join(head, f".writing.{secrets.token_hex(8)}.{tail}")
    # O_EXCL refuses a name that exists, a symbolic link included.
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.remove(temporary)
        raise


def remove_leftovers(folder: str) -> None:
    """Removes the temporary files that a kill left in a folder.

    Only for a folder that no other process writes to.
    """
    for name in os.listdir(folder):
        if _LEFTOVER.fullmatch(name):
            os.remove(os.path.join(folder, name))


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


def read_json(path: str, *, may_repeat: Collection[str] = ()) -> Any:
    """Reads a strict JSON file.

    Args:
        path: str.
        may_repeat: keys that an object may hold more than once; the last value
            counts.

    Raises:
        UserError: if the file cannot be read, is not JSON, repeats a key, is
            nested too deeply, or holds a number that is not finite or does not
            fit into 64 bits.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(_MAX_JSON_BYTES + 1)
        if len(content) > _MAX_JSON_BYTES:
            raise ValueError(f"it is larger than {_MAX_JSON_BYTES >> 20} MiB")
        return parse_json(content, may_repeat=may_repeat)
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot read {path} as JSON ({error}): give a valid file"
        ) from error


def parse_json(
    content: str | bytes,
    *,
    may_repeat: Collection[str] = (),
    max_depth: int = _MAX_JSON_DEPTH,
) -> Any:
    """Returns the value of strict JSON; see `read_json`.

    Raises:
        ValueError: see `read_json`.
    """

    def to_dict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) < len(pairs):
            keys = [key for key, _ in pairs if key not in may_repeat]
            for key in values:
                if keys.count(key) > 1:
                    raise ValueError(f"the key {key!r} is given twice")
        return values

    try:
        value = json.loads(
            content,
            object_pairs_hook=to_dict,
            parse_constant=_finite_float,
            parse_float=_finite_float,
            parse_int=_int64,
        )
    except RecursionError as error:
        raise ValueError("its values are nested too deeply") from error
    _check_depth(value, max_depth)
    return value


def _finite_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"numbers must be finite. Received: {text}")
    return number


def _int64(text: str) -> int:
    if len(text) > 20 or abs(int(text)) > _LARGEST_INT:
        raise ValueError(f"integers must fit into 64 bits. Received: {text}")
    return int(text)


def _check_depth(value: Any, max_depth: int) -> None:
    """Raises a `ValueError` if lists and dicts are nested too deeply."""
    level = [value]
    for _ in range(max_depth):
        level = [
            item
            for parent in level
            if isinstance(parent, dict | list)
            for item in (
                parent.values() if isinstance(parent, dict) else parent
            )
        ]
    if level:
        raise ValueError(f"its values must be nested at most {max_depth} deep")


def read_array(path: str) -> NDArray[Any]:
    """Reads an .npy file; arrays of Python objects are never loaded.

    Raises:
        UserError: if the file cannot be read or is not a valid .npy file.
    """
    try:
        with open(path, "rb") as file:
            if file.read(4) == b"PK\x03\x04":
                raise ValueError("it is an .npz file; give an .npy array")
            file.seek(0)
            array_headers.check_npy(file, os.path.getsize(path))
            file.seek(0)
            return np.lib.format.read_array(file, allow_pickle=False)
    except Exception as error:
        # A damaged file fails in as many ways as there are parsers in it.
        raise UserError(
            f"cannot read {path} as .npy ({error}): give a valid file"
        ) from error


def read_arrays(
    path: str, names: Collection[str] | None = None
) -> dict[str, NDArray[Any]]:
    """Reads arrays of an .npz file; those of Python objects are never loaded.

    Args:
        path: str.
        names: the arrays that are wanted; None for all. One that the file
            lacks is left out.

    Returns:
        The arrays by name.

    Raises:
        UserError: if the file cannot be read, is damaged, or is far larger
            unpacked than packed, see `array_headers`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            array_headers.check_unpacked_size(path, archive)
            arrays = {}
            for info in archive.infolist():
                name = info.filename.removesuffix(".npy")
                if names is None or name in names:
                    with archive.open(info) as file:
                        array_headers.check_npy(file, info.file_size)
                    with archive.open(info) as file:
                        arrays[name] = np.lib.format.read_array(
                            file, allow_pickle=False
                        )
            return arrays
    except Exception as error:
        # A damaged file fails in as many ways as there are parsers in it.
        raise UserError(
            f"cannot read {path} as .npz ({type(error).__name__}: {error}): "
            "give a valid file"
        ) from error


def sha256(path: str) -> str:
    """Returns the SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_exists(path: str, name: str) -> None:
    """Raises a `UserError` if there is no file of a path.

    Called before Keras is imported; the file is read later.

    Args:
        path: str.
        name: str, what the error calls the path, such as `"--attack"`.
    """
    if not os.path.exists(path):
        raise UserError(
            f"{name} must be the path of a file. Received: {path!r}, which "
            "does not exist"
        )


def check_output(path: str, suffix: str, name: str) -> None:
    """Raises a `UserError` unless a file can be written to a path.

    Called before long work, so that its result is not lost at the end.

    Args:
        path: str.
        suffix: str, how the path must end, such as `".npy"`.
        name: str, what the error calls the path, such as `"--output"`.
    """
    if not path.endswith(suffix):
        raise UserError(f"{name} must end in {suffix}. Received: {path}")
    check_parent_exists(path)


def check_parent_exists(path: str) -> None:
    """Raises a `UserError` if the folder that a file goes to is missing.

    Called before long work, so that its result is not lost at the end.
    """
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise UserError(f"the folder {folder} of {path} is missing: make it")
    if os.path.isdir(path):
        raise UserError(f"{path} is a folder: give the name of a file")
