import types

import numpy as np
import pytest

from peernets_tf import data


def make_split(count=20):
    images = np.arange(count * 48, dtype="float32").reshape(count, 4, 4, 3)
    return data.Split(
        images=images / images.max(), labels=np.arange(count, dtype="int32")
    )


def test_mnist5k():
    dataset = data.load("mnist5k")
    assert dataset.train.images.shape == (4000, 28, 28, 1)
    assert dataset.test.images.shape == (1000, 28, 28, 1)
    assert dataset.num_classes == 10
    for split in (dataset.train, dataset.test):
        assert split.images.dtype == np.float32
        assert split.images.min() == 0
        assert split.images.max() == 1
        counts = np.bincount(split.labels)
        assert (counts == len(split) // 10).all()


@pytest.mark.parametrize(
    ("name", "train_shape", "mean"),
    [
        ("mnist", (60000, 28, 28, 1), [0.1307]),
        ("cifar10", (50000, 32, 32, 3), [0.4914, 0.4822, 0.4465]),
    ],
)
def test_real_data(data_dir, name, train_shape, mean):
    """The channel means are the well-known ones of these data sets."""
    dataset = data.load(name, data_dir)
    assert dataset.train.images.shape == train_shape
    assert len(dataset.test) == 10000
    assert (np.bincount(dataset.test.labels) > 800).all()
    found, _ = data.channel_statistics(dataset.train.images)
    np.testing.assert_allclose(found, mean, atol=1e-4)


def test_npz(npz_path):
    dataset = data.load(npz_path)
    assert dataset.train.images.shape == (96, 12, 12, 1)
    assert dataset.num_classes == 3
    stored = np.load(npz_path)
    np.testing.assert_allclose(
        dataset.test.images * 255, stored["x_test"], atol=1e-4
    )
    np.testing.assert_array_equal(dataset.test.labels, stored["y_test"])


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
    dataset = data.load("cifar100", "anywhere")
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
    dataset = data.load(path)
    assert dataset.num_classes == 100
    assert dataset.train.images.shape == (200, 32, 32, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_test": None}, "lacks the array x_test"),
        ({"x_train": np.zeros((96, 12))}, "shape"),
        ({"x_train": np.zeros((0, 12, 12))}, "shape"),
        ({"x_test": np.zeros((30, 9, 9), "uint8")}, "training images of shape"),
        ({"x_train": np.full((96, 12, 12), 3.0)}, r"\[0, 1\]"),
        ({"x_train": np.full((96, 12, 12), np.nan)}, r"\[0, 1\]"),
        ({"x_train": np.ones((96, 12, 12), "int64")}, "uint8"),
        ({"y_train": np.zeros(95, int)}, "96 integers"),
        ({"y_train": np.zeros((96, 3), int)}, "96 integers"),
        ({"y_train": np.zeros(96)}, "integers"),
        ({"y_train": np.full(96, -1)}, "negative"),
        ({"y_train": np.full(96, 10**9)}, "number the classes from 0"),
        ({"y_test": np.full(30, 3)}, "label 3, outside the 3 classes"),
    ],
)
def test_bad_npz(npz_path, changes, message):
    arrays = {**np.load(npz_path), **changes}
    np.savez(npz_path, **{k: v for k, v in arrays.items() if v is not None})
    with pytest.raises(data.DataError, match=message):
        data.load(npz_path)


def test_unreadable(tmp_path):
    with pytest.raises(data.DataError, match="choose one of mnist, cifar10"):
        data.load("imagenet")
    with pytest.raises(data.DataError, match="cannot read"):
        data.load(str(tmp_path / "none.npz"))
    for content in (b"", b"no arrays", b"PK\x03\x04 half a zip"):
        (tmp_path / "bad.npz").write_bytes(content)
        with pytest.raises(data.DataError, match="cannot read"):
            data.load(str(tmp_path / "bad.npz"))
    np.save(tmp_path / "array.npy", np.ones(3))
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    with pytest.raises(data.DataError, match="cannot read"):
        data.load(str(tmp_path / "array.npz"))


def test_batches_cover_an_epoch_once():
    split = make_split(20)
    batches = data.Batches(split, 6, seed=0, augment=False)
    assert len(batches) == 3
    labels = np.concatenate([batches[i][1] for i in range(3)])
    assert len(np.unique(labels)) == 18
    images, labels = batches[1]
    np.testing.assert_array_equal(images, split.images[labels])


def test_batches_depend_on_seed_and_epoch_only():
    split = make_split(20)

    def draw(seed, epoch):
        batches = data.Batches(split, 5, seed=seed, augment=True)
        batches.set_epoch(epoch)
        return np.stack([batches[i][0] for i in (2, 0, 1)])

    np.testing.assert_array_equal(draw(1, 2), draw(1, 2))
    assert not np.array_equal(draw(1, 2), draw(1, 3))
    assert not np.array_equal(draw(1, 2), draw(2, 2))


def test_batches_refuse_more_than_there_is():
    with pytest.raises(ValueError, match="batch_size=21"):
        data.Batches(make_split(20), 21, seed=0, augment=False)


def test_augment_shifts_and_mirrors(rng):
    image = rng.random((1, 6, 6, 2)).astype("float32") + 1
    drawn = data.augment(np.repeat(image, 3000, axis=0), rng, max_shift=1)
    padded = np.pad(image[0], ((1, 1), (1, 1), (0, 0)))
    counts = []
    for top in range(3):
        for left in range(3):
            crop = padded[top : top + 6, left : left + 6]
            for expected in (crop, crop[:, ::-1]):
                same = (drawn == expected).all(axis=(1, 2, 3))
                counts.append(same.sum())
    assert sum(counts) == 3000
    assert min(counts) > 3000 / 18 * 0.7
