"""Several records, and where they are."""

import dataclasses
import os
from collections.abc import Sequence
from typing import TypeVar

from peernets_tf.records import storage
from peernets_tf.records.kinds import Record

_Kind = TypeVar("_Kind", bound=Record)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """A record and where it is.

    Attributes:
        path: str, the record's file.
        record: the `Record`.
        model: str, the model.keras beside it; empty if there is none.
    """

    path: str
    record: Record
    model: str = ""


def read_sources(paths: Sequence[str]) -> list[Source]:
    """Reads records.

    Args:
        paths: sequence of str, the records' files.

    Raises:
        UserError: if a file is not a record.
    """
    return [_source(path) for path in paths]


def of_kind(kind: type[_Kind], records: Sequence[Record]) -> list[_Kind]:
    """Returns the records of one kind, such as `AttackRecord`."""
    return [record for record in records if isinstance(record, kind)]


def _source(path: str) -> Source:
    model = os.path.join(os.path.dirname(path), "model.keras")
    return Source(
        path=path,
        record=storage.read(path),
        model=model if os.path.exists(model) else "",
    )
