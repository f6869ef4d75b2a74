"""Damaged files of every kind give one error that names the file."""

import copy
import io
import json
import zipfile

import keras
import numpy as np
import pytest
from checkpoint_test import claim as claim_checkpoint
from checkpoint_test import make_model, save_epochs
from evaluation_universal_test import ATTACK, logits_fn
from sample_records import make_provenance, one_of_each_kind
from small_models import make_linear

from peernets_tf import attacks, datasets, files, models, records
from peernets_tf.errors import UserError
from peernets_tf.evaluation import universal
from peernets_tf.evaluation.attack_loop import CleanBatch
from peernets_tf.evaluation.batch_log import BatchLog
from peernets_tf.evaluation.batch_rows import check_row

WRONG = ("text", [], {}, None, -1, 1.5, True, 10**30, [[[]]], {"a": {}})


def paths_of(value, path=()):
    """Yields the path of every value inside nested dicts and lists."""
    items = []
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, item in items:
        yield (*path, key)
        yield from paths_of(item, (*path, key))


def damaged(value):
    """Yields JSON texts of a value with one field removed or of wrong type."""
    text = json.dumps(value)
    yield from ("", text[:-1], text[: len(text) // 2], f"[{text}]", "[" * 10**5)
    yield text.replace(":", ": NaN, ", 1)
    yield '{"a": 1e400}'
    for path in paths_of(value):
        for wrong in (*WRONG, "missing"):
            changed = copy.deepcopy(value)
            *parents, last = path
            parent = changed
            for key in parents:
                parent = parent[key]
            if wrong == "missing":
                del parent[last]
            else:
                parent[last] = wrong
            yield json.dumps(changed)


def reads_or_refuses(read, path):
    """Returns whether a file is refused with an error that names it."""
    try:
        read(str(path))
    except UserError as error:
        assert str(path) in str(error)
        return True
    return False


@pytest.mark.parametrize("record", one_of_each_kind(), ids=lambda r: r.kind)
def test_records(record, tmp_path):
    path = tmp_path / "record.json"
    texts = list(damaged(records.storage.to_json(record)))
    refused = 0
    for text in texts:
        path.write_text(text)
        refused += reads_or_refuses(lambda p: records.report([p], True), path)
    assert refused > len(texts) / 3


def test_run_json(tmp_path):
    path = tmp_path / "run.json"
    identity = {"kind": "training", "epochs": [1, 2]}

    def claim(_):
        return records.claim(str(tmp_path), identity, make_provenance())

    claim(path)
    for text in damaged(json.loads(path.read_text())):
        path.write_text(text)
        try:
            claim(path)
        except UserError as error:
            assert str(tmp_path) in str(error)


def test_batch_log(tmp_path):
    path = tmp_path / "batches.jsonl"

    def check(key, row):
        check_row(key, row, test_size=5, batch_size=3, num_classes=4)

    def read(path):
        log = BatchLog(path, run="a", check=check)
        row = log.get("clean/1", CleanBatch)
        assert row is None or len(row.predictions) == 2

    row = {
        "key": "clean/1",
        "run": "a",
        "predictions": [0, 3],
        "zero_gradients": 1,
    }
    path.write_text(f"{json.dumps(row)}\n")
    assert not reads_or_refuses(read, path)
    for text in damaged(row):
        path.write_text(f"{text}\n")
        reads_or_refuses(read, path)
    for changes in (
        {"run": "b"},
        {"key": "clean/2"},
        {"predictions": [0, 4]},
        {"zero_gradients": 3},
        {"total": 3},
        {"correct": 1, "fooled": 2},
        {"adversarial_correct": 1, "right": [1, 1]},
        {"adversarial_correct": 1, "right": [1]},
        {"adversarial_correct": 1, "right": [2, -1]},
    ):
        path.write_text(f"{json.dumps({**row, **changes})}\n")
        assert reads_or_refuses(read, path)


def wrong_arrays(arrays):
    """Yields arrays of an .npz file with one missing or of another kind."""
    for name, array in arrays.items():
        yield {key: arrays[key] for key in arrays if key != name}
        for wrong in (
            np.array("text"),
            np.full(array.shape, None),
            np.full(array.shape, 1j),
            np.zeros((3, 2, 7)),
            np.array(-1),
            np.full(array.shape, np.nan),
        ):
            yield {**arrays, name: wrong}


def wrong_files(path, arrays, **kept):
    """Writes damaged .npz files in turn, and yields after each.

    Args:
        path: the file.
        arrays: dict of the arrays that are damaged.
        **kept: arrays that are not.
    """
    np.savez(path, **arrays, **kept)
    whole = path.read_bytes()
    for content in (b"", b"text", whole[:100], whole[:-30], whole[50:]):
        path.write_bytes(content)
        yield
    for changed in wrong_arrays(arrays):
        np.savez(path, **changed, **kept)
        yield


def test_data_sets(npz_path, tmp_path):
    path = tmp_path / "data.npz"
    with np.load(npz_path) as arrays:
        arrays = dict(arrays)
    for _ in wrong_files(path, arrays):
        assert reads_or_refuses(datasets.load, path)


def test_progress_of_a_perturbation(rng, tmp_path):
    path = tmp_path / "v.npz"
    classifier = attacks.Classifier(logits_fn)
    images = rng.uniform(0, 1, (10, 2, 2, 1)).astype("float32")

    def fit(_):
        universal.fit(
            ATTACK, classifier, images, path=str(tmp_path / "v"), seed=0, run=""
        )

    fit(path)
    arrays = dict(np.load(path))
    run = arrays.pop("run")
    for _ in wrong_files(path, arrays, run=run):
        assert reads_or_refuses(fit, path)
    for changes in (
        {"run": "another"},
        {"perturbation": arrays["perturbation"] * 9 + 9},
        {"seen": 11},
        {"fooled": 11},
        {"finished": False},
    ):
        np.savez(path, **{**arrays, "run": run, **changes})
        assert reads_or_refuses(fit, path)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300, 1j, True, "a", None])
def test_perturbations(value, tmp_path):
    path = tmp_path / "v.npy"
    np.save(path, np.full((2, 2, 1), value))
    assert reads_or_refuses(lambda p: universal.read(p, (2, 2, 1), "l2"), path)


def test_checkpoints(tmp_path):
    model = make_model("lenet5")
    save_epochs(tmp_path, model)
    path = tmp_path / "checkpoint-0001.npz"
    whole = dict(np.load(path))
    first = next(name for name in whole if name.startswith("model/"))
    before = model.get_weights()

    def restore(_):
        claim_checkpoint(tmp_path, model)

    small = {name: whole[name] for name in (first, "history")}
    for changed in wrong_arrays(small):
        arrays = {k: v for k, v in whole.items() if k not in small}
        np.savez(path, **arrays, **changed)
        assert reads_or_refuses(restore, path)
    row = json.loads(str(whole["history"]))[0]
    for history in ([], [row, row], {}, [3], [{**row, "epoch": 2}], [{}]):
        np.savez(path, **{**whole, "history": json.dumps(history)})
        assert reads_or_refuses(restore, path)
    np.savez(path, **{**whole, "run": "another"})
    assert reads_or_refuses(restore, path)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    np.savez(path, **whole)
    restore(path)
    del whole["run"]
    np.savez(path, **whole)
    assert reads_or_refuses(restore, path)


def test_headers_and_bombs_are_refused_before_they_are_read(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header,
        {"descr": "<f8", "fortran_order": False, "shape": (10**9, 10**5)},
    )
    npy = tmp_path / "a.npy"
    npy.write_bytes(header.getvalue())
    with pytest.raises(UserError, match="a.npy.*header promises"):
        files.read_array(str(npy))
    npz = tmp_path / "a.npz"
    with zipfile.ZipFile(npz, "w") as archive:
        archive.writestr("x.npy", header.getvalue())
    with pytest.raises(UserError, match="a.npz.*header promises"):
        files.read_arrays(str(npz))
    with (
        zipfile.ZipFile(npz, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x.npy", "w") as file,
    ):
        for _ in range(257):
            file.write(bytes(2**20))
    with pytest.raises(UserError, match="a.npz.*unpack to 257 MiB"):
        files.read_arrays(str(npz))


def test_keras_files(tmp_path):
    whole, path = tmp_path / "whole.keras", tmp_path / "m.keras"
    models.save(make_linear(), str(whole))
    with zipfile.ZipFile(whole) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    configs = [b"", b"[]", b"[" * 10**6, b" " * (2**24 + 1), b'{"a": 1e999}']
    configs += [b'{"a":' * 500 + b"1" + b"}" * 500]
    configs += [
        json.dumps({k: v for k, v in config.items() if k != name}).encode()
        for name in ("class_name", "config")
    ]
    for content in configs:
        with zipfile.ZipFile(path, "w") as archive:
            for name, part in {**parts, "config.json": content}.items():
                archive.writestr(name, part)
        assert reads_or_refuses(models.load, path)
    for missing in parts:
        with zipfile.ZipFile(path, "w") as archive:
            for name in parts.keys() - {missing}:
                archive.writestr(name, parts[name])
        assert reads_or_refuses(models.load, path)
    path.write_bytes(whole.read_bytes()[:-100])
    assert reads_or_refuses(models.load, path)


def test_a_model_that_is_not_finite_is_not_saved(tmp_path):
    model = make_linear()
    model.set_weights([keras.ops.full(w.shape, np.nan) for w in model.weights])
    with pytest.raises(UserError, match="must be finite"):
        models.save(model, str(tmp_path / "m.keras"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_model_that_is_not_finite_is_not_loaded(bad, tmp_path):
    model = make_linear()
    path = tmp_path / "m.keras"
    model.set_weights([keras.ops.full(w.shape, bad) for w in model.weights])
    model.save(path)
    with pytest.raises(UserError, match="m.keras: the weights.*be finite"):
        models.load(path)
