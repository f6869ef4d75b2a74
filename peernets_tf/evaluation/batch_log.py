"""Append-only JSON-lines log; an interrupted evaluation resumes from it."""

import dataclasses
import json
import os
from collections.abc import Callable
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
        run: str, the id of the evaluation, see `records.run_id`, which is
            written to each row; rows of another run are refused.
        check: function of a row's key and fields that raises a `ValueError` if
            the row cannot be of this evaluation.

    Raises:
        UserError: if the file is damaged, or holds rows of another run.
    """

    def __init__(
        self,
        path: str,
        run: str = "",
        check: Callable[[str, dict[str, Any]], None] | None = None,
    ) -> None:
        self._path = path
        self._run = run
        self._rows: dict[str, Any] = {}
        lines, is_whole = _read_lines(path)
        for number, line in enumerate(lines, start=1):
            try:
                row = files.parse_json(line)
                key = row.pop("key")
                # Rows of earlier versions do not name their run.
                is_ours = row.pop("run", run) == run
                if is_ours and check is not None:
                    check(key, row)
                self._rows[key] = row
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise self.damaged(f"line {number}, {error!r}") from error
            if not is_ours:
                raise self.damaged(f"line {number} is of another run")
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
            raise self.damaged(f"the row of {key}, {error}") from error

    def add(self, key: str, row: Any) -> None:
        """Stores a row; it is in the file when this returns."""
        self._rows[key] = dataclasses.asdict(row)
        line = json.dumps(
            {"key": key, "run": self._run, **self._rows[key]}, allow_nan=False
        )
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(f"{line}\n")
            file.flush()
            os.fsync(file.fileno())

    def damaged(self, where: str) -> UserError:
        """Returns the error for a row that cannot be of this evaluation."""
        return UserError(
            f"{self._path} is not the log of an evaluation: {where}. Remove "
            "it to attack all images again, or give another --output_dir"
        )


def _read_lines(path: str) -> tuple[list[str], bool]:
    """Returns the whole lines of a file, and whether they are all of it."""
    if not os.path.exists(path):
        return [], True
    with open(path, encoding="utf-8", errors="replace", newline="\n") as file:
        lines = file.readlines()
    if lines and not lines[-1].endswith("\n"):
        return lines[:-1], False
    return lines, True
