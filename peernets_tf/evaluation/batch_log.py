"""Append-only JSON-lines log; an interrupted evaluation resumes from it."""

import dataclasses
import json
import os
from typing import Any, TypeVar

import msgspec

from peernets_tf import files
from peernets_tf.errors import UserError

Row = TypeVar("Row")


class BatchLog:
    """The rows of an evaluation, one for each batch, in a file.

    A row is a dataclass of JSON values. A kill may cut the last line of the
    file short; that line is dropped, and its batch is done again.

    Args:
        path: str, a file of JSON lines; made if it is missing.

    Raises:
        UserError: if the file is damaged.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._rows: dict[str, Any] = {}
        lines, is_whole = _read_lines(path)
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
                self._rows[row.pop("key")] = row
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise self._damaged(f"line {number}") from error
        if not is_whole:
            files.write_text("".join(lines), path)

    def get(self, key: str, row_type: type[Row]) -> Row | None:
        """Returns the row of a key, or None.

        Raises:
            UserError: if the row is not of that type.
        """
        row = self._rows.get(key)
        if row is None:
            return None
        try:
            return msgspec.convert(row, row_type)
        except msgspec.ValidationError as error:
            raise self._damaged(f"the row of {key}, {error}") from error

    def add(self, key: str, row: Any) -> None:
        """Stores a row; it is in the file when this returns."""
        self._rows[key] = dataclasses.asdict(row)
        line = json.dumps({"key": key, **self._rows[key]})
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(f"{line}\n")
            file.flush()
            os.fsync(file.fileno())

    def _damaged(self, where: str) -> UserError:
        return UserError(
            f"{self._path} is not the log of an evaluation: {where}. Remove "
            "it to attack all images again, or give another --output_dir"
        )


def _read_lines(path: str) -> tuple[list[str], bool]:
    """Returns the whole lines of a file, and whether they are all of it."""
    if not os.path.exists(path):
        return [], True
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = file.readlines()
    if lines and not lines[-1].endswith("\n"):
        return lines[:-1], False
    return lines, True
