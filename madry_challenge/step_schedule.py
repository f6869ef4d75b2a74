"""The challenge's schedule, which counts steps where Keras counts epochs."""

import math
from collections.abc import Sequence
from typing import Any

import keras

from madry_challenge.adversarial_training import AdversarialTrainer
from madry_challenge.config import Config
from madry_challenge.options import Options
from peernets_tf import datasets, training
from peernets_tf.types import Tensor


class StepBatches(keras.utils.PyDataset):
    """Batches in epochs of a fixed number of steps, for `keras.Model.fit`.

    Keras saves checkpoints between epochs, but the challenge counts steps. So
    an epoch of this object ends at a checkpoint, wherever the training set is.

    Args:
        batches: a `peernets_tf.datasets.Batches`, used again and again.
        steps: int, the steps between checkpoints.
    """

    def __init__(self, batches: datasets.Batches, steps: int) -> None:
        super().__init__()
        self._batches = batches
        self._steps = steps
        self._first = 0

    def set_epoch(self, epoch: int) -> None:
        """Continues at the first step after a number of checkpoints."""
        self._first = epoch * self._steps

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        epoch, index = divmod(self._first + index, len(self._batches))
        if epoch != self._batches.epoch:
            self._batches.set_epoch(epoch)
        return self._batches[index]


class StopAtStep(keras.callbacks.Callback):
    """Ends a training at a step that may lie between two checkpoints."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._steps = steps

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if training.steps_taken(self.model) >= self._steps:
            self.model.stop_training = True


def fit(
    trainer: AdversarialTrainer,
    dataset: datasets.Dataset,
    settings: Config,
    options: Options,
    *,
    num_devices: int = 1,
    checkpoint: training.Checkpoint,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int | str = "auto",
) -> training.Fitted:
    """Trains with the challenge's schedule, from the last checkpoint on.

    In the checkpoint's history, loss and accuracy are those of adversarial
    images, and those of validation are those of unperturbed images. A learning
    rate begins at the step that the schedule names; the original begins it at
    the next one.

    Args:
        trainer: the `AdversarialTrainer`, not compiled.
        dataset: the `peernets_tf.datasets.Dataset`.
        settings: the `Config` with the schedule and the seed.
        options: the `Options`.
        num_devices: int, the devices that share each batch.
        checkpoint: a `peernets_tf.training.Checkpoint`.
        callbacks: more Keras callbacks.
        verbose: the verbosity of `keras.Model.fit`.

    Returns:
        See `peernets_tf.training.fit`.

    Raises:
        TrainingError: see `peernets_tf.training.fit_batches`.
    """
    training.compile_with(
        trainer,
        keras.optimizers.SGD(
            _learning_rate(settings), momentum=settings.momentum
        ),
    )
    steps = min(settings.num_checkpoint_steps, settings.max_num_training_steps)
    batches = datasets.Batches(
        dataset.train,
        settings.training_batch_size,
        seed=settings.tf_random_seed,
        augment=bool(options.augment),
    )
    return training.fit_batches(
        trainer,
        StepBatches(batches, steps),
        dataset,
        training.FitPlan(
            epochs=math.ceil(settings.max_num_training_steps / steps),
            batch_size=settings.training_batch_size,
            num_peers=options.num_peers,
            seed=settings.tf_random_seed,
            validation_size=options.validation_size,
            num_devices=num_devices,
            verbose=verbose,
            steps=settings.max_num_training_steps,
        ),
        checkpoint=checkpoint,
        callbacks=[StopAtStep(settings.max_num_training_steps), *callbacks],
    )


def _learning_rate(
    settings: Config,
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    rates = [rate for _, rate in settings.step_size_schedule]
    starts = [step for step, _ in settings.step_size_schedule[1:]]
    if not starts:
        return rates[0]
    return keras.optimizers.schedules.PiecewiseConstantDecay(
        # Keras keeps a rate up to and at its boundary.
        [step - 1 for step in starts],
        rates,
    )
