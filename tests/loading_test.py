"""Data sets: their shapes, ranges and labels, and files that are wrong."""

import hashlib
import pathlib
import sys
import types

import numpy as np
import pytest

from peernets_tf import datasets
from peernets_tf.errors import DataError


def test_what_tensorflow_says_while_tfds_imports_it_is_hidden(
    tmp_path, monkeypatch, capfd
):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")
    for package, rest in (
        ("tensorflow", ""),
        ("tensorflow_datasets", "def disable_progress_bar(): pass"),
    ):
        # It puts back what was there, or nothing.
        monkeypatch.setitem(sys.modules, package, None)
        del sys.modules[package]
        code = f"import os\nos.write(2, b'chatter of {package}')\n{rest}\n"
        (tmp_path / f"{package}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DataError, match="cannot read or download mnist"):
        datasets.load("mnist")
    assert "tensorflow" in sys.modules
    assert capfd.readouterr().err == ""


def test_unknown_names_and_missing_files():
    for name in ("MNIST", "", "no.npz"):
        for check in (datasets.check_name, datasets.load):
            with pytest.raises(DataError, match="give one of|not exist"):
                check(name)
    datasets.check_name("cifar100")


def test_mnist5k():
    dataset = datasets.load("mnist5k")
    assert dataset.train.images.shape == (4000, 28, 28, 1)
    assert dataset.test.images.shape == (1000, 28, 28, 1)
    assert dataset.num_classes == 10
    assert dataset.sha256 is None
    for split in (dataset.train, dataset.test):
        assert split.images.dtype == np.float32
        assert split.images.min() == 0
        assert split.images.max() == 1
        counts = np.bincount(split.labels)
        assert (counts == len(split) // 10).all()
        # The first N images are balanced, too.
        assert sorted(split.labels[:10]) == [*range(10)]


@pytest.mark.parametrize(
    ("name", "train_shape", "mean"),
    [
        ("mnist", (60000, 28, 28, 1), [0.1307]),
        ("cifar10", (50000, 32, 32, 3), [0.4914, 0.4822, 0.4465]),
    ],
)
def test_real_data(data_dir, name, train_shape, mean):
    """The channel means are the well-known ones of these data sets."""
    dataset = datasets.load(name, data_dir)
    assert dataset.train.images.shape == train_shape
    assert len(dataset.test) == 10000
    assert (np.bincount(dataset.test.labels) > 800).all()
    found, _ = datasets.channel_statistics(dataset.train.images)
    np.testing.assert_allclose(found, mean, atol=1e-4)


def test_npz(npz_path):
    dataset = datasets.load(npz_path)
    assert dataset.train.images.shape == (96, 12, 12, 1)
    assert dataset.num_classes == 3
    content = pathlib.Path(npz_path).read_bytes()
    assert dataset.sha256 == hashlib.sha256(content).hexdigest()
    stored = np.load(npz_path)
    np.testing.assert_allclose(
        dataset.test.images * 255, stored["x_test"], atol=1e-4
    )
    np.testing.assert_array_equal(dataset.test.labels, stored["y_test"])


def test_labels_may_form_a_column(npz_path):
    arrays = dict(np.load(npz_path))
    expected = arrays["y_train"]
    arrays["y_train"] = expected[:, None].astype("uint8")
    np.savez(npz_path, **arrays)
    labels = datasets.load(npz_path).train.labels
    np.testing.assert_array_equal(labels, expected)


def test_cifar100_is_read_as_the_others(monkeypatch):
    """From TFDS, whose own reading is made up here: there is no copy."""
    tfds = pytest.importorskip("tensorflow_datasets")
    splits = [
        dict(zip(("image", "label"), cifar100_like(n), strict=True))
        for n in (200, 100)
    ]

    def load(name, *, split, batch_size, data_dir, with_info):
        assert (name, split, batch_size) == ("cifar100", ["train", "test"], -1)
        labels = tfds.features.ClassLabel(num_classes=100)
        features = tfds.features.FeaturesDict({"label": labels})
        return splits, types.SimpleNamespace(features=features)

    monkeypatch.setattr(tfds, "load", load)
    dataset = datasets.load("cifar100", "anywhere")
    assert dataset.num_classes == 100
    assert dataset.train.images.shape == (200, 32, 32, 3)
    np.testing.assert_array_equal(dataset.test.labels, np.arange(100))


def cifar100_like(count):
    rng = np.random.default_rng(0)
    return (
        rng.integers(0, 256, (count, 32, 32, 3)).astype("uint8"),
        np.arange(count) % 100,
    )


def test_npz_of_the_shape_of_cifar100(tmp_path):
    (x_train, y_train), (x_test, y_test) = (
        cifar100_like(200),
        cifar100_like(100),
    )
    path = str(tmp_path / "fake.npz")
    np.savez(
        path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test
    )
    dataset = datasets.load(path)
    assert dataset.num_classes == 100
    assert dataset.train.images.shape == (200, 32, 32, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_test": None}, "Missing: x_test"),
        ({"x_train": np.zeros((96, 12))}, "shape"),
        ({"x_train": np.zeros((0, 12, 12))}, "shape"),
        ({"x_test": np.zeros((30, 9, 9), "uint8")}, "the same shape"),
        ({"x_train": np.full((96, 12, 12), 3.0)}, r"\[0, 1\]"),
        ({"x_train": np.full((96, 12, 12), np.nan)}, r"\[0, 1\]"),
        ({"x_train": np.ones((96, 12, 12), "int64")}, "uint8"),
        ({"y_train": np.zeros(95, int)}, "96 integers"),
        ({"y_train": np.zeros((96, 3), int)}, "96 integers"),
        ({"y_train": np.zeros(96)}, "integers"),
        ({"y_train": np.full(96, -1)}, "between 0 and"),
        # Casts to int32 would turn these into 1.
        ({"y_train": np.full(96, 2**32 + 1)}, "between 0 and"),
        ({"y_test": np.full(30, 2**32 + 1, "uint64")}, "between 0 and"),
        ({"x_train": np.full((96, 12, 12), "1")}, "uint8, or float"),
        ({"x_train": np.ones((96, 12, 12), "complex64")}, "uint8, or float"),
        ({"x_train": np.full((96, 12, 12), None)}, "never loaded"),
        ({"x_train": np.zeros((96, 0, 12))}, "none of them 0"),
        ({"y_train": np.zeros((96, 1, 1), int)}, "96 integers"),
        ({"y_train": np.full(96, 10**9)}, "number the classes from 0"),
        ({"y_test": np.full(30, 3)}, "only the 3 classes.*label 3"),
        ({"num_classes": 2}, "`num_classes` must be an int, at least 3"),
        ({"num_classes": 4.0}, "`num_classes` must be an int"),
        ({"num_classes": [4]}, "`num_classes` must be an int"),
        ({"num_classes": 2**40}, "`num_classes` must be an int"),
        ({"y_train": np.zeros(96, int)}, "at least 2 classes.*label 0"),
    ],
)
def test_bad_npz(npz_path, changes, message):
    arrays = {**np.load(npz_path), **changes}
    np.savez(npz_path, **{k: v for k, v in arrays.items() if v is not None})
    with pytest.raises(DataError, match=message):
        datasets.load(npz_path)


def test_a_file_may_lack_images_of_its_last_classes(npz_path):
    arrays = {**np.load(npz_path), "num_classes": 5}
    arrays["y_test"] = np.full(30, 4)
    np.savez(npz_path, **arrays)
    assert datasets.load(npz_path).num_classes == 5


def test_unreadable(tmp_path):
    with pytest.raises(DataError, match="give one of mnist, cifar10"):
        datasets.load("imagenet")
    for content in (b"", b"no arrays", b"PK\x03\x04 half a zip"):
        (tmp_path / "bad.npz").write_bytes(content)
        with pytest.raises(DataError, match="cannot read"):
            datasets.load(str(tmp_path / "bad.npz"))
    np.save(tmp_path / "array.npy", np.ones(3))
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    with pytest.raises(DataError, match="cannot read"):
        datasets.load(str(tmp_path / "array.npz"))


def test_an_error_of_tfds_names_its_first_cause(tmp_path, monkeypatch):
    tfds = pytest.importorskip("tensorflow_datasets")

    def load(*_, **__):
        try:
            raise ModuleNotFoundError("No module named 'importlib_resources'")
        except ModuleNotFoundError as error:
            raise RuntimeError("Failed to construct dataset mnist") from error

    monkeypatch.setattr(tfds, "load", load)
    with pytest.raises(
        DataError, match="ModuleNotFoundError: No module named 'importlib_res"
    ):
        datasets.load("mnist", str(tmp_path))
