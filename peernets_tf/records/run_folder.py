"""The one rule by which an interrupted run resumes: its folder's run.json."""

import dataclasses
import hashlib
import json
import os
from typing import Any

import msgspec

from peernets_tf import files
from peernets_tf.errors import UserError
from peernets_tf.records.leaves import leaves
from peernets_tf.records.schema import Provenance

_MISSING = "missing"


def claim(
    folder: str,
    identity: dict[str, Any],
    provenance: Provenance,
    *,
    makes: str | None = None,
) -> Provenance:
    """Makes a run's folder, or checks that it holds the same run.

    The first start writes `run.json` with the identity and the provenance.

    Args:
        folder: str, the run's output folder.
        identity: dict of JSON values, everything that the run's figures depend
            on, and the kind of the run.
        provenance: the `Provenance` of this start.
        makes: str or None, a file that the run will write, and that the folder
            must not hold before its first start.

    Returns:
        The `Provenance` of the first start.

    Raises:
        UserError: if the folder holds another run or a damaged run.json, or a
            file that the run would overwrite.
    """
    path = os.path.join(folder, "run.json")
    # As a file gives it back: lists instead of tuples.
    identity = json.loads(json.dumps(identity))
    os.makedirs(folder, exist_ok=True)
    if not os.path.lexists(path):
        if makes and os.path.lexists(os.path.join(folder, makes)):
            raise UserError(
                f"{folder} holds a {makes} that is not of this run, which "
                "would overwrite it: move it, or give another --output_dir"
            )
        run = {
            "identity": identity,
            "provenance": dataclasses.asdict(provenance),
        }
        files.write_json(run, path)
        return provenance
    found, first = _read(folder, path)
    _check_same(folder, found, identity)
    return first


def identity_of(folder: str) -> dict[str, Any]:
    """Returns the identity of the run that claimed a folder, see `claim`.

    Raises:
        UserError: if the folder's run.json is missing or damaged.
    """
    identity, _ = _read(folder, os.path.join(folder, "run.json"))
    return identity


def run_id(folder: str) -> str:
    """Returns what marks the files of the run that claimed a folder.

    It is a hash of the run's identity, so that a checkpoint of another run is
    known as such.

    Raises:
        UserError: if the folder's run.json is missing or damaged.
    """
    text = json.dumps(identity_of(folder), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _read(folder: str, path: str) -> tuple[dict[str, Any], Provenance]:
    """Returns the identity and the `Provenance` that a run.json holds."""
    # Without its run.json, a folder's checkpoints could be of another run.
    advice = f"Remove {folder} to start again, or give another --output_dir"
    try:
        run = files.read_json(path)
        provenance = msgspec.convert(run["provenance"], Provenance)
        return msgspec.convert(run["identity"], dict[str, Any]), provenance
    except KeyError as error:
        raise UserError(f"{path} lacks the field {error}. {advice}") from error
    except (TypeError, UserError, msgspec.ValidationError) as error:
        raise UserError(
            f"{path} is not the run.json of a run: {error}. {advice}"
        ) from error


def _check_same(
    folder: str, found: dict[str, Any], wanted: dict[str, Any]
) -> None:
    """Raises a `UserError` that names the first value that differs."""
    ours, theirs = dict(leaves(wanted)), dict(leaves(found))
    # Hashes last: flags, if some differ, say more.
    for name in sorted(
        {**ours, **theirs}, key=lambda name: name.endswith("_sha256")
    ):
        expected = theirs.get(name, _MISSING)
        received = ours.get(name, _MISSING)
        if expected != received:
            advice = "Give the same flags to resume it, or another --output_dir"
            if found.keys() != wanted.keys():
                advice += "; it may be of another version of this package"
            elif name.endswith("_sha256"):
                advice += "; with the same flags, a model or data file changed"
            raise UserError(
                f"{folder} holds a run with {name}={expected}. Received: "
                f"{name}={received}. {advice}"
            )
