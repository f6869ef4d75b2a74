"""Ways to damage a file, each a function of the path of a valid one."""

import io
import json
import os
import pathlib
import random
import shutil
import struct
import zipfile
import zlib

import numpy as np
from PIL import Image

# What code in a file would make in the folder where a command runs.
MARK = "code_was_run"
_TERABYTES = (2**20, 2**20, 4)


class Mark:
    """Pickled, it makes the file `MARK` when a command loads it."""

    def __reduce__(self):
        return (open, (MARK, "w"))


def everywhere():
    """Returns damages that fit any file, by name."""
    return {
        "empty": lambda path: path.write_bytes(b""),
        "half": _halve,
        "zeros": lambda path: path.write_bytes(bytes(4096)),
        "random bytes": lambda path: path.write_bytes(
            random.Random(path.name).randbytes(4096)
        ),
        "a folder": _replace_by_folder,
        "dangling link": lambda path: _replace_by_link(path, "nowhere"),
        "link to itself": lambda path: _replace_by_link(path, path.name),
    }


def of_json():
    """Returns damages of a JSON file, by name."""
    depth = 100_000
    texts = {
        "a list": "[]",
        "a number": "1",
        "an empty object": "{}",
        "null": "null",
        "nested deeply": "[" * depth + "]" * depth,
        "objects nested deeply": '{"a":' * depth + "1" + "}" * depth,
        "NaN": '{"kind": NaN}',
        "5,000 digits": '{"kind": ' + "9" * 5000 + "}",
        "lone surrogate": '{"kind": "\\ud800"}',
        "control characters": '{"kind": "\\u001b[31m|<b>"}',
    }
    return {name: _writes(text) for name, text in texts.items()}


def of_json_fields(path: pathlib.Path, count, seed):
    """Returns damages of random fields of a JSON file, by name.

    Args:
        path: the valid file.
        count: int, how many fields; each gets one random wrong value.
        seed: int, the seed of the choice.
    """
    rng = random.Random(seed)
    places = list(_places(json.loads(path.read_text("utf-8"))))
    wrong = (None, "x", -1, 0, 1e308, [], {}, True, 2**70, "\x1b[31m|<b>")
    found = {}
    for place in rng.sample(places, min(count, len(places))):
        value = rng.choice(wrong)
        name = f"{'.'.join(map(str, place))} = {value!r}"
        found[name] = _sets(place, value)
    return found


def of_image():
    """Returns damages of a PNG or JPEG file, by name."""
    size = struct.pack(">II", 100_000, 100_000)
    header = b"IHDR" + size + bytes([8, 2, 0, 0, 0])
    huge = struct.pack(">I", len(header) - 4) + header
    huge += struct.pack(">I", zlib.crc32(header))
    return {
        "10,000 megapixels": lambda path: path.write_bytes(
            b"\x89PNG\r\n\x1a\n" + huge
        ),
        "16 bits per channel": lambda path: Image.fromarray(
            np.full((8, 8), 4000, np.uint16)
        ).save(path, "PNG"),
        "another format": lambda path: Image.new("RGB", (8, 8)).save(
            path, "GIF"
        ),
        "65 MiB": lambda path: os.truncate(path, 65 * 2**20),
        "only a signature": lambda path: os.truncate(path, 8),
    }


def of_array():
    """Returns damages of an .npy file of one image, by name."""
    shape = (12, 12, 1)
    arrays = {
        "NaN": np.full(shape, np.nan, np.float32),
        "infinity": np.full(shape, np.inf, np.float32),
        "complex": np.zeros(shape, np.complex64),
        "booleans": np.zeros(shape, bool),
        "text": np.full(shape, "x"),
        "dates": np.zeros(shape, "datetime64[s]"),
        "fields": np.zeros(shape, [("a", "f4"), ("b", "i4")]),
        "another shape": np.zeros((3, 3), np.float32),
        "no dimensions": np.float32(1),
        "no images": np.zeros((0, 12, 12, 1), np.float32),
    }
    found = {
        name: (lambda path, array=array: _save(path, array))
        for name, array in arrays.items()
    }
    found["pickle"] = lambda path: np.save(
        path, np.array([Mark()], dtype=object), allow_pickle=True
    )
    found["header of terabytes"] = lambda path: path.write_bytes(
        _header(_TERABYTES)
    )
    found["negative shape"] = lambda path: path.write_bytes(_header((-1, 12)))
    found["an .npz"] = lambda path: _save_npz(path, {"x": np.zeros(3)})
    return found


def of_archive(member):
    """Returns damages of one array in an .npz file, by name.

    Args:
        member: str, the name of the array.
    """

    def damages_like(change):
        def damage(path):
            with np.load(path) as arrays:
                changed = dict(arrays)
            changed[member] = change(changed[member])
            _save_npz(path, changed)

        return damage

    def replace(content):
        return lambda path: _replace_member(path, f"{member}.npy", content)

    found = {
        f"{member} {name}": damages_like(change)
        for name, change in {
            "text": lambda a: np.full(a.shape, "x"),
            "complex": lambda a: np.ones(a.shape, np.complex64),
            "NaN": lambda a: np.full(a.shape, np.nan),
            "another shape": lambda a: np.zeros((*a.shape, 2), np.float32),
            "empty": lambda a: np.zeros((0,) * max(a.ndim, 1), np.float32),
            "dates": lambda a: np.zeros(a.shape, "datetime64[s]"),
        }.items()
    }
    pickled = io.BytesIO()
    np.save(pickled, np.array([Mark()], dtype=object), allow_pickle=True)
    found[f"{member} pickle"] = replace(pickled.getvalue())
    found[f"{member} header of terabytes"] = replace(_header(_TERABYTES))
    found[f"{member} missing"] = replace(None)
    found[f"{member} bomb"] = lambda path: _bomb(path, f"{member}.npy")
    return found


def of_labels():
    """Returns damages of the training labels of a data set, by name."""

    def setting(value, dtype=np.int64):
        def damage(path):
            with np.load(path) as arrays:
                changed = dict(arrays)
            labels = changed["y_train"].astype(dtype)
            labels[0] = value
            _save_npz(path, {**changed, "y_train": labels})

        return damage

    return {
        "label 2**32 + 1": setting(2**32 + 1),
        "label -1": setting(-1),
        "label 2**63": setting(2**63, np.uint64),
        "label 1000000": setting(1_000_000),
        "labels with fractions": setting(0.5, np.float64),
    }


def of_model():
    """Returns damages of a .keras file, by name."""
    config, weights = "config.json", "model.weights.h5"
    # A Lambda layer whose code is marshalled Python, as Keras stores it.
    unsafe = {
        "module": "keras.layers",
        "class_name": "Lambda",
        "config": {
            "name": "unsafe",
            "function": {
                "class_name": "__lambda__",
                "config": {"code": "4wEAAAA=", "defaults": None},
            },
        },
        "registered_name": None,
    }
    call = {
        "module": "builtins",
        "class_name": "open",
        "config": {"file": MARK, "mode": "w"},
        "registered_name": None,
    }
    depth = 100_000
    contents = {
        "config missing": (config, None),
        "config empty": (config, b""),
        "config a list": (config, b"[]"),
        "config an empty object": (config, b"{}"),
        "config nested deeply": (config, b"[" * depth + b"]" * depth),
        "config not UTF-8": (config, b"\xff\xfe"),
        "config of 64 MB": (config, b'"' + b"x" * 2**26 + b'"'),
        "config a Lambda": (config, json.dumps(unsafe).encode()),
        "config a call": (config, json.dumps(call).encode()),
        "weights missing": (weights, None),
        "weights empty": (weights, b""),
        "weights not HDF5": (weights, b"x" * 1000),
    }
    found = {
        name: (lambda path, c=content: _replace_member(path, *c))
        for name, content in contents.items()
    }
    found["config bomb"] = lambda path: _bomb(path, config)
    found["weights bomb"] = lambda path: _bomb(path, weights)
    return found


def of_state():
    """Returns contents of the state file of a TensorFlow 1 checkpoint."""
    texts = {
        "names no path": "model_checkpoint_path: 3",
        "names another folder": 'model_checkpoint_path: "/etc/passwd"',
        "names a folder above": 'model_checkpoint_path: "../../x"',
        "names itself": 'model_checkpoint_path: "checkpoint"',
        "nested": "a {" * 10_000,
        "control characters": 'model_checkpoint_path: "\x1b[31m"',
    }
    return {name: _writes(text) for name, text in texts.items()}


def of_flag_file():
    """Returns damages of a flag file, by name."""
    texts = {
        "includes itself": "--flagfile=good.flags",
        "includes a missing file": "--flagfile=no/such.flags",
        "unknown flag": "--nonsense=1",
        "no flag": "epochs 3",
        "control characters": "--epochs=\x1b[31m",
    }
    return {name: _writes(text) for name, text in texts.items()}


def of_log():
    """Returns damages of a batches.jsonl, by name."""
    lines = {
        "a line that is a list": "[1]\n",
        "a line without a key": '{"total": 1}\n',
        "a key that is a list": '{"key": [], "run": ""}\n',
        "a key that is null": '{"key": null, "run": ""}\n',
        "a line of digits": "9" * 5000 + "\n",
        "a line nested deeply": "[" * 100_000 + "\n",
    }
    return {
        name: (lambda path, text=line: path.write_text(text))
        for name, line in lines.items()
    }


def _writes(text):
    """Returns a damage that replaces the whole text of a file."""
    return lambda path: path.write_text(text, encoding="utf-8")


def _halve(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _replace_by_folder(path):
    path.unlink()
    path.mkdir()


def _replace_by_link(path, target):
    path.unlink()
    os.symlink(target, path)


def _places(value, place=()):
    """Yields the keys that lead to each value in a JSON value."""
    items = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, item in items:
        yield (*place, key)
        yield from _places(item, (*place, key))


def _sets(place, value):
    def damage(path):
        root = json.loads(path.read_text("utf-8"))
        target = root
        for key in place[:-1]:
            target = target[key]
        target[place[-1]] = value
        path.write_text(json.dumps(root), encoding="utf-8")

    return damage


def _save(path, array):
    # Given a name, NumPy would add its own suffix.
    with open(path, "wb") as file:
        np.save(file, array)


def _save_npz(path, arrays):
    with open(path, "wb") as file:
        np.savez(file, **arrays)


def _header(shape):
    """Returns an .npy file of that shape whose data are missing."""
    file = io.BytesIO()
    fields = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, fields)
    return file.getvalue() + bytes(64)


def _replace_member(path, name, content):
    """Replaces a member of a ZIP file, or removes it for None."""
    changed = path.with_suffix(".changed")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(changed, "w") as new:
        for member in old.namelist():
            if member != name:
                new.writestr(member, old.read(member))
        if content is not None:
            new.writestr(name, content, zipfile.ZIP_DEFLATED)
    shutil.move(changed, path)


def _bomb(path, name):
    """Gives a ZIP file a member of 6 GB that takes 6 MB."""
    _replace_member(path, name, None)
    shape = (6, 2**28, 1)
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open(name, "w", force_zip64=True) as member,
    ):
        member.write(_header(shape)[:-64])
        for _ in range(6 * 64):
            member.write(bytes(2**24))
