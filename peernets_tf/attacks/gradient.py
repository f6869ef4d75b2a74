"""Attacks that follow the gradient: gradient descent, FGSM and PGD.

Each is called with `attack(logits_fn, images, labels, seed=0)`. Its
perturbations lie in the ball of radius `epsilon`, and its images in [0, 1].
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from keras import ops
from numpy.typing import NDArray

from peernets_tf.attacks import autodiff, guards, losses, projections

# A tensor of the Keras backend, or an array that it converts.
Tensor = Any

# Fewer would call the model more often to see who is fooled.
_STEPS_BETWEEN_STOPS = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class _SingleStep:
    """One step of length `epsilon` along the gradient at the image."""

    epsilon: float = 8 / 255
    norm: str = "linf"
    loss: str = "cross_entropy"
    targeted: bool = False

    def __post_init__(self) -> None:
        _check(self)

    def __call__(
        self,
        logits_fn: autodiff.LogitsFunction,
        images: NDArray[Any],
        labels: NDArray[Any],
        *,
        seed: int = 0,
        epsilon: NDArray[Any] | None = None,
    ) -> NDArray[np.float32]:
        """Attacks images.

        Args:
            logits_fn: function from images to logits.
            images: float array of shape `(B, H, W, C)` in [0, 1].
            labels: int array of shape `(B,)`: the true classes, or, if
                targeted, the classes to reach.
            seed: int, not used: nothing is drawn.
            epsilon: float array of shape `(B,)`: a radius for each image
                instead of the attack's own.

        Returns:
            Array of the shape of `images`, in [0, 1].
        """
        del seed
        images, labels, radius = _arguments(images, labels, epsilon, self)
        ascend = _compiled_ascent(
            logits_fn,
            norm=self.norm,
            loss=self.loss,
            targeted=self.targeted,
            keep_best=False,
        )
        return ops.convert_to_numpy(
            ascend(images, images, labels, radius, radius, np.int32(1))[0]
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class FGSM(_SingleStep):
    """The fast gradient sign method of Goodfellow et al. (2015).

    x + epsilon sign(gradient), clipped to [0, 1]; for L2 the gradient over its
    length instead of its sign.

    Attributes:
        epsilon: float, the length of the step, for images in [0, 1].
        norm: `"linf"` or `"l2"`.
        loss: `"cross_entropy"` or `"margin"`.
        targeted: bool, whether the labels are classes to reach.
    """


@dataclasses.dataclass(frozen=True, kw_only=True)
class GradientDescent(_SingleStep):
    """One step along the gradient itself, x + epsilon grad / ||grad||.

    The "gradient descent attack" of Section 4.3.1, which scans ten epsilons:
    see `SmallestEpsilon`.

    Attributes:
        epsilon: float, the L2 length of the step, for images in [0, 1].
        norm: `"l2"`.
        loss: `"cross_entropy"` or `"margin"`.
        targeted: bool, whether the labels are classes to reach.
    """

    epsilon: float = 1.0
    norm: str = "l2"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.norm != "l2":
            raise ValueError(
                "gradient descent steps along the gradient itself, norm l2; "
                "FGSM takes its sign"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class PGD:
    """Projected gradient descent, Madry et al. (2017).

    Attributes:
        epsilon: float, the radius of the ball, for images in [0, 1].
        steps: int, gradient steps.
        step_size: float or None, the length of a step; None for
            2.5 epsilon / steps.
        norm: `"linf"` or `"l2"`.
        loss: `"cross_entropy"` or `"margin"`.
        targeted: bool, whether the labels are classes to reach.
        random_start: bool, whether to start at a random point of the ball.
        restarts: int, how often to start; the best of all is kept.
        keep_best: bool, whether to keep the best iterate (one that fools
            before one that does not, then the larger loss), or the last.
        stop_when_fooled: bool, whether an image that is fooled takes no more
            steps. As many are fooled as otherwise, in a fraction of the time
            where most are; but their losses stay smaller, which counts when
            another model judges them. Keeps the best iterate.
    """

    # Its random start is drawn from this and the seed.
    _STREAM: ClassVar[int] = 10

    epsilon: float = 8 / 255
    steps: int = 40
    step_size: float | None = None
    norm: str = "linf"
    loss: str = "cross_entropy"
    targeted: bool = False
    random_start: bool = True
    restarts: int = 1
    keep_best: bool = True
    stop_when_fooled: bool = False

    def __post_init__(self) -> None:
        _check(self)
        for name in ("steps", "restarts"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"`{name}` must be at least 1. Received: "
                    f"{getattr(self, name)}"
                )
        if not self.keep_best and (self.restarts > 1 or self.stop_when_fooled):
            raise ValueError(
                "`restarts` and `stop_when_fooled` need `keep_best`: which "
                "iterate else to take?"
            )
        if self.step_size is not None and not self.step_size >= 0:
            raise ValueError(
                f"`step_size` must not be negative. Received: {self.step_size}"
            )

    def __call__(
        self,
        logits_fn: autodiff.LogitsFunction,
        images: NDArray[Any],
        labels: NDArray[Any],
        *,
        seed: int = 0,
        epsilon: NDArray[Any] | None = None,
    ) -> NDArray[np.float32]:
        """Attacks images.

        Args:
            logits_fn: function from images to logits.
            images: float array of shape `(B, H, W, C)` in [0, 1].
            labels: int array of shape `(B,)`: the true classes, or, if
                targeted, the classes to reach.
            seed: int, the seed of the random starts.
            epsilon: float array of shape `(B,)`: a radius for each image
                instead of the attack's own; the step's length is scaled with
                it.

        Returns:
            Array of the shape of `images`, in [0, 1].
        """
        images, labels, radius = _arguments(images, labels, epsilon, self)
        if self.step_size is None:
            step_size = radius * np.float32(2.5 / self.steps)
        elif epsilon is None or self.epsilon == 0:
            step_size = np.full_like(radius, self.step_size)
        else:
            step_size = radius * np.float32(self.step_size / self.epsilon)
        ascend = _compiled_ascent(
            logits_fn,
            norm=self.norm,
            loss=self.loss,
            targeted=self.targeted,
            keep_best=self.keep_best,
        )
        best = _Best(images)
        for restart in range(self.restarts):
            start = images.copy()
            if self.random_start:
                rng = np.random.default_rng((self._STREAM, seed, restart))
                start = images + projections.random_points(
                    images.shape, self.norm, radius, rng
                )
                start = np.clip(start, 0, 1)
            if not self.stop_when_fooled:
                steps = np.int32(self.steps)
                found = ascend(start, images, labels, radius, step_size, steps)
                best.update(np.arange(len(images)), *found[1:])
                continue
            for done in range(0, self.steps, _STEPS_BETWEEN_STOPS):
                active = np.flatnonzero(best.fooled == 0)
                if not len(active):
                    break
                steps = np.int32(min(_STEPS_BETWEEN_STOPS, self.steps - done))
                iterates, *found = autodiff.in_buckets(
                    lambda *batch, steps=steps: ascend(*batch, steps),
                    start[active],
                    images[active],
                    labels[active],
                    radius[active],
                    step_size[active],
                )
                start[active] = iterates
                best.update(active, *found)
        return best.images


class _Best:
    """The best adversarial images so far."""

    def __init__(self, images: NDArray[np.float32]) -> None:
        self.images = images.copy()
        self.fooled = np.zeros(len(images), np.float32)
        self._losses = np.full(len(images), -np.inf, np.float32)

    def update(
        self, where: NDArray[np.int_], images: Any, losses: Any, fooled: Any
    ) -> None:
        """Keeps what is better at the places `where`."""
        images, losses, fooled = map(
            ops.convert_to_numpy, (images, losses, fooled)
        )
        better = (fooled > self.fooled[where]) | (
            (fooled == self.fooled[where]) & (losses > self._losses[where])
        )
        where = where[better]
        self.images[where] = images[better]
        self.fooled[where] = fooled[better]
        self._losses[where] = losses[better]


def ascend(
    logits_fn: autodiff.LogitsFunction,
    start: Tensor,
    images: Tensor,
    labels: Tensor,
    epsilon: Tensor,
    step_size: Tensor,
    steps: int | Tensor,
    *,
    norm: str,
    loss: str,
    targeted: bool,
    keep_best: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Projected gradient ascent on the loss, as one expression of tensors.

    Args:
        logits_fn: function from images to logits.
        start: float tensor of shape `(B, H, W, C)`, the first iterates.
        images: float tensor of shape `(B, H, W, C)`, the balls' centres.
        labels: int tensor of shape `(B,)`.
        epsilon: float tensor of shape `(B,)`, the radii.
        step_size: float tensor of shape `(B,)`.
        steps: int.
        norm: `"linf"` or `"l2"`.
        loss: `"cross_entropy"` or `"margin"`.
        targeted: bool.
        keep_best: bool, whether to return the best of all iterates.

    Returns:
        The last iterates; and the best ones, their losses `(B,)` and whether
        they fool, 1.0 or 0.0, `(B,)`. Unless the best is kept, those are the
        last iterates again, and zeros.
    """

    def loss_and_logits(iterates: Tensor) -> tuple[Tensor, Tensor]:
        logits = logits_fn(iterates)
        return losses.loss(logits, labels, loss, targeted=targeted), logits

    def keep(best: Any, iterates: Tensor, value: Tensor, logits: Tensor) -> Any:
        kept, kept_value, kept_fooled = best
        fooled = ops.cast(
            losses.is_fooled(autodiff.predictions(logits), labels, targeted),
            value.dtype,
        )
        better = (fooled > kept_fooled) | (
            (fooled == kept_fooled) & (value > kept_value)
        )
        return (
            ops.where(projections.like_images(better, images), iterates, kept),
            ops.where(better, value, kept_value),
            ops.where(better, fooled, kept_fooled),
        )

    def step(_: Tensor, state: Any) -> Any:
        iterates, *best = state
        value, logits, gradient = autodiff.value_and_gradient(
            loss_and_logits, iterates
        )
        if keep_best:
            best = keep(best, iterates, value, logits)
        direction = projections.steepest(gradient, norm)
        iterates = iterates + direction * projections.like_images(
            step_size, images
        )
        # Clipped first: the projection scales or clips towards the image, so
        # it does not leave [0, 1] again, but by rounding.
        iterates = ops.clip(iterates, 0.0, 1.0)
        change = projections.project(iterates - images, norm, epsilon)
        return (ops.clip(images + change, 0.0, 1.0), *best)

    worst = ops.zeros_like(epsilon) - (float("inf") if keep_best else 0.0)
    state = (start, start, worst, ops.zeros_like(epsilon))
    iterates, *best = ops.fori_loop(0, steps, step, state)
    if not keep_best:
        return iterates, iterates, best[1], best[2]
    value, logits = loss_and_logits(iterates)
    return iterates, *keep(best, iterates, value, logits)


@functools.lru_cache(maxsize=16)
def _compiled_ascent(
    logits_fn: autodiff.LogitsFunction, **options: Any
) -> Callable[..., Any]:
    return autodiff.compiled(functools.partial(ascend, logits_fn, **options))


def _arguments(
    images: NDArray[Any],
    labels: NDArray[Any],
    epsilon: NDArray[Any] | None,
    attack: Any,
) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.float32]]:
    images = np.asarray(images, np.float32)
    labels = np.asarray(labels, np.int32)
    guards.check_images(images)
    if epsilon is None:
        epsilon = np.full(len(images), attack.epsilon)
    return images, labels, np.asarray(epsilon, np.float32)


def _check(attack: Any) -> None:
    projections.check_norm(attack.norm)
    losses.check_loss(attack.loss)
    if not attack.epsilon >= 0:
        raise ValueError(
            f"`epsilon` must not be negative. Received: {attack.epsilon}"
        )
