"""Keras callbacks that every training here uses."""

import math
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from peernets_tf import peers
from peernets_tf.errors import TrainingError
from peernets_tf.seeds import Stream


class EpochOfBatches(keras.callbacks.Callback):
    """Tells the batches which epoch begins.

    Args:
        batches: a `keras.utils.PyDataset` with a method `set_epoch`.
    """

    def __init__(self, batches: keras.utils.PyDataset) -> None:
        super().__init__()
        self._batches = batches

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._batches.set_epoch(epoch)


class ValidationPeers(keras.callbacks.Callback):
    """Stores one graph of freshly drawn peers before each validation.

    Args:
        images: float array of shape `(N', H, W, C)`, the training images.
        num_peers: int, N, the images of the graph.
        seed: int, the training's seed.
    """

    def __init__(
        self, images: NDArray[np.float32], num_peers: int, seed: int
    ) -> None:
        super().__init__()
        self._images = images
        self._num_peers = num_peers
        self._seed = seed
        self._epoch = 0

    def store(self, model: keras.Model, epoch: int) -> None:
        """Stores the graph of one epoch, counted from 0."""
        seed = (int(Stream.VALIDATION_PEERS), self._seed, epoch)
        peers.set_peers(
            model, peers.draw_peers(self._images, self._num_peers, seed=seed)
        )

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch

    def on_test_begin(self, logs: Any = None) -> None:
        self.store(self.model, self._epoch)


class StopOnNonFinite(keras.callbacks.Callback):
    """Raises a `TrainingError` as soon as a training has diverged.

    That is at the first step whose loss is not finite, or at the end of an
    epoch that left weights or a validation loss that are not finite.
    """

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._check("loss", float(logs["loss"]))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        # The last step's update shows in no loss of a training step.
        for name, value in logs.items():
            self._check(name, float(value))
        for weight in self.model.weights:
            array = keras.ops.convert_to_numpy(weight)
            if not np.isfinite(array).all():
                self._check(weight.path, math.nan)

    def _check(self, name: str, value: float) -> None:
        if not math.isfinite(value):
            optimizer = self.model.optimizer
            raise TrainingError(
                f"the {name} must be finite. Received: "
                f"{value} at step {int(optimizer.iterations)} with learning "
                f"rate {float(optimizer.learning_rate):g}; run again in "
                "another --output_dir with a smaller learning rate"
            )
