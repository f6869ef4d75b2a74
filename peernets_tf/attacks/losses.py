"""What gradient attacks make large: one value an image."""

import functools
from collections.abc import Callable
from typing import Any

from keras import ops

from peernets_tf.attacks import autodiff

# A tensor of the Keras backend, or an array that it converts.
Tensor = Any

LOSSES = ("cross_entropy", "margin")


def loss(
    logits: Tensor, labels: Tensor, name: str, *, targeted: bool = False
) -> Tensor:
    """Returns what an attack makes large, a tensor of shape `(B,)`.

    Args:
        logits: float tensor of shape `(B, classes)`.
        labels: int tensor of shape `(B,)`: what to leave, or what to reach.
        name: `"cross_entropy"`, or `"margin"`: the largest other logit minus
            the label's (Carlini and Wagner 2017, without its threshold).
        targeted: bool, whether the labels are to be reached.
    """
    if name == "cross_entropy":
        values = ops.sparse_categorical_crossentropy(
            labels, logits, from_logits=True
        )
    else:
        check_loss(name)
        own = ops.one_hot(labels, logits.shape[-1], dtype="bool")
        other = ops.max(ops.where(own, -float("inf"), logits), axis=1)
        values = other - ops.sum(ops.where(own, logits, 0.0), axis=1)
    return -values if targeted else values


@functools.lru_cache(maxsize=16)
def gradient_of(
    logits_fn: autodiff.LogitsFunction, name: str, *, targeted: bool = False
) -> Callable[..., Any]:
    """Compiles the gradient of a loss with respect to the images.

    Returns:
        A function from images and labels to the gradient and the predictions.
    """

    def gradient(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        def loss_and_logits(images: Tensor) -> tuple[Tensor, Tensor]:
            logits = logits_fn(images)
            return loss(logits, labels, name, targeted=targeted), logits

        _, logits, gradients = autodiff.value_and_gradient(
            loss_and_logits, images
        )
        return gradients, autodiff.predictions(logits)

    return autodiff.compiled(gradient)


def check_loss(name: str) -> None:
    """Raises a `ValueError` unless it is one of `LOSSES`."""
    if name not in LOSSES:
        raise ValueError(f"`loss` must be one of {LOSSES}. Received: {name}")


def is_fooled(predictions: Tensor, labels: Tensor, targeted: bool) -> Tensor:
    """Whether predictions leave, or reach, the labels; bool `(B,)`."""
    return predictions == labels if targeted else predictions != labels
