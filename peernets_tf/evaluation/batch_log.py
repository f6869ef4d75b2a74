"""Append-only JSON-lines log; an interrupted evaluation resumes from it."""

import dataclasses
import glob
import json
import os
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import msgspec

from peernets_tf import files
from peernets_tf.errors import UserError

Row = TypeVar("Row")


class _Stored(NamedTuple):
    """The fields of a row, and the file that holds it."""

    fields: dict[str, Any]
    path: str


class BatchLog:
    """The rows of an evaluation, one for each batch, in a file.

    A row is a dataclass of JSON values. A kill may cut the last line of the
    file short; that line is dropped, and its batch is done again.

    Args:
        path: str, a file of JSON lines to which rows are added; made if it is
            missing.
        run: str, the id of the evaluation, see `records.run_id`, which is
            written to each row; rows of another run are refused.
        check: function of a row's key and fields that raises a `ValueError` if
            the row cannot be of this evaluation.
        others: str, a pattern of file names, as `glob` has them: the logs of
            other shards, whose rows are read, too. If two files hold a row, the
            last one in alphabetical order counts.
        guard: function that is called before a row is stored, and raises if the
            row would not be of this evaluation.

    Raises:
        UserError: if a file is damaged, or holds rows of another run.

    Attributes:
        has_grown: bool, whether a row was added to it in this process.
    """

    def __init__(
        self,
        path: str,
        run: str = "",
        check: Callable[[str, dict[str, Any]], None] | None = None,
        *,
        others: str = "",
        guard: Callable[[], None] = lambda: None,
    ) -> None:
        self._path = path
        self._run = run
        self._check = check
        self._others = others
        self._guard = guard
        self._rows: dict[str, _Stored] = {}
        self.has_grown = False
        self.refresh()
        lines, is_whole = _read_lines(path)
        if not is_whole:
            files.write_text("".join(lines), path)

    def refresh(self) -> None:
        """Reads the files again: other processes may have added rows.

        Raises:
            UserError: if a file is damaged, or holds rows of another run.
        """
        paths = {self._path, *glob.glob(self._others)}
        self._rows = {}
        for path in sorted(paths):
            self._rows |= self._read(path)

    def __contains__(self, key: str) -> bool:
        return key in self._rows

    def get(self, key: str, row_type: type[Row]) -> Row | None:
        """Returns the row of a key, or None.

        Raises:
            UserError: if the row is not of that type.
        """
        if key not in self._rows:
            return None
        try:
            return msgspec.convert(self._rows[key].fields, row_type)
        except msgspec.ValidationError as error:
            raise self.damaged(key, str(error)) from error

    def add(self, key: str, row: Any) -> None:
        """Stores a row; it is in the file when this returns."""
        self._guard()
        fields = dataclasses.asdict(row)
        self.has_grown = True
        self._rows[key] = _Stored(fields, self._path)
        line = json.dumps(
            {"key": key, "run": self._run, **fields}, allow_nan=False
        )
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(f"{line}\n")
            file.flush()
            os.fsync(file.fileno())

    def damaged(self, key: str, why: str) -> UserError:
        """Returns the error for a row that cannot be of this evaluation."""
        return _damaged(self._rows[key].path, f"the row of {key} {why}")

    def _read(self, path: str) -> dict[str, _Stored]:
        """Returns the rows of a file by their keys."""
        rows = {}
        lines, _ = _read_lines(path)
        for number, line in enumerate(lines, start=1):
            try:
                row = files.parse_json(line)
                key = row.pop("key")
                is_ours = row.pop("run") == self._run
                if is_ours and self._check is not None:
                    self._check(key, row)
                rows[key] = _Stored(row, path)
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise _damaged(path, f"line {number}, {error!r}") from error
            if not is_ours:
                raise _damaged(path, f"line {number} is of another run")
        return rows


def _damaged(path: str, where: str) -> UserError:
    return UserError(
        f"{path} must be the log of this evaluation: {where}. Remove it to "
        "attack its images again, or give another --output_dir"
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
