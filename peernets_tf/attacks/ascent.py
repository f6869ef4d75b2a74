"""The loop that FGSM, gradient descent and PGD share."""

import dataclasses
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from peernets_tf.attacks import (
    autodiff,
    checks,
    draws,
    losses,
    norms,
    rejection,
)
from peernets_tf.attacks.classifier import Classifier
from peernets_tf.lazy import ops
from peernets_tf.types import LogitsFunction, Tensor


class Ascended(NamedTuple):
    """The result of an `Ascent`.

    Attributes:
        last: float tensor of shape `(B, H, W, C)`, the last iterates.
        best: float tensor of this shape, the best iterates; the last ones
            without `keep_best`.
        values: float tensor of shape `(B,)`, the losses at the best iterates;
            zeros without `keep_best`.
        fooled: float tensor of shape `(B,)`, 1.0 where the best iterates fool
            the model; zeros without `keep_best`.
        is_finite: bool tensor of shape `(B,)`, whether all losses, logits
            and gradients were finite.
    """

    last: Tensor
    best: Tensor
    values: Tensor
    fooled: Tensor
    is_finite: Tensor


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ascent:
    """Projected gradient ascent on a loss.

    Attributes:
        norm: `"linf"` or `"l2"`, the norm of the ball and of the steps.
        loss: `"cross_entropy"`, `"margin"` or `"dlr"`.
        targeted: bool, whether the labels are classes to reach.
        keep_best: bool, whether to keep the best of all iterates of an image:
            one that fools the model if there is one, and among those the one
            with the largest loss.
    """

    norm: str = "linf"
    loss: str = "cross_entropy"
    targeted: bool = False
    keep_best: bool = False

    def run(
        self,
        logits_fn: LogitsFunction,
        start: Tensor,
        images: Tensor,
        labels: Tensor,
        epsilon: Tensor,
        step_size: Tensor,
        steps: int | Tensor,
    ) -> Ascended:
        """Computes all steps as one expression of tensors, to be compiled.

        It computes logits `steps` times, and once more with `keep_best`.

        Args:
            logits_fn: function from images to logits.
            start: float tensor of shape `(B, H, W, C)`, the first iterates.
            images: float tensor of shape `(B, H, W, C)`, the balls' centres.
            labels: int tensor of shape `(B,)`.
            epsilon: float tensor of shape `(B,)`, the radii.
            step_size: float tensor of shape `(B,)`.
            steps: int.

        Returns:
            An `Ascended`.
        """

        def value_and_logits(iterates: Tensor) -> tuple[Tensor, Tensor]:
            logits = rejection.judged_logits(
                logits_fn, iterates, labels, targeted=self.targeted
            )
            value = losses.loss(
                logits, labels, self.loss, targeted=self.targeted
            )
            return value, logits

        def keep_better(
            best: Any, iterates: Tensor, value: Tensor, logits: Tensor
        ) -> tuple[Tensor, Tensor, Tensor]:
            kept, kept_value, kept_fooled = best
            predictions = losses.predicted_classes(logits)
            fooled = ops.cast(
                losses.is_fooled(predictions, labels, self.targeted),
                value.dtype,
            )
            better = (fooled > kept_fooled) | (
                (fooled == kept_fooled) & (value > kept_value)
            )
            return (
                ops.where(norms.like_images(better, images), iterates, kept),
                ops.where(better, value, kept_value),
                ops.where(better, fooled, kept_fooled),
            )

        def step(_: Tensor, state: Any) -> Any:
            iterates, is_finite, *best = state
            value, logits, gradient = autodiff.value_and_gradient(
                value_and_logits, iterates
            )
            if self.keep_best:
                best = keep_better(best, iterates, value, logits)
            is_finite = is_finite & losses.are_finite(value, logits, gradient)
            iterates = norms.ascend(
                iterates, gradient, images, self.norm, epsilon, step_size
            )
            return (iterates, is_finite, *best)

        worst = ops.zeros_like(epsilon) - (
            float("inf") if self.keep_best else 0.0
        )
        zeros = ops.zeros_like(epsilon)
        last, is_finite, *best = draws.fori_loop(
            0, steps, step, (start, zeros == 0, start, worst, zeros)
        )
        if not self.keep_best:
            return Ascended(last, last, best[1], best[2], is_finite)
        value, logits = value_and_logits(last)
        is_finite = is_finite & losses.are_finite(value, logits)
        return Ascended(
            last, *keep_better(best, last, value, logits), is_finite
        )


def ascend(
    classifier: Classifier,
    ascent: Ascent,
    start: NDArray[np.float32],
    images: NDArray[np.float32],
    labels: NDArray[np.int32],
    epsilon: NDArray[np.float32],
    step_size: NDArray[np.float32],
    steps: int,
) -> Ascended:
    """Runs an ascent on arrays, compiled once for each `Ascent`.

    Args: those of `Ascent.run`, with arrays for tensors.

    Returns:
        An `Ascended` of NumPy arrays.

    Raises:
        AttackError: if losses, logits or gradients are not finite.
    """
    found = Ascended(
        *classifier.call(
            _run,
            start,
            images,
            labels,
            epsilon,
            step_size,
            np.int32(steps),
            ascent=ascent,
            queries_per_image=steps + ascent.keep_best,
        )
    )
    checks.check_finite(found.is_finite, checks.LOSS_GRADIENT)
    return found


def _run(
    logits_fn: LogitsFunction, *tensors: Tensor, ascent: Ascent
) -> Ascended:
    return ascent.run(logits_fn, *tensors)
