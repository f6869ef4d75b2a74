"""What a run left in its folder, without what differs from run to run."""

import csv
import hashlib
import json
import pathlib

import numpy as np

# Times, and the command line with its folder.
_VOLATILE = ("provenance", "seconds")
# Its events are for people; each start of a run adds a file.
_IGNORED_FOLDER = "tensorboard"


def of(folder: pathlib.Path):
    """Returns the comparable content of each file below a folder, by path.

    A hash of all weights, peers included, is in each record. An array of a
    checkpoint is compared bit for bit.
    """
    return {
        str(path.relative_to(folder)): _content(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and _IGNORED_FOLDER not in path.parts
    }


def differences(expected, found):
    """Returns sentences on how two results of `of` differ."""
    sentences = []
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            sentences.append(f"{name} is lost")
        elif name not in expected:
            sentences.append(f"{name} is left over")
        elif expected[name] != found[name]:
            sentences.append(
                f"{name} differs: {_first(expected[name], found[name])}"
            )
    return sentences


def _first(expected, found):
    """Returns the first pair of lines that differ."""
    expected, found = expected.splitlines(), found.splitlines()
    for ours, theirs in zip(expected, found, strict=False):
        if ours != theirs:
            return f"{ours.strip()[:80]} became {theirs.strip()[:80]}"
    return f"{len(expected)} lines became {len(found)}"


def _content(path):
    if path.suffix == ".json":
        return _text(json.loads(path.read_text("utf-8")))
    if path.suffix == ".jsonl":
        lines = path.read_text("utf-8").splitlines()
        return "\n".join(_text(json.loads(line)) for line in lines)
    if path.suffix == ".csv":
        with open(path, encoding="utf-8", newline="") as file:
            return _text(list(csv.DictReader(file)))
    if path.suffix == ".npz":
        return _arrays(path)
    return "a file"


def _arrays(path):
    with np.load(path) as arrays:
        found = {name: arrays[name] for name in arrays.files}
    return "\n".join(
        f"{name} {_array(array)}" for name, array in sorted(found.items())
    )


def _array(array):
    """Returns a text of an array; the history of a checkpoint is JSON."""
    if array.dtype.kind == "U":
        return _string(str(array))
    digest = hashlib.sha256(array.tobytes()).hexdigest()
    return f"{array.dtype} {array.shape} {digest}"


def _string(text):
    """Returns a history, which is JSON, without times; a run's id as it is."""
    try:
        return _text(json.loads(text))
    except ValueError:
        return text


def _text(value):
    return json.dumps(_lasting(value), indent=1, sort_keys=True)


def _lasting(value):
    """Returns a JSON value without the keys that differ from run to run."""
    if isinstance(value, dict):
        return {
            key: _lasting(item)
            for key, item in value.items()
            if key not in _VOLATILE
        }
    if isinstance(value, list):
        return [_lasting(item) for item in value]
    return value
