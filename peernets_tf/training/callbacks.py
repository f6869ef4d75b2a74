"""Keras callbacks that every training here uses."""

import math
from typing import Any

import keras

from peernets_tf.errors import TrainingError


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
