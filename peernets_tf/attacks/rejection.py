"""Models that may reject an image, and what a rejected image counts as."""

from __future__ import annotations

import dataclasses
from typing import Any

from peernets_tf.errors import UserError
from peernets_tf.lazy import ops
from peernets_tf.types import LogitsFunction, Tensor

# What a rejected adversarial image counts as.
REJECTED_AS = ("wrong", "right")


@dataclasses.dataclass(frozen=True, eq=False)
class Rejecting:
    """A model whose rejected images do not count as fooled.

    Attacks look for images that it accepts and misclassifies. For a model that
    is not wrapped in this class, rejection is one more wrong class, so an
    attack also succeeds if the image is rejected.

    Attributes:
        logits_fn: function from images `(B, H, W, C)` to logits
            `(B, classes + 1)`. It rejects an image if the last is the largest.
    """

    logits_fn: LogitsFunction

    def __call__(self, images: Tensor) -> Tensor:
        return self.logits_fn(images)


def judged_logits(
    logits_fn: LogitsFunction,
    images: Tensor,
    labels: Tensor,
    *,
    targeted: bool = False,
) -> Tensor:
    """Returns the logits of images, by which an attack is judged.

    Args:
        logits_fn: function from images to logits, or a `Rejecting`.
        images: float tensor of shape `(B, H, W, C)`.
        labels: int tensor of shape `(B,)`, see `judged`.
        targeted: bool, see `judged`.
    """
    return judged(logits_fn, logits_fn(images), labels, targeted=targeted)


def judged(
    logits_fn: LogitsFunction,
    logits: Tensor,
    labels: Tensor,
    *,
    targeted: bool = False,
) -> Tensor:
    """Returns the logits by which an attack is judged.

    For a `Rejecting` model, the logit of rejection is left out, and that of the
    label is raised to it if it is lower. So the label is the likeliest class of
    an image if and only if it is rejected or classified correctly.

    Args:
        logits_fn: the function that computed `logits`.
        logits: float tensor of shape `(B, classes)`, or `(B, classes + 1)` of a
            `Rejecting` model.
        labels: int tensor of shape `(B,)`, the true classes.
        targeted: bool, whether the labels are classes to reach instead, which
            an image that is rejected does not. The logits stay as they are.
    """
    if targeted or not isinstance(logits_fn, Rejecting):
        return logits
    return merged(logits, labels)


def merged(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns logits `(B, classes)` in which rejection counts for the label.

    Args:
        logits: float tensor of shape `(B, classes + 1)`.
        labels: int tensor of shape `(B,)`.
    """
    classes, rejection = logits[:, :-1], logits[:, -1:]
    own = ops.one_hot(labels, classes.shape[-1], dtype="bool")
    return ops.where(own, ops.maximum(classes, rejection), classes)


def without_rejection(logits_fn: LogitsFunction, logits: Any) -> Any:
    """Returns the logits of the classes only.

    Args:
        logits_fn: the function that computed `logits`.
        logits: see `judged`.
    """
    return logits[:, :-1] if isinstance(logits_fn, Rejecting) else logits


def check_rejected_as(rejected_as: str | None) -> None:
    """Raises a `UserError` unless a value is None or in `REJECTED_AS`."""
    if rejected_as not in (None, *REJECTED_AS):
        raise UserError(
            f"`rejected_as` must be one of {REJECTED_AS}, or None. Received: "
            f"{rejected_as}"
        )
