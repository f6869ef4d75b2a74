"""The losses that gradient attacks increase, and who is fooled."""

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peernets_tf.errors import AttackError, UserError
from peernets_tf.lazy import ops
from peernets_tf.types import Tensor

LOSSES = ("cross_entropy", "margin", "dlr")
# Keeps the quotients of the DLR losses finite where logits are equal.
_SMALLEST_SPREAD = 1e-12


def loss(
    logits: Tensor, labels: Tensor, name: str, *, targeted: bool = False
) -> Tensor:
    """Returns the loss that an attack increases, a tensor of shape `(B,)`.

    Args:
        logits: float tensor of shape `(B, classes)`.
        labels: int tensor of shape `(B,)`, the true classes or, if targeted,
            the classes to reach.
        name: `"cross_entropy"`; `"margin"`, the largest other logit minus the
            logit of the label (Carlini and Wagner 2017, without the
            threshold); or `"dlr"`, the margin over the largest logit minus the
            third largest (Croce and Hein 2020).
        targeted: bool, whether the labels are classes to reach.

    Raises:
        AttackError: if the loss is `"dlr"` and there are fewer than 3 classes.
    """
    if name == "cross_entropy":
        values = ops.sparse_categorical_crossentropy(
            labels, logits, from_logits=True
        )
    else:
        check_loss(name)
        own = ops.one_hot(labels, logits.shape[-1], dtype="bool")
        other = ops.max(ops.where(own, -float("inf"), logits), axis=1)
        values = other - _logits_of(logits, labels)
        if name == "dlr":
            largest = _largest(logits, 3)
            values = values / (largest[:, 0] - largest[:, 2] + _SMALLEST_SPREAD)
    return -values if targeted else values


def targeted_dlr(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Returns the targeted DLR loss of Croce and Hein (2020), of shape `(B,)`.

    It is the target's logit minus the label's, over the largest logit minus the
    mean of the third and the fourth largest.

    Args:
        logits: float tensor of shape `(B, classes)`.
        labels: int tensor of shape `(B,)`, the true classes.
        targets: int tensor of shape `(B,)`, the classes to reach.

    Raises:
        AttackError: if there are fewer than 4 classes.
    """
    largest = _largest(logits, 4)
    spread = largest[:, 0] - (largest[:, 2] + largest[:, 3]) / 2
    return gaps(logits, labels, targets) / (spread + _SMALLEST_SPREAD)


def gaps(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Returns the targets' logits minus the labels', of shape `(B,)`."""
    return _logits_of(logits, targets) - _logits_of(logits, labels)


def likeliest_wrong_classes(
    logits: NDArray[Any], labels: NDArray[Any], count: int
) -> NDArray[np.int32]:
    """Returns the wrong classes of largest logits, int32 `(B, at most count)`.

    The largest comes first. There are fewer than `count` if the model has no
    more wrong classes.

    Args:
        logits: float array of shape `(B, classes)`.
        labels: int array of shape `(B,)`, the true classes.
        count: int.
    """
    is_wrong = np.arange(logits.shape[1]) != labels[:, None]
    order = np.argsort(np.where(is_wrong, -logits, np.inf), axis=1)
    return order[:, : min(count, logits.shape[1] - 1)].astype(np.int32)


def predicted_classes(logits: Tensor) -> Tensor:
    """Returns the likeliest classes, int32 `(B,)`; -1 for logits not finite.

    Without the -1, NaN would pass as a prediction that an attack changed.
    """
    classes = ops.cast(ops.argmax(logits, axis=1), "int32")
    return ops.where(ops.all(ops.isfinite(logits), axis=1), classes, -1)


def classes_of(logits: NDArray[Any]) -> NDArray[np.int32]:
    """Returns `predicted_classes` of an array, computed in NumPy."""
    classes = np.argmax(logits, axis=1).astype(np.int32)
    return np.where(np.isfinite(logits).all(axis=1), classes, np.int32(-1))


def cross_entropies(
    logits: NDArray[Any], labels: NDArray[Any]
) -> NDArray[np.float64]:
    """Returns the cross-entropy of each image, float64 of shape `(B,)`.

    It is finite for all finite float32 logits, however large.

    Args:
        logits: float array of shape `(B, classes)`.
        labels: int array of shape `(B,)`, the true classes.
    """
    wide = np.asarray(logits, np.float64)
    largest = wide.max(axis=1)
    own = wide[np.arange(len(wide)), labels]
    others = np.exp(wide - largest[:, None]).sum(axis=1)
    return (largest - own) + np.log(others)


def are_finite(*values: Tensor) -> Tensor:
    """Whether all values of each image are finite, bool `(B,)`.

    Args:
        *values: float tensors of shape `(B, ...)`.
    """
    flat = [ops.reshape(v, (ops.shape(v)[0], -1)) for v in values]
    finite = [ops.all(ops.isfinite(f), axis=1) for f in flat]
    return functools.reduce(ops.logical_and, finite)


def is_fooled(predictions: Tensor, labels: Tensor, targeted: bool) -> Tensor:
    """Whether predictions leave or, if targeted, reach the labels; `(B,)`."""
    return predictions == labels if targeted else predictions != labels


def check_loss(name: str) -> None:
    """Raises a `UserError` unless the loss is one of `LOSSES`."""
    if name not in LOSSES:
        raise UserError(f"`loss` must be one of {LOSSES}. Received: {name}")


def _logits_of(logits: Tensor, classes: Tensor) -> Tensor:
    """Returns the logit of one class for each image, of shape `(B,)`."""
    own = ops.one_hot(classes, logits.shape[-1], dtype="bool")
    return ops.sum(ops.where(own, logits, 0.0), axis=1)


def _largest(logits: Tensor, count: int) -> Tensor:
    """Returns the largest logits of each image, best first, `(B, count)`."""
    if logits.shape[-1] < count:
        raise AttackError(
            f"this DLR loss needs at least {count} classes: choose another "
            f"loss. Received: logits of {logits.shape[-1]} classes"
        )
    return ops.top_k(logits, count)[0]
