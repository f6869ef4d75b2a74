"""The share of each batch that one of several processes computes."""

from typing import Any

import keras
from numpy.typing import NDArray

from peernets_tf.training.processes import Process


class OwnBatches(keras.utils.PyDataset):
    """A process's share of all batches.

    Every process makes the whole batch, so the random numbers, such as those of
    the augmentation, are the same as with one process.

    Args:
        batches: a `keras.utils.PyDataset`, whose batches have the same number
            of images for each process.
        process: the `Process`.
    """

    def __init__(
        self, batches: keras.utils.PyDataset, process: Process
    ) -> None:
        super().__init__()
        self._batches = batches
        self._process = process

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> tuple[NDArray[Any], ...]:
        return tuple(map(self._process.share, self._batches[index]))
