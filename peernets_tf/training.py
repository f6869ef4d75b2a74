"""Training: optimizers, schedules, checkpoints, and the fit that resumes."""

import csv
import importlib.util
import json
import math
import os
import re
import time

import keras
import numpy as np
from keras import ops

from peernets_tf import data, peers, results

SCHEDULES = ("constant", "step", "one_cycle")
OPTIMIZERS = ("adam", "momentum")


class TrainingError(Exception):
    """A training that cannot go on; the message says what to do."""


def fit(
    model,
    dataset,
    recipe,
    *,
    output_dir,
    run_id,
    seed,
    validation_size=1000,
    verbose="auto",
):
    """Trains a model, going on from the last whole checkpoint if there is one.

    After each epoch `output_dir` holds a checkpoint, `training.csv` and
    TensorBoard logs. A PeerNet is validated with a graph of fresh peers.

    Args:
        model: a Keras model from images to logits, not compiled.
        dataset: a `peernets_tf.data.Dataset`.
        recipe: a `peernets_tf.recipes.Recipe`.
        output_dir: str, an existing directory.
        run_id: dict, what the run depends on. A checkpoint of another `run_id`
            is refused.
        seed: int, the seed of order, augmentation and validation graphs.
        validation_size: int, the first test images used after each epoch.
        verbose: the verbosity of `keras.Model.fit`.

    Returns:
        A list of dicts, one an epoch, with loss, accuracy, val_loss,
        val_accuracy and seconds.

    Raises:
        TrainingError: if the loss is not a number, or `output_dir` holds
            another run.
        ValueError: if the recipe does not fit the data.
    """
    batches = data.Batches(
        dataset.train, recipe.batch_size, seed=seed, augment=recipe.augment
    )
    model.compile(
        optimizer=_optimizer(recipe, steps_per_epoch=len(batches)),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        # XLA makes the convolutions of a whole network slower on CPU.
        jit_compile=keras.backend.backend() != "tensorflow" or has_gpu(),
    )
    model.optimizer.build(model.trainable_variables)
    callbacks = [_EpochOfBatches(batches)]
    if peers.peer_layers(model):
        validation_peers = _ValidationPeers(
            dataset.train.images, min(recipe.num_peers, len(dataset.train)), seed
        )
        validation_peers.store(model, epoch=0)
        callbacks.append(validation_peers)
    checkpoint = _Checkpoint(output_dir, run_id)
    checkpoint.restore(model)
    history = checkpoint.history
    callbacks += [_StopOnNaN(recipe.learning_rate), checkpoint]
    if importlib.util.find_spec("tensorflow"):
        # Keras writes TensorBoard's files with TensorFlow, on every backend.
        logs = os.path.join(output_dir, "tensorboard")
        callbacks.append(keras.callbacks.TensorBoard(logs, write_graph=False))
    if len(history) < recipe.epochs:
        model.fit(
            batches,
            epochs=recipe.epochs,
            initial_epoch=len(history),
            validation_data=(
                dataset.test.images[:validation_size],
                dataset.test.labels[:validation_size],
            ),
            validation_batch_size=100,
            shuffle=False,
            callbacks=callbacks,
            verbose=verbose,
        )
    return history


def count_correct(model, split, batch_size=100, verbose="auto"):
    """Returns how many images of a split a model classifies correctly."""
    logits = model.predict(
        split.images, batch_size=batch_size, verbose=verbose
    )
    return int(np.sum(np.argmax(logits, axis=-1) == split.labels))


def learning_rate_schedule(recipe, steps_per_epoch):
    """Returns the learning rate, a float or a Keras schedule.

    `"constant"` stays; `"step"` multiplies by `decay_factor` at each of
    `decay_epochs` (Table 1); `"one_cycle"` rises from a tenth of
    `learning_rate` to the whole over the first fifth of all steps and falls to
    zero at the last.

    Raises:
        ValueError: if there is no such schedule.
    """
    if recipe.schedule == "constant":
        return recipe.learning_rate
    if recipe.schedule == "step":
        epochs = [e for e in recipe.decay_epochs if e < recipe.epochs]
        return keras.optimizers.schedules.PiecewiseConstantDecay(
            [epoch * steps_per_epoch for epoch in epochs],
            [
                recipe.learning_rate * recipe.decay_factor**i
                for i in range(len(epochs) + 1)
            ],
        )
    if recipe.schedule == "one_cycle":
        return OneCycle(recipe.learning_rate, recipe.epochs * steps_per_epoch)
    raise ValueError(
        f"`schedule` must be one of {SCHEDULES}. Received: "
        f"schedule={recipe.schedule}"
    )


@keras.saving.register_keras_serializable(package="peernets_tf")
class OneCycle(keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly from a tenth of the peak to it, then falls to zero.

    Args:
        peak: float, the largest learning rate.
        total_steps: int, where the rate reaches zero.
        rise: float in (0, 1), the part of the steps before the peak.
    """

    def __init__(self, peak, total_steps, rise=0.2):
        self.peak = peak
        self.total_steps = total_steps
        self.rise = rise

    def __call__(self, step):
        done = ops.cast(step, "float32") / self.total_steps
        up = 0.1 + 0.9 * done / self.rise
        down = (1 - done) / (1 - self.rise)
        return self.peak * ops.maximum(ops.minimum(up, down), 0.0)

    def get_config(self):
        return {
            "peak": self.peak,
            "total_steps": self.total_steps,
            "rise": self.rise,
        }


def has_gpu():
    """Returns whether Keras sees a GPU."""
    return any(
        "gpu" in device or "cuda" in device
        for device in keras.distribution.list_devices()
    )


def _optimizer(recipe, steps_per_epoch):
    rate = learning_rate_schedule(recipe, steps_per_epoch)
    if recipe.optimizer == "adam":
        return keras.optimizers.Adam(rate)
    if recipe.optimizer == "momentum":
        return keras.optimizers.SGD(rate, momentum=recipe.momentum)
    raise ValueError(
        f"`optimizer` must be one of {OPTIMIZERS}. Received: "
        f"optimizer={recipe.optimizer}"
    )


class _EpochOfBatches(keras.callbacks.Callback):
    """Tells the batches which epoch begins."""

    def __init__(self, batches):
        super().__init__()
        self._batches = batches

    def on_epoch_begin(self, epoch, logs=None):
        self._batches.set_epoch(epoch)


class _ValidationPeers(keras.callbacks.Callback):
    """Stores one graph of fresh peers before each validation."""

    def __init__(self, images, num_peers, seed):
        super().__init__()
        self._images = images
        self._num_peers = num_peers
        self._seed = seed
        self._epoch = 0

    def store(self, model, epoch):
        seed = (self._seed, epoch)
        peers.set_peers(
            model, peers.draw_peers(self._images, self._num_peers, seed=seed)
        )

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_test_begin(self, logs=None):
        self.store(self.model, self._epoch)


class _StopOnNaN(keras.callbacks.Callback):
    """Stops at the first step whose loss is not a finite number."""

    def __init__(self, learning_rate):
        super().__init__()
        self._learning_rate = learning_rate

    def on_train_batch_end(self, batch, logs=None):
        if not math.isfinite(float(logs["loss"])):
            step = int(self.model.optimizer.iterations)
            raise TrainingError(
                f"the loss is {float(logs['loss'])} at step {step}: run again in "
                "another --output_dir with a --learning_rate below "
                f"{self._learning_rate}"
            )


class _Checkpoint(keras.callbacks.Callback):
    """Saves the whole state after each epoch, and restores it.

    A checkpoint is one file, `checkpoint-EPOCH.weights.h5`: weights, optimizer
    and random generators; beside it `training.csv` holds the epochs so far and
    `run.json` the run's identity.
    """

    def __init__(self, output_dir, run_id):
        super().__init__()
        self._output_dir = output_dir
        self._run_id = run_id
        self.history = []

    def restore(self, model):
        """Loads the newest checkpoint, if there is one, into the model."""
        self._claim_directory()
        found = self._checkpoints()
        if not found:
            return
        epoch = max(found)
        self.history = self._read_history()[:epoch]
        model.load_weights(found[epoch])

    def on_epoch_begin(self, epoch, logs=None):
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        row = {"epoch": epoch + 1}
        row.update({name: float(value) for name, value in logs.items()})
        row["seconds"] = round(time.perf_counter() - self._start, 1)
        self.history.append(row)
        with results.atomic_file(self._path("training.csv")) as path:
            with open(path, "w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, list(self.history[0]))
                writer.writeheader()
                writer.writerows(self.history)
        new = self._path(f"checkpoint-{epoch + 1:04d}.weights.h5")
        with results.atomic_file(new) as path:
            self.model.save_weights(path)
        for path in self._checkpoints().values():
            if path != new:
                os.remove(path)

    def _claim_directory(self):
        path = self._path("run.json")
        if not os.path.exists(path):
            with results.atomic_file(path) as temporary:
                with open(temporary, "w", encoding="utf-8") as file:
                    json.dump(self._run_id, file, indent=2)
            return
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
        wanted = json.loads(json.dumps(self._run_id))
        for name in {**found, **wanted}:
            if found.get(name) != wanted.get(name):
                raise TrainingError(
                    f"{self._output_dir} holds a run with {name}="
                    f"{found.get(name)}, not {wanted.get(name)}: give the same "
                    "flags to resume it, or another --output_dir"
                )

    def _checkpoints(self):
        found = {}
        for name in os.listdir(self._output_dir):
            match = re.fullmatch(r"checkpoint-(\d+)\.weights\.h5", name)
            if match:
                found[int(match[1])] = self._path(name)
        return found

    def _read_history(self):
        with open(self._path("training.csv"), encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return [
            {
                name: int(value) if name == "epoch" else float(value)
                for name, value in row.items()
            }
            for row in rows
        ]

    def _path(self, name):
        return os.path.join(self._output_dir, name)
