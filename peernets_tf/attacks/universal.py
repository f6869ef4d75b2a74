"""Universal perturbations: one for all images, made from training images.

A maker is a frozen dataclass with `iterate`, which yields after every batch,
so that a caller can show progress, save, and go on later. `apply` adds the
result to images.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar, Self

import numpy as np
from keras import ops
from numpy.typing import NDArray

from peernets_tf.attacks import autodiff, guards, losses, projections
from peernets_tf.attacks.deepfool import DeepFool

# A tensor of the Keras backend, or an array that it converts.
Tensor = Any


def apply(
    images: NDArray[Any], perturbation: NDArray[Any]
) -> NDArray[np.float32]:
    """Adds a perturbation `(H, W, C)` to images, and clips to [0, 1]."""
    return np.clip(images + perturbation, 0, 1).astype(np.float32)


def strength(images: NDArray[Any], rho: float) -> float:
    """Returns the L2 norm rho E||x||_2 over images (Section 4.3.2)."""
    flat = images.reshape(len(images), -1)
    return rho * float(np.mean(np.linalg.norm(flat, axis=1)))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Progress:
    """Where the making of a perturbation stands.

    Attributes:
        perturbation: float32 array of shape `(H, W, C)`.
        batches: int, batches done, over all passes.
        seen: int, images of the current pass that were looked at.
        fooled: int, those of them whose class had changed already.
        finished: bool, whether no batch is left or the fooling rate is
            reached.
    """

    perturbation: NDArray[np.float32]
    batches: int = 0
    seen: int = 0
    fooled: int = 0
    finished: bool = False

    def save(self, path: str, *, identity: str = "") -> None:
        """Writes an .npz file, which `load` reads, and what it is of."""
        np.savez(path, identity=identity, **dataclasses.asdict(self))

    @classmethod
    def load(cls, path: str) -> Self:
        """Reads an .npz file that `save` wrote."""
        with np.load(path) as arrays:
            return cls(
                perturbation=arrays["perturbation"],
                batches=int(arrays["batches"]),
                seen=int(arrays["seen"]),
                fooled=int(arrays["fooled"]),
                finished=bool(arrays["finished"]),
            )


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class FixedPerturbation:
    """A perturbation in the form of an attack.

    Attributes:
        perturbation: array of shape `(H, W, C)`.
        source: str, how it was made, or its file.
    """

    perturbation: NDArray[np.float32] = dataclasses.field(repr=False)
    source: str

    def __call__(
        self,
        logits_fn: autodiff.LogitsFunction,
        images: NDArray[Any],
        labels: NDArray[Any] | None = None,
        *,
        seed: int = 0,
    ) -> NDArray[np.float32]:
        """Returns the perturbed images; only `images` is used."""
        del logits_fn, labels, seed
        return apply(images, self.perturbation)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Maker:
    """Passes over training images, batch by batch."""

    _STREAM: ClassVar[int] = 12

    epsilon: float
    norm: str = "l2"
    passes: int = 10
    batch_size: int = 32
    fooling_rate: float = 1.0

    def __post_init__(self) -> None:
        projections.check_norm(self.norm)
        if not self.epsilon >= 0:
            raise ValueError(
                f"`epsilon` must not be negative. Received: {self.epsilon}"
            )
        if self.passes < 1 or self.batch_size < 1:
            raise ValueError(
                "`passes` and `batch_size` must be at least 1. Received: "
                f"passes={self.passes}, batch_size={self.batch_size}"
            )

    def __call__(
        self,
        logits_fn: autodiff.LogitsFunction,
        images: NDArray[Any],
        *,
        seed: int = 0,
    ) -> NDArray[np.float32]:
        """Makes a perturbation.

        Args:
            logits_fn: function from images to logits.
            images: float array of shape `(N, H, W, C)` in [0, 1]: training
                images.
            seed: int, the seed of their order.

        Returns:
            Array of shape `(H, W, C)`, in the ball of radius `epsilon`.
        """
        *_, last = self.iterate(logits_fn, images, seed=seed)
        return last.perturbation

    def iterate(
        self,
        logits_fn: autodiff.LogitsFunction,
        images: NDArray[Any],
        *,
        seed: int = 0,
        start: Progress | None = None,
    ) -> Iterator[Progress]:
        """Yields after every batch; `start` is where an earlier run ended."""
        images = np.asarray(images, np.float32)
        if len(images) == 0:
            raise ValueError("a universal perturbation needs training images")
        guards.check_images(images)
        classes = _predictions(logits_fn, images, self.batch_size)
        progress = start or Progress(
            perturbation=np.zeros(images.shape[1:], np.float32)
        )
        per_pass = -(-len(images) // self.batch_size)
        while not progress.finished:
            number, batch = divmod(progress.batches, per_pass)
            rng = np.random.default_rng((self._STREAM, seed, number))
            order = rng.permutation(len(images))
            first = batch * self.batch_size
            chosen = order[first : first + self.batch_size]
            before = progress.perturbation
            change, fooled = self._change(
                logits_fn, apply(images[chosen], before), classes[chosen]
            )
            after = projections.project(
                (before + change)[None],
                self.norm,
                np.array([self.epsilon], np.float32),
            )
            is_last = progress.batches + 1 == per_pass * self.passes
            progress = Progress(
                perturbation=ops.convert_to_numpy(after)[0],
                batches=progress.batches + 1,
                seen=len(chosen) + (progress.seen if batch else 0),
                fooled=fooled + (progress.fooled if batch else 0),
                finished=is_last,
            )
            if batch == per_pass - 1 and not is_last and self.fooling_rate < 1:
                perturbed = apply(images, progress.perturbation)
                now = _predictions(logits_fn, perturbed, self.batch_size)
                reached = np.mean(now != classes) >= self.fooling_rate
                progress = dataclasses.replace(progress, finished=bool(reached))
            yield progress

    def _change(
        self,
        logits_fn: autodiff.LogitsFunction,
        perturbed: NDArray[np.float32],
        classes: NDArray[np.int32],
    ) -> tuple[NDArray[np.float32], int]:
        """Returns what to add, and how many images are fooled already."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True, kw_only=True)
class UniversalDeepFool(_Maker):
    """Universal adversarial perturbations, Moosavi-Dezfooli et al. (2017).

    Each image whose class the perturbation does not change yet is led over the
    nearest boundary by DeepFool, and what that took is added, if it succeeded;
    then the sum is projected to the ball. Unlike its authors' code it keeps
    images in [0, 1]. A batch size of 1 is the published algorithm; a
    larger batch adds the sum of what all its images took at once.

    Attributes:
        epsilon: float, the radius of the ball, for images in [0, 1].
        norm: `"l2"` or `"linf"`.
        passes: int, passes over the images at most.
        batch_size: int, images attacked at once.
        fooling_rate: float in [0, 1], on the training images, at which it
            stops after a pass. Its authors stop at 0.8.
        deepfool: the `DeepFool` for single images. Its authors take at most
            ten steps.
    """

    fooling_rate: float = 0.8
    deepfool: DeepFool = DeepFool(max_steps=10)

    def _change(
        self,
        logits_fn: autodiff.LogitsFunction,
        perturbed: NDArray[np.float32],
        classes: NDArray[np.int32],
    ) -> tuple[NDArray[np.float32], int]:
        (predictions,) = autodiff.in_buckets(
            autodiff.predictions_of(logits_fn), perturbed
        )
        is_left = predictions == classes
        fooled = int(np.sum(~is_left))
        if not is_left.any():
            return np.zeros(perturbed.shape[1:], np.float32), fooled
        changes, fools = self.deepfool.perturbations(
            logits_fn, perturbed[is_left]
        )
        return changes[fools].sum(axis=0), fooled


@dataclasses.dataclass(frozen=True, kw_only=True)
class UniversalGradient(_Maker):
    """A universal perturbation by projected gradient ascent on the mean loss.

    It needs only a gradient, so it works with any backward pass.

    Attributes:
        epsilon: float, the radius of the ball, for images in [0, 1].
        norm: `"l2"` or `"linf"`.
        passes: int, passes over the images.
        batch_size: int, images whose losses are averaged.
        fooling_rate: float in [0, 1], on the training images, at which it
            stops after a pass; 1 goes on to the last.
        loss: `"cross_entropy"` or `"margin"`.
        step_size: float, the length of a step as a share of epsilon.
    """

    loss: str = "cross_entropy"
    step_size: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        losses.check_loss(self.loss)

    def _change(
        self,
        logits_fn: autodiff.LogitsFunction,
        perturbed: NDArray[np.float32],
        classes: NDArray[np.int32],
    ) -> tuple[NDArray[np.float32], int]:
        gradients, predictions = autodiff.in_buckets(
            losses.gradient_of(logits_fn, self.loss), perturbed, classes
        )
        direction = projections.steepest(
            gradients.mean(axis=0, keepdims=True), self.norm
        )
        step = self.epsilon * self.step_size
        return (
            step * ops.convert_to_numpy(direction)[0],
            int(np.sum(predictions != classes)),
        )


def _predictions(
    logits_fn: autodiff.LogitsFunction,
    images: NDArray[np.float32],
    batch_size: int,
) -> NDArray[np.int32]:
    predict = autodiff.predictions_of(logits_fn)
    batch_size = max(batch_size, 100)
    return np.concatenate(
        [
            autodiff.in_buckets(predict, images[i : i + batch_size])[0]
            for i in range(0, len(images), batch_size)
        ]
    )
