"""What gradient attacks make large: one value an image."""

from typing import Any

from keras import ops

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
        own = ops.one_hot(labels, logits.shape[-1], dtype="bool")
        other = ops.max(ops.where(own, -float("inf"), logits), axis=1)
        values = other - ops.sum(ops.where(own, logits, 0.0), axis=1)
    return -values if targeted else values


def is_fooled(predictions: Tensor, labels: Tensor, targeted: bool) -> Tensor:
    """Whether predictions leave, or reach, the labels; bool `(B,)`."""
    return predictions == labels if targeted else predictions != labels
