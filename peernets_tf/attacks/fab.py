"""FAB: the nearest adversarial image, along linearised decision boundaries."""

import dataclasses
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from peernets_tf.attacks import (
    autodiff,
    checks,
    draws,
    hyperplane,
    losses,
    norms,
    rejection,
)
from peernets_tf.attacks.base import Attack
from peernets_tf.attacks.classifier import Classifier
from peernets_tf.errors import UserError
from peernets_tf.lazy import ops
from peernets_tf.seeds import Stream, generator
from peernets_tf.types import LogitsFunction, Tensor

# The settings of AutoAttack: the largest weight of the image's own projection;
# the factor of a step towards the boundary, which lands beyond it; and the
# share of its distance from the image that an iterate keeps once it has crossed
# the boundary.
_LARGEST_WEIGHT = 0.1
_OVERSHOOT = 1.05
_BACKWARD = 0.9
# Lengths of projections are at least this.
_SMALLEST_LENGTH = 1e-8
# Stopping more often would mostly move images to and from the device.
_STEPS_AT_ONCE = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class FAB(Attack):
    """The targeted Fast Adaptive Boundary attack of Croce and Hein (2020).

    It is FAB-T of AutoAttack: it searches the nearest image that fools the
    model, towards one wrong class after the other. An image that is fooled
    within epsilon takes no more steps. If the nearest image that fools lies
    farther away, the result lies on the way to it, at distance epsilon. All
    images share the direction of a random start, so that what happens to one
    does not depend on the others.

    Attributes:
        epsilon: float, the radius of the ball for images in [0, 1].
        norm: `"linf"` or `"l2"`, the norm of the distances.
        steps: int, the number of steps of each run. Each asks the model twice.
        restarts: int, the number of runs towards each class. The first starts
            at the image, the others at random points half of epsilon away.
        num_targets: int, the number of wrong classes, the likeliest first.
    """

    name: ClassVar[str] = "fab"
    always_stops: ClassVar[bool] = True
    loss: ClassVar[str] = "margin"
    targeted: ClassVar[bool] = False

    epsilon: float = 8 / 255
    norm: str = "linf"
    steps: int = 100
    restarts: int = 1
    num_targets: int = 9

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.num_targets:
            raise UserError("`num_targets` must be at least 1. Received: 0")

    def _perturb(
        self,
        classifier: Classifier,
        images: NDArray[np.float32],
        labels: Any,
        *,
        seed: int,
    ) -> NDArray[np.float32]:
        logits = classifier.logits(images, labels)
        predictions = losses.classes_of(logits)
        checks.check_predictions(predictions)
        targets = losses.likeliest_wrong_classes(
            logits, labels, self.num_targets
        )
        nearest = images.copy()
        distance = np.where(predictions == labels, np.inf, 0).astype(np.float32)
        for rank in range(targets.shape[1]):
            for restart in range(self.restarts):
                self._run(
                    classifier,
                    self._start(images, seed, rank, restart),
                    nearest,
                    distance,
                    images,
                    labels,
                    targets[:, rank],
                )
        share = np.minimum(1, self.epsilon / np.maximum(distance, 1e-12))
        change = share.reshape(-1, 1, 1, 1) * (nearest - images)
        return (images + change).astype(np.float32)

    def _start(
        self, images: NDArray[np.float32], seed: int, rank: int, restart: int
    ) -> NDArray[np.float32]:
        if restart == 0:
            return images.copy()
        radius = np.full(len(images), self.epsilon / 2, np.float32)
        rng = generator(Stream.FAB_START, seed, rank, restart)
        return norms.random_start(images, self.norm, radius, rng)

    def _run(
        self,
        classifier: Classifier,
        iterates: NDArray[np.float32],
        nearest: NDArray[np.float32],
        distance: NDArray[np.float32],
        images: NDArray[np.float32],
        labels: NDArray[np.int32],
        targets: NDArray[np.int32],
    ) -> None:
        """Takes the steps of one run, and updates all images' nearest."""
        for done in range(0, self.steps, _STEPS_AT_ONCE):
            active = np.flatnonzero(distance > self.epsilon)
            if not len(active):
                return
            count = min(_STEPS_AT_ONCE, self.steps - done)
            found = classifier.call(
                _approach,
                iterates[active],
                nearest[active],
                distance[active],
                images[active],
                labels[active],
                targets[active],
                np.int32(count),
                queries_per_image=2 * count,
                norm=self.norm,
            )
            checks.check_finite(found[-1], checks.LOSS_GRADIENT)
            iterates[active], nearest[active], distance[active], _ = found


class _Found(NamedTuple):
    """Where a run arrived.

    Attributes:
        iterates: float tensor of shape `(B, H, W, C)`.
        nearest: float tensor of shape `(B, H, W, C)`, the nearest images that
            fool the model so far.
        distance: float tensor of shape `(B,)`, their distances; infinity where
            none fools it.
        is_finite: bool tensor of shape `(B,)`, whether all logits and gradients
            were finite.
    """

    iterates: Tensor
    nearest: Tensor
    distance: Tensor
    is_finite: Tensor


def _approach(
    logits_fn: LogitsFunction,
    iterates: Tensor,
    nearest: Tensor,
    distance: Tensor,
    images: Tensor,
    labels: Tensor,
    targets: Tensor,
    steps: Tensor,
    *,
    norm: str,
) -> _Found:
    """Takes some steps, as one expression of tensors that can be compiled.

    Each goes to the boundary between the label and the target, linearised at
    the iterate, from there and a little from the image.

    Args:
        logits_fn: function from images to logits.
        iterates, nearest, distance: those of a `_Found`.
        images: float tensor of shape `(B, H, W, C)`.
        labels: int tensor of shape `(B,)`.
        targets: int tensor of shape `(B,)`.
        steps: int.
        norm: `"linf"` or `"l2"`.
    """

    def judged_logits(images: Tensor) -> Tensor:
        return rejection.judged_logits(logits_fn, images, labels)

    def gap_and_logits(iterates: Tensor) -> tuple[Tensor, Tensor]:
        logits = judged_logits(iterates)
        gap = losses.gaps(logits, labels, targets)
        return ops.cast(gap, distance.dtype), logits

    def lengths(changes: Tensor) -> Tensor:
        length = ops.maximum(norms.norms(changes, norm), _SMALLEST_LENGTH)
        return norms.like_images(length, images)

    def step(_: Tensor, state: Any) -> Any:
        iterates, nearest, distance, is_finite = state
        gap, logits, slope = autodiff.value_and_gradient(
            gap_and_logits, iterates
        )
        axes = tuple(range(1, len(images.shape)))
        image_gap = gap + ops.sum(slope * (images - iterates), axis=axes)
        change = hyperplane.shortest_change(iterates, slope, gap, norm)
        image_change = hyperplane.shortest_change(
            images, slope, image_gap, norm
        )
        weight = ops.minimum(
            lengths(change) / (lengths(change) + lengths(image_change)),
            _LARGEST_WEIGHT,
        )
        moved = ops.clip(
            (1 - weight) * (iterates + _OVERSHOOT * change)
            + weight * (images + _OVERSHOOT * image_change),
            0.0,
            1.0,
        )
        moved_logits = judged_logits(moved)
        predictions = losses.predicted_classes(moved_logits)
        fooled = losses.is_fooled(predictions, labels, False)
        length = norms.norms(moved - images, norm)
        nearer = fooled & (length < distance)
        return (
            ops.where(
                norms.like_images(fooled, images),
                images + _BACKWARD * (moved - images),
                moved,
            ),
            ops.where(norms.like_images(nearer, images), moved, nearest),
            ops.where(nearer, length, distance),
            is_finite & losses.are_finite(gap, logits, slope, moved_logits),
        )

    is_finite = ops.zeros_like(distance) == 0
    return _Found._make(
        draws.fori_loop(
            0, steps, step, (iterates, nearest, distance, is_finite)
        )
    )
