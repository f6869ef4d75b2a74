"""The models that a training leaves in its folder while it goes on.

`model-STEP.keras` are the models of the newest checkpoints, `model.keras` is
the trained one.
"""

import glob
import os
import re
import time
from collections.abc import Iterator
from typing import Any

import keras

from peernets_tf import models, training

_TRAINED = "model.keras"
# As many as the original keeps.
_MODELS_KEPT = 3


class SaveModels(keras.callbacks.Callback):
    """Saves a model at each checkpoint, and removes older ones.

    Args:
        network: the Keras model.
        checkpoint: the `peernets_tf.training.Checkpoint` of the training.
    """

    def __init__(
        self, network: keras.Model, checkpoint: training.Checkpoint
    ) -> None:
        super().__init__()
        self._network = network
        self._checkpoint = checkpoint

    def on_train_begin(self, logs: Any = None) -> None:
        if not self._checkpoint.history:
            # The training starts again: older models are not its own.
            while (stale := newest(self._checkpoint.output_dir)) is not None:
                os.remove(stale)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        folder = self._checkpoint.output_dir
        step = training.steps_taken(self.model)
        path = os.path.join(folder, f"model-{step:06d}.keras")
        models.save(self._network, path)
        for old in _of_checkpoints(folder)[:-_MODELS_KEPT]:
            os.remove(old)


def save_trained(network: keras.Model, folder: str) -> str:
    """Saves the trained model in a folder, and returns its path."""
    path = os.path.join(folder, _TRAINED)
    models.save(network, path)
    return path


def newest(folder: str) -> str | None:
    """Returns the path of the newest model in a folder, or None."""
    trained = os.path.join(folder, _TRAINED)
    if os.path.exists(trained):
        return trained
    saved = _of_checkpoints(folder)
    return saved[-1] if saved else None


def watch(folder: str, seconds: float) -> Iterator[str]:
    """Yields the path of the newest model whenever there is a newer one.

    Ends after the trained model. After a training that diverged or was given
    up there is none, and it waits until it is interrupted.

    Args:
        folder: str, the folder of a training; it need not exist yet.
        seconds: float, the time between two looks at the folder.
    """
    done = None
    while done is None or os.path.basename(done) != _TRAINED:
        if newest(folder) in (None, done):
            where = folder if os.path.isdir(folder) else f"{folder} (missing)"
            print(f"Waiting for a new model in {where}", flush=True)
        while (found := newest(folder)) is None or found == done:
            time.sleep(seconds)
        yield found
        done = found


def _of_checkpoints(folder: str) -> list[str]:
    """Returns the paths of the checkpoints' models, the oldest first."""
    found = {}
    for path in glob.glob(os.path.join(glob.escape(folder), "model-*.keras")):
        match = re.search(r"model-(\d+)\.keras$", path)
        if match:
            found[int(match[1])] = path
    return [found[step] for step in sorted(found)]
