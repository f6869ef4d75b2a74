"""Gradients estimated from probabilities, by differences along directions."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peernets_tf.attacks import checks, draws, losses, rejection
from peernets_tf.attacks.classifier import Classifier
from peernets_tf.attacks.directions import Directions
from peernets_tf.lazy import ops
from peernets_tf.types import LogitsFunction, Tensor

# Images that the model is asked at once, which bounds the memory.
_IMAGES_AT_ONCE = 512
# Tells the key of the directions from those of a random model: one for each
# iteration of a loop, whose counter is smaller.
_DIRECTIONS = 2**31


def log_probability_loss(
    logits: Tensor, labels: Tensor, loss: str, *, targeted: bool
) -> Tensor:
    """Returns `losses.loss` from log-probabilities, a tensor `(B,)`.

    That is all a black box need return: the margin of log-probabilities is the
    margin of logits.

    Args: those of `losses.loss`.
    """
    return losses.loss(
        ops.log_softmax(logits, axis=-1), labels, loss, targeted=targeted
    )


def estimate_gradients(
    classifier: Classifier,
    images: NDArray[np.float32],
    labels: NDArray[np.int32],
    *,
    directions: Directions,
    delta: float,
    loss: str,
    targeted: bool = False,
) -> NDArray[np.float32]:
    """Estimates the gradient of each image's loss by two-sided differences.

    The slope along a direction v is (f(x + delta v) - f(x - delta v)) /
    (2 delta); x + delta v may leave [0, 1]. All images share the directions.
    The model is asked `2 * directions.count` times for each image, in one
    compiled loop.

    Args:
        classifier: the `Classifier`.
        images: float array of shape `(B, H, W, C)`.
        labels: int array of shape `(B,)`.
        directions: the `Directions`.
        delta: float above 0, half the distance of the two images that are
            asked, in lengths of the direction, for images in [0, 1].
        loss: one of `losses.LOSSES`.
        targeted: bool, whether the labels are classes to reach.

    Returns:
        Float array of the shape of `images`.

    Raises:
        UserError: if images have no such directions.
        AttackError: if losses or logits are not finite.
    """
    length = math.prod(images.shape[1:])
    directions.check_length(length)
    gradients, is_finite = classifier.call(
        _estimate,
        images,
        labels,
        np.float32(delta),
        directions=directions,
        at_once=_directions_at_once(len(images), directions.count),
        loss=loss,
        targeted=targeted,
        queries_per_image=2 * directions.count,
    )
    checks.check_finite(is_finite, "losses and logits")
    return gradients


def _directions_at_once(images: int, directions: int) -> int:
    """Returns how many directions to ask at once, a power of 2.

    So that few numbers of images need a function of their own.
    """
    most = max(1, min(_IMAGES_AT_ONCE // (2 * images), directions))
    return 1 << (most.bit_length() - 1)


def _estimate(
    logits_fn: LogitsFunction,
    images: Tensor,
    labels: Tensor,
    delta: Tensor,
    *,
    directions: Directions,
    at_once: int,
    loss: str,
    targeted: bool,
) -> tuple[Tensor, Tensor]:
    """Estimates gradients as one expression of tensors that can be compiled."""
    shape = images.shape[1:]
    length = math.prod(shape)
    key = draws.fold(draws.current_key(), _DIRECTIONS)
    drawn = directions.drawn(key, length)

    def add(first: Tensor, size: int, state: Any) -> Any:
        gradients, is_finite = state
        rows = directions.rows(drawn, first, size, length)
        signs = np.array([1, -1], np.float32).reshape(2, 1, 1, 1, 1, 1)
        moves = signs * delta * ops.reshape(rows, (1, 1, size, *shape))
        asked = ops.reshape(images[None, :, None] + moves, (-1, *shape))
        asked_labels = ops.reshape(
            labels[None, :, None] + np.zeros((2, 1, size), np.int32), (-1,)
        )
        values = log_probability_loss(
            rejection.judged_logits(
                logits_fn, asked, asked_labels, targeted=targeted
            ),
            asked_labels,
            loss,
            targeted=targeted,
        )
        values = ops.reshape(values, (2, -1, size))
        slopes = (values[0] - values[1]) / (2 * delta)
        if directions.are_sampled:
            slopes = slopes / directions.count
        else:
            slopes = slopes / ops.sum(ops.square(rows), axis=1)
        return (
            gradients + ops.matmul(slopes, rows),
            is_finite & ops.all(ops.isfinite(values), axis=(0, 2)),
        )

    gradients = ops.zeros_like(ops.reshape(images, (-1, length)))
    state = (gradients, gradients[:, 0] == 0)
    whole, rest = divmod(directions.count, at_once)
    state = draws.fori_loop(
        0, whole, lambda i, state: add(i * at_once, at_once, state), state
    )
    if rest:
        state = add(whole * at_once, rest, state)
    gradients, is_finite = state
    return ops.reshape(gradients, (-1, *shape)), is_finite
