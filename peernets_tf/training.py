"""Training: optimizers, schedules, checkpoints, and the fit that resumes."""

import importlib.util
import math
import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from peernets_tf import data, peers, recipes
from peernets_tf.checkpoint import Checkpoint, TrainingError

SCHEDULES = ("constant", "step", "cosine")
OPTIMIZERS = ("adam", "momentum")


def fit(
    model: keras.Model,
    dataset: data.Dataset,
    recipe: recipes.Recipe,
    *,
    checkpoint: Checkpoint,
    seed: int,
    validation_size: int = 1000,
    verbose: int | str = "auto",
) -> list[dict[str, Any]]:
    """Trains a model, going on from the last whole checkpoint if there is one.

    After each epoch the checkpoint's folder holds the new state,
    `training.csv` and TensorBoard logs. A PeerNet is validated with a graph of
    fresh peers.

    Args:
        model: a Keras model from images to logits, not compiled.
        dataset: a `peernets_tf.data.Dataset`.
        recipe: a `peernets_tf.recipes.Recipe`.
        checkpoint: a `peernets_tf.checkpoint.Checkpoint`.
        seed: int, the seed of order, augmentation and validation graphs.
        validation_size: int, the first test images used after each epoch.
        verbose: the verbosity of `keras.Model.fit`.

    Returns:
        A list of dicts, one an epoch, with epoch, loss, accuracy, val_loss,
        val_accuracy and seconds.

    Raises:
        TrainingError: if the loss is not a number, or the checkpoint's folder
            holds another run.
        ValueError: if the recipe does not fit the data.
    """
    batches = data.Batches(
        dataset.train, recipe.batch_size, seed=seed, augment=recipe.augment
    )
    compile_model(model, recipe, steps_per_epoch=len(batches))
    return fit_batches(
        model,
        batches,
        dataset,
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        num_peers=recipe.num_peers,
        checkpoint=checkpoint,
        seed=seed,
        validation_size=validation_size,
        verbose=verbose,
    )


def fit_batches(
    model: keras.Model,
    batches: keras.utils.PyDataset,
    dataset: data.Dataset,
    *,
    epochs: int,
    batch_size: int,
    num_peers: int,
    checkpoint: Checkpoint,
    seed: int,
    validation_size: int = 1000,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int | str = "auto",
) -> list[dict[str, Any]]:
    """Trains a compiled model on batches; `fit` explains the rest.

    Args:
        model: a compiled Keras model.
        batches: a `keras.utils.PyDataset` with `set_epoch`.
        dataset: the `Dataset` of validation images and peers.
        epochs: int, how often the batches are passed.
        batch_size: int, images a batch.
        num_peers: int, N, the images of a PeerNet's validation graph.
        checkpoint: see `fit`.
        seed: see `fit`.
        validation_size: see `fit`.
        callbacks: more Keras callbacks, called before the checkpoint's.
        verbose: see `fit`.

    Returns:
        The history, see `fit`.

    Raises:
        TrainingError: see `fit`.
        ValueError: if the batch is too small a graph for a layer.
    """
    callbacks = [_EpochOfBatches(batches), *callbacks]
    if peers.peer_layers(model):
        _check_batch_graph(model, batch_size)
        validation_peers = _ValidationPeers(
            dataset.train.images, num_peers, seed
        )
        validation_peers.store(model, epoch=0)
        callbacks.append(validation_peers)
    checkpoint.restore(model)
    history = checkpoint.history
    callbacks += [_StopOnNaN(), checkpoint]
    if all(map(importlib.util.find_spec, ("tensorflow", "tensorboard"))):
        # Keras writes TensorBoard's files with TensorFlow, on every backend.
        logs = os.path.join(checkpoint.output_dir, "tensorboard")
        callbacks.append(keras.callbacks.TensorBoard(logs, write_graph=False))
    if len(history) < epochs:
        validation = dataset.test.first(validation_size)
        model.fit(
            batches,
            epochs=epochs,
            initial_epoch=len(history),
            validation_data=(validation.images, validation.labels),
            validation_batch_size=100,
            shuffle=False,
            callbacks=callbacks,
            verbose=verbose,
        )
    return history


def compile_model(
    model: keras.Model, recipe: recipes.Recipe, steps_per_epoch: int
) -> None:
    """Compiles a model from images to logits with a recipe's optimizer."""
    rate = learning_rate_schedule(recipe, steps_per_epoch)
    if recipe.optimizer == "adam":
        optimizer = keras.optimizers.Adam(rate)
    elif recipe.optimizer == "momentum":
        optimizer = keras.optimizers.SGD(rate, momentum=recipe.momentum)
    else:
        raise ValueError(
            f"`optimizer` must be one of {OPTIMIZERS}. Received: "
            f"optimizer={recipe.optimizer}"
        )
    compile_with(model, optimizer)


def compile_with(
    model: keras.Model, optimizer: keras.optimizers.Optimizer
) -> None:
    """Compiles a model with the loss and metric of all trainings here.

    Args:
        model: a Keras model from images to logits.
        optimizer: a Keras optimizer; its slots are built.
    """
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    # Its slots must exist before a checkpoint can be restored.
    model.optimizer.build(model.trainable_variables)


def count_correct(
    model: keras.Model,
    split: data.Split,
    batch_size: int = 100,
    verbose: int | str = "auto",
) -> int:
    """Returns how many images of a split a model classifies correctly."""
    logits = model.predict(split.images, batch_size=batch_size, verbose=verbose)
    return int(np.sum(np.argmax(logits, axis=-1) == split.labels))


def learning_rate_schedule(
    recipe: recipes.Recipe, steps_per_epoch: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Returns the learning rate, a float or a Keras schedule.

    `"constant"` stays; `"step"` multiplies by `decay_factor` at each of
    `decay_epochs` (Table 1); `"cosine"`, for shorter trainings, rises linearly
    over the first tenth of all steps and falls along a cosine to zero at the
    last.

    Raises:
        ValueError: if there is no such schedule.
    """
    if recipe.schedule == "constant":
        return recipe.learning_rate
    if recipe.schedule == "step":
        epochs = [e for e in recipe.decay_epochs if e < recipe.epochs]
        if not epochs:
            return recipe.learning_rate
        return keras.optimizers.schedules.PiecewiseConstantDecay(
            # Keras keeps a rate up to and at its boundary.
            [epoch * steps_per_epoch - 1 for epoch in epochs],
            [
                recipe.learning_rate * recipe.decay_factor**i
                for i in range(len(epochs) + 1)
            ],
        )
    if recipe.schedule == "cosine":
        steps = recipe.epochs * steps_per_epoch
        warmup_steps = steps // 10
        return keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.1 * recipe.learning_rate,
            decay_steps=steps - warmup_steps,
            warmup_target=recipe.learning_rate,
            warmup_steps=warmup_steps,
        )
    raise ValueError(
        f"`schedule` must be one of {SCHEDULES}. Received: "
        f"schedule={recipe.schedule}"
    )


def _check_batch_graph(model: keras.Model, batch_size: int) -> None:
    for layer in peers.peer_layers(model):
        pixels = batch_size * math.prod(layer.input.shape[1:3])
        if pixels < layer.num_neighbors:
            raise ValueError(
                f"`batch_size` leaves {layer.name} {pixels} pixels for "
                f"{layer.num_neighbors} neighbours; take a larger one. "
                f"Received: batch_size={batch_size}"
            )


class _EpochOfBatches(keras.callbacks.Callback):
    """Tells the batches which epoch begins."""

    def __init__(self, batches: keras.utils.PyDataset) -> None:
        super().__init__()
        self._batches = batches

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._batches.set_epoch(epoch)


class _ValidationPeers(keras.callbacks.Callback):
    """Stores one graph of fresh peers before each validation."""

    def __init__(
        self, images: NDArray[np.float32], num_peers: int, seed: int
    ) -> None:
        super().__init__()
        self._images = images
        self._num_peers = num_peers
        self._seed = seed
        self._epoch = 0

    def store(self, model: keras.Model, epoch: int) -> None:
        seed = (2, self._seed, epoch)
        peers.set_peers(
            model, peers.draw_peers(self._images, self._num_peers, seed=seed)
        )

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch

    def on_test_begin(self, logs: Any = None) -> None:
        self.store(self.model, self._epoch)


class _StopOnNaN(keras.callbacks.Callback):
    """Stops at the first step whose loss is not a finite number."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if not math.isfinite(float(logs["loss"])):
            optimizer = self.model.optimizer
            raise TrainingError(
                f"the loss is {float(logs['loss'])} at step "
                f"{int(optimizer.iterations)}: run again in another "
                "--output_dir with a smaller learning rate (it was "
                f"{float(optimizer.learning_rate):g})"
            )
