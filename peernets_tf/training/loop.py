"""The loop of every training: it goes on from the last whole checkpoint."""

import dataclasses
import importlib.util
import math
import os
from collections.abc import Sequence
from typing import Any

import keras

from peernets_tf import datasets, peers, records
from peernets_tf.errors import UserError
from peernets_tf.progress import keras_verbosity
from peernets_tf.training import optimizers
from peernets_tf.training.callbacks import (
    AverageDevices,
    EpochOfBatches,
    StopOnNonFinite,
    TellDuration,
)
from peernets_tf.training.checkpoint import Checkpoint
from peernets_tf.training.distribution import shared_batch_size
from peernets_tf.training.own_batches import OwnBatches
from peernets_tf.training.processes import this_process
from peernets_tf.training.recipes import Recipe


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitPlan:
    """How long `fit_batches` trains, and how it validates.

    Attributes:
        epochs: int, passes over the batches.
        batch_size: int, images per batch; in a PeerNet they are also the graph.
        num_peers: int, N, the images of a PeerNet's validation graph.
        seed: int, the seed of the validation graphs.
        validation_size: int, test images classified after each epoch, the first
            ones.
        num_devices: int, the devices that share each batch.
        verbose: the verbosity of `keras.Model.fit`; `"auto"`: a progress bar
            in a terminal, otherwise one line per epoch.
        advice: str, what is printed after the estimate of the time.
        steps: int or None, the steps after which the training ends, if that is
            before the end of its last epoch.
    """

    epochs: int
    batch_size: int
    num_peers: int
    seed: int
    validation_size: int = 1000
    num_devices: int = 1
    verbose: int | str = "auto"
    advice: str = ""
    steps: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fitted:
    """What a training left behind, besides the model's weights.

    Attributes:
        history: tuple of dicts, one for each epoch, with epoch, loss, accuracy,
            val_loss, val_accuracy and seconds.
        provenance: the `records.Provenance` of the first start of the run.
    """

    history: tuple[dict[str, Any], ...]
    provenance: records.Provenance


def fit(
    model: keras.Model,
    dataset: datasets.Dataset,
    recipe: Recipe,
    *,
    checkpoint: Checkpoint,
    seed: int,
    validation_size: int = 1000,
    num_devices: int = 1,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int | str = "auto",
    advice: str = "",
) -> Fitted:
    """Trains a model with a recipe, from the last whole checkpoint on.

    After each epoch the checkpoint's folder holds the new state,
    `training.csv` and TensorBoard logs. A PeerNet is validated with a graph of
    fresh peers.

    Args:
        model: a Keras model from images to logits, not compiled.
        dataset: the `datasets.Dataset`.
        recipe: the `Recipe`.
        checkpoint: the `Checkpoint`.
        seed: int, the seed of order, augmentation and validation graphs.
        validation_size: see `FitPlan`.
        num_devices: see `FitPlan`.
        callbacks: more Keras callbacks, called before the checkpoint's.
        verbose: see `FitPlan`.
        advice: see `FitPlan`.

    Returns:
        The `Fitted` value.

    Raises:
        TrainingError: if the loss is not finite, or the checkpoint cannot be
            read or saved.
        UserError: if the recipe does not fit the data or the model, or the
            checkpoint's folder holds another run.
    """
    batches = datasets.Batches(
        dataset.train,
        recipe.batch_size,
        seed=seed,
        augment=recipe.augment,
        noise_std=recipe.noise_std,
        noise_share=recipe.noise_share,
    )
    optimizers.compile_model(model, recipe, steps_per_epoch=len(batches))
    plan = FitPlan(
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        num_peers=recipe.num_peers,
        seed=seed,
        validation_size=validation_size,
        num_devices=num_devices,
        verbose=verbose,
        advice=advice,
    )
    return fit_batches(
        model,
        batches,
        dataset,
        plan,
        checkpoint=checkpoint,
        callbacks=callbacks,
    )


def fit_batches(
    model: keras.Model,
    batches: keras.utils.PyDataset,
    dataset: datasets.Dataset,
    plan: FitPlan,
    *,
    checkpoint: Checkpoint,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Fitted:
    """Trains a compiled model on batches; see `fit`.

    Args:
        model: a compiled Keras model from images to logits, as
            `compile_with` leaves it.
        batches: a `keras.utils.PyDataset` with a method `set_epoch`.
        dataset: the `datasets.Dataset` of validation images and peers.
        plan: the `FitPlan`.
        checkpoint: the `Checkpoint`.
        callbacks: more Keras callbacks, called before the checkpoint's.

    Returns:
        See `fit`.

    Raises:
        TrainingError: see `fit`.
        UserError: see `fit`.
    """
    # First of all that save something, so that no diverged model is saved.
    callbacks = [EpochOfBatches(batches), StopOnNonFinite(), *callbacks]
    if plan.num_devices > 1:
        # Before new peers are made with the averages.
        callbacks.append(AverageDevices())
    check_sizes(
        model,
        dataset,
        batch_size=plan.batch_size,
        num_peers=plan.num_peers,
    )
    if peers.peer_layers(model):
        refresh = peers.RefreshPeers(
            dataset.train.images, plan.num_peers, plan.seed
        )
        # Refuses peers that do not fit before the folder is claimed.
        refresh.store(model, epoch=0)
        callbacks.append(refresh)
    checkpoint.restore(model)
    callbacks.append(checkpoint)
    if plan.verbose:
        callbacks.append(TellDuration(plan.epochs, plan.advice, plan.steps))
    if all(map(importlib.util.find_spec, ("tensorflow", "tensorboard"))):
        # Keras writes TensorBoard's files with TensorFlow, on every backend.
        logs = os.path.join(checkpoint.output_dir, "tensorboard")
        if os.path.exists(logs) and not os.path.isdir(logs):
            raise UserError(
                f"{logs} must be a folder, for TensorBoard's logs. Received: a "
                "file; remove it or choose another --output_dir"
            )
        callbacks.append(keras.callbacks.TensorBoard(logs, write_graph=False))
    if len(checkpoint.history) < plan.epochs:
        validation = dataset.test.first(plan.validation_size)
        process = this_process()
        if process.count > 1:
            batches = OwnBatches(batches, process)
        validation_batch_size = shared_batch_size(100, plan.num_devices)
        model.fit(
            batches,
            epochs=plan.epochs,
            initial_epoch=len(checkpoint.history),
            validation_data=(
                process.share(validation.images),
                process.share(validation.labels),
            ),
            validation_batch_size=validation_batch_size // process.count,
            shuffle=False,
            callbacks=callbacks,
            verbose=keras_verbosity(plan.verbose),
        )
    return Fitted(
        history=tuple(checkpoint.history), provenance=checkpoint.provenance
    )


def check_sizes(
    model: keras.Model,
    dataset: datasets.Dataset,
    *,
    batch_size: int,
    num_peers: int,
    batch_flag: str = "batch_size",
) -> None:
    """Checks that a data set fills the batches and graphs of a training.

    Args:
        model: a built Keras model.
        dataset: the `datasets.Dataset`.
        batch_size: int, images per batch.
        num_peers: int, N, the images of a graph; read for PeerNets only.
        batch_flag: str, what errors call `batch_size`.

    Raises:
        UserError: if the training set has fewer images, or a graph would have
            fewer pixels than a layer has neighbours.
    """
    layers = peers.peer_layers(model)
    sizes = {batch_flag: batch_size}
    if layers:
        sizes["num_peers"] = num_peers
    for name, images in sizes.items():
        if images > len(dataset.train):
            raise UserError(
                f"`{name}` must be at most the number of training images, "
                f"{len(dataset.train)}. Received: {name}={images}"
            )
        for layer in layers:
            pixels = images * math.prod(layer.input.shape[1:3])
            if pixels < layer.num_neighbors:
                raise UserError(
                    f"a graph must have at least {layer.num_neighbors} pixels "
                    f"at layer {layer.name}, one for each neighbour. Received: "
                    f"{name}={images}, which has {pixels}; take a larger one"
                )
