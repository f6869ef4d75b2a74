"""Keras callbacks that every training here uses."""

import math
import time
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
    """Raises a `TrainingError` at the first step whose loss is not finite."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        loss = float(logs["loss"])
        if not math.isfinite(loss):
            optimizer = self.model.optimizer
            raise TrainingError(
                "the loss must be finite. Received: "
                f"{loss} at step {int(optimizer.iterations)} with learning "
                f"rate {float(optimizer.learning_rate):g}; run again in "
                "another --output_dir with a smaller learning rate"
            )


class TellDuration(keras.callbacks.Callback):
    """Prints after some steps how long the rest of the training will take.

    The first step compiles and is not counted.

    Args:
        epochs: int, the epochs of the whole training.
        advice: str, what is printed after the estimate, or empty.
    """

    _STEPS = 5

    def __init__(self, epochs: int, advice: str = "") -> None:
        super().__init__()
        self._epochs = epochs
        self._advice = advice
        self._seen = 0
        self._left = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._left = self._epochs - epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._seen == 0:
            self._start = time.monotonic()
        elif self._seen == self._STEPS:
            per_step = (time.monotonic() - self._start) / self._STEPS
            left = self.params["steps"] * self._left - batch - 1
            print(
                f"\nThe training will take about {duration(per_step * left)} "
                f"for {self._left} epochs on this machine, without its "
                f"validations.{self._advice}",
                flush=True,
            )
        self._seen += 1


def duration(seconds: float) -> str:
    """Returns a time as people say it, such as `3 h 20 min`."""
    minutes = math.ceil(seconds / 60)
    if minutes < 2:
        return f"{math.ceil(seconds)} s"
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} days {hours % 24} h"
