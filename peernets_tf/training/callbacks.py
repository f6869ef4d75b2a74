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
