"""Reading and writing records as JSON files."""

import dataclasses
import json
import math
import os
from typing import Any

import msgspec

from peernets_tf import files
from peernets_tf.errors import UserError, naming
from peernets_tf.records.kinds import TYPES, Record
from peernets_tf.records.leaves import leaves
from peernets_tf.records.schema import SCHEMA_VERSION
from peernets_tf.records.training import TrainingRecord


def read(path: str) -> Record:
    """Reads a record of any kind.

    Raises:
        UserError: if the file is not a record. The message names the file and
            the field.
    """
    fields = files.read_json(path)
    try:
        return _decode(fields)
    except UserError as error:
        raise UserError(
            f"{path} is not a valid record ({error}): give one that a command "
            "wrote"
        ) from error


def write(record: Record, path: str) -> None:
    """Writes a record, whole or not at all, its kind and version first.

    Raises:
        UserError: if a number is not finite. The message names the field.
    """
    fields = to_json(record)
    try:
        _check_finite(fields)
    except UserError as error:
        raise UserError(f"cannot write {path}: {error}") from error
    files.write_json(fields, path)


def to_json(record: Record) -> dict[str, Any]:
    """Returns a record as JSON values, its kind and version first."""
    return {
        "kind": record.kind,
        "schema_version": SCHEMA_VERSION,
        **json.loads(json.dumps(dataclasses.asdict(record))),
    }


def _decode(fields: Any) -> Record:
    """Returns the record that a JSON value describes."""
    if not isinstance(fields, dict):
        raise UserError(
            f"expected a JSON object. Received: {type(fields).__name__}"
        )
    _check_finite(fields)
    kind, version = fields.get("kind"), fields.get("schema_version")
    if kind not in list(TYPES):
        raise UserError(
            f"kind must be one of {', '.join(TYPES)}. Received: {kind!r}"
        )
    if version != SCHEMA_VERSION:
        raise UserError(
            f"schema_version must be {SCHEMA_VERSION}. Received: {version!r}. "
            "Read it with the version of this package that wrote it"
        )
    try:
        record = msgspec.convert(fields, TYPES[kind], strict=True)
    except msgspec.ValidationError as error:
        raise UserError(str(error).replace("$.", "")) from error
    known = dict(leaves(to_json(record)))
    for name, _ in leaves(fields):
        if name not in known:
            raise UserError(f"{name} is not a field of a record of {kind}")
    return record


def _check_finite(fields: dict[str, Any]) -> None:
    """Raises a `UserError` that names the first number that is not finite."""
    for name, value in leaves(fields):
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{name} must be finite. Received: {value}")


def of_model(path: str) -> TrainingRecord | None:
    """Returns the record of the training that made a model, or None.

    Args:
        path: str, the model's .keras file. Its record is next to it, in a file
            of the same name or in record.json.

    Raises:
        UserError: if the record cannot be read.
    """
    in_folder = os.path.join(os.path.dirname(path), "record.json")
    for record_path in (f"{os.path.splitext(path)[0]}.json", in_folder):
        if os.path.exists(record_path):
            with naming(
                f"{record_path} is read as the record of {path} beside it; "
                "move it if it is another file"
            ):
                record = read(record_path)
            if isinstance(record, TrainingRecord):
                return record
    return None
