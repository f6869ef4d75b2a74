"""Image classification data as NumPy arrays, and the batches of training."""

from typing import TYPE_CHECKING

from peernets_tf import lazy
from peernets_tf.datasets.class_names import class_name
from peernets_tf.datasets.image_file import ImageFile, read_image
from peernets_tf.datasets.loading import (
    DATASET_NAMES,
    Dataset,
    Split,
    channel_statistics,
    check_name,
    load,
)

if TYPE_CHECKING:
    from peernets_tf.datasets.batches import Batches, augment
else:
    __getattr__, __dir__ = lazy.exports(
        __name__, Batches="batches", augment="batches"
    )

__all__ = [
    "DATASET_NAMES",
    "Batches",
    "Dataset",
    "ImageFile",
    "Split",
    "augment",
    "channel_statistics",
    "check_name",
    "class_name",
    "load",
    "read_image",
]
