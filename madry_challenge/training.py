"""Adversarial training (Madry et al. 2018): each batch is attacked first."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from madry_challenge.config import LOSSES, Config
from peernets_tf import data, training
from peernets_tf.attacks import gradient, surrogate
from peernets_tf.checkpoint import Checkpoint

# How a batch is attacked: as it is trained on, or in inference mode.
MODES = ("train", "eval")


def check_backend() -> None:
    """Raises a ValueError unless Keras has its TensorFlow backend."""
    if keras.backend.backend() != "tensorflow":
        raise ValueError("adversarial training needs KERAS_BACKEND=tensorflow")


class AdversarialTrainer(keras.Model):
    """A model whose training step is one on adversarial images.

    PGD and the step are compiled as one graph, so that no image leaves the
    device between its steps.

    Args:
        model: a Keras model from images in [0, 1] to logits.
        config: the `Config` of the attack; 0 steps train on the images.
        attack_mode: `"train"`: batch normalization with the batch's statistics
            while attacking, which also moves the averages, as in the original.
            A PeerNet's graph is then the batch, so that an image's gradient
            passes through the others, and its dropouts are drawn at each step.
            `"eval"`: inference mode, with the moving averages and a PeerNet's
            stored graph, that of the last checkpoint.
        backward: the gradient of PeerRegularization layers that the attack
            follows, see `peernets_tf.attacks.surrogate`.
        seed: int, the seed of the random starts.

    Raises:
        ValueError: if there is no such mode or backward, or Keras has another
            backend than TensorFlow.
    """

    def __init__(
        self,
        model: keras.Model,
        config: Config,
        *,
        attack_mode: str = "train",
        backward: str = "exact",
        seed: int = 0,
    ) -> None:
        super().__init__(name=f"adversarial_{model.name}")
        check_backend()
        if attack_mode not in MODES:
            raise ValueError(
                f"`attack_mode` must be one of {', '.join(MODES)}. Received: "
                f"{attack_mode}"
            )
        self.model = model
        self._config = config
        self._attacked = functools.partial(
            surrogate(model, backward), training=attack_mode == "train"
        )
        self._random = keras.random.SeedGenerator(seed)
        # It has no weights of its own to build.
        self.built = True

    def call(self, images: Any, training: bool | None = None) -> Any:
        return self.model(images, training=training)

    def train_step(self, batch: tuple[Any, ...]) -> dict[str, Any]:
        images, labels, weights = keras.utils.unpack_x_y_sample_weight(batch)
        images = self.perturb(images, labels)
        return super().train_step((images, labels, weights))

    def perturb(self, images: Any, labels: Any) -> Any:
        """Returns adversarial images: PGD in L-infinity, its last iterate.

        Args:
            images: float tensor of shape `(B, H, W, C)` in [0, 1].
            labels: int tensor of shape `(B,)`.
        """
        config = self._config
        images = ops.convert_to_tensor(images)
        if not config.num_steps:
            return images
        epsilon = config.epsilon / 255
        start = images
        if config.random_start:
            noise = keras.random.uniform(
                ops.shape(images), -epsilon, epsilon, seed=self._random
            )
            start = ops.clip(images + noise, 0.0, 1.0)
        radius = ops.full(ops.shape(labels), epsilon, dtype=images.dtype)
        iterates, *_ = gradient.ascend(
            self._attacked,
            start,
            images,
            labels,
            radius,
            ops.full_like(radius, config.step_size / 255),
            config.num_steps,
            norm="linf",
            loss=LOSSES[config.loss_func],
            targeted=False,
            keep_best=False,
        )
        return ops.stop_gradient(iterates)


class StepBatches(keras.utils.PyDataset):
    """Batches counted in steps, from one checkpoint to the next.

    Args:
        batches: a `peernets_tf.data.Batches`, which is passed again and again.
        steps: int, the steps between checkpoints.
    """

    def __init__(self, batches: data.Batches, steps: int) -> None:
        super().__init__()
        self._batches = batches
        self._steps = steps
        self._first = 0

    def set_epoch(self, epoch: int) -> None:
        """Goes to the step at which a part between checkpoints begins."""
        self._first = epoch * self._steps

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, index: int) -> tuple[Any, Any]:
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
        if int(self.model.optimizer.iterations) >= self._steps:
            self.model.stop_training = True


def fit(
    trainer: AdversarialTrainer,
    dataset: data.Dataset,
    config: Config,
    *,
    checkpoint: Checkpoint,
    seed: int,
    augment: bool = True,
    num_peers: int = 50,
    validation_size: int = 1000,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int | str = "auto",
) -> list[dict[str, Any]]:
    """Trains with the challenge's schedule, going on from a checkpoint.

    In the history, loss and accuracy are those on adversarial images, those of
    validation on the images themselves. A rate begins with the step that the
    schedule names; the original's with the next.

    Args:
        trainer: the `AdversarialTrainer`, not compiled.
        dataset: the `Dataset`.
        config: the `Config` of the schedule.
        checkpoint: a `peernets_tf.checkpoint.Checkpoint`.
        seed: int, the seed of order, augmentation and validation graphs.
        augment: bool, whether images are shifted and mirrored.
        num_peers: int, N of a PeerNet's validation graph.
        validation_size: int, the first test images used at each checkpoint.
        callbacks: more Keras callbacks.
        verbose: the verbosity of `keras.Model.fit`.

    Returns:
        A list of dicts, one a checkpoint, see `peernets_tf.training.fit`.

    Raises:
        TrainingError: see `peernets_tf.training.fit`.
    """
    rates = [rate for _, rate in config.step_size_schedule]
    starts = [step for step, _ in config.step_size_schedule[1:]]
    rate = rates[0]
    if starts:
        rate = keras.optimizers.schedules.PiecewiseConstantDecay(
            # Keras keeps a rate up to and at its boundary.
            [step - 1 for step in starts],
            rates,
        )
    training.compile_with(
        trainer, keras.optimizers.SGD(rate, momentum=config.momentum)
    )
    steps = min(config.num_checkpoint_steps, config.max_num_training_steps)
    batches = data.Batches(
        dataset.train, config.training_batch_size, seed=seed, augment=augment
    )
    return training.fit_batches(
        trainer,
        StepBatches(batches, steps),
        dataset,
        batch_size=config.training_batch_size,
        epochs=math.ceil(config.max_num_training_steps / steps),
        checkpoint=checkpoint,
        seed=seed,
        num_peers=num_peers,
        validation_size=validation_size,
        callbacks=[StopAtStep(config.max_num_training_steps), *callbacks],
        verbose=verbose,
    )
