"""Image classification data as NumPy arrays, and the batches of training."""

from peernets_tf.datasets.batches import Batches, augment
from peernets_tf.datasets.loading import (
    DATASET_NAMES,
    Dataset,
    Split,
    channel_statistics,
    load,
)

__all__ = [
    "DATASET_NAMES",
    "Batches",
    "Dataset",
    "Split",
    "augment",
    "channel_statistics",
    "load",
]
