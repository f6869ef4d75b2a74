"""Keras callbacks that every training here uses."""

import math
import time
from typing import Any

import keras
import numpy as np

from peernets_tf.errors import TrainingError
from peernets_tf.training.distribution import average_devices
from peernets_tf.training.optimizers import steps_taken


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


class AverageDevices(keras.callbacks.Callback):
    """Lets several devices agree before each validation: `average_devices`."""

    def on_test_begin(self, logs: Any = None) -> None:
        average_devices(self.model)


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
            if keras.backend.backend() == "jax":
                # During an epoch the model does not hold its own state.
                self.model.jax_state_sync()
            rate = keras.ops.convert_to_numpy(
                self.model.optimizer.learning_rate
            )
            raise TrainingError(
                f"the {name} must be finite. Received: "
                f"{value} at step {steps_taken(self.model)} with learning "
                f"rate {float(rate):g}; run again in "
                "another --output_dir with a smaller learning rate"
            )


class TellDuration(keras.callbacks.Callback):
    """Prints after some steps how long the rest of the training will take.

    The first step compiles and is not counted.

    Args:
        epochs: int, the epochs of the whole training.
        advice: str, what is printed after the estimate, or empty.
        steps: int or None, the steps of the whole training if it ends after
            steps instead of epochs.
    """

    _TIMED_STEPS = 5

    def __init__(
        self, epochs: int, advice: str = "", steps: int | None = None
    ) -> None:
        super().__init__()
        self._epochs = epochs
        self._advice = advice
        self._steps = steps
        self._seen = 0
        self._left = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._left = self._epochs - epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._seen == 0:
            self._start = time.monotonic()
        elif self._seen == self._TIMED_STEPS:
            per_step = (time.monotonic() - self._start) / self._TIMED_STEPS
            if self._steps is None:
                left = self.params["steps"] * self._left - batch - 1
                text = "1 epoch" if self._left == 1 else f"{self._left} epochs"
            else:
                left = self._steps - steps_taken(self.model)
                text = f"{left:,} more steps"
            print(
                f"\nThe training will take about {duration(per_step * left)} "
                f"for {text} on this machine, without its "
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
