"""Checks that reject meaningless attacks and evaluations."""

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peernets_tf.attacks import losses, norms
from peernets_tf.errors import AttackError, UserError
from peernets_tf.lazy import ops

# The smallest and the largest value of the arguments of attacks, by name.
_RANGES = {
    "epsilon": (0, math.inf),
    "steps": (1, math.inf),
    "step_size": (0, math.inf),
    "restarts": (1, math.inf),
    "max_steps": (1, math.inf),
    "overshoot": (0, math.inf),
    "num_classes": (2, math.inf),
    "passes": (1, math.inf),
    "batch_size": (1, math.inf),
    "fooling_rate": (0, 1),
    "largest_epsilon": (0, math.inf),
    "num_epsilons": (1, math.inf),
    "ratio": (1, math.inf),
    "halvings": (0, math.inf),
}


def check_arguments(attack: Any) -> None:
    """Raises a `UserError` if an argument of an attack is out of range."""
    for field in dataclasses.fields(attack):
        value = getattr(attack, field.name)
        if field.name == "norm":
            norms.check_norm(value)
        elif field.name == "loss":
            losses.check_loss(value)
        elif field.name in _RANGES and value is not None:
            lowest, highest = _RANGES[field.name]
            if not (lowest <= value <= highest and math.isfinite(value)):
                above = "" if math.isinf(highest) else f" and at most {highest}"
                raise UserError(
                    f"`{field.name}` must be finite, at least {lowest}{above}. "
                    f"Received: {field.name}={value}"
                )


def check_images(images: NDArray[Any]) -> None:
    """Raises an `AttackError` unless images have rank 4 and lie in [0, 1]."""
    if images.ndim != 4 or len(images) == 0:
        raise AttackError(
            "images must have shape (B, H, W, C) with B at least 1. Received: "
            f"images.shape={images.shape}"
        )
    smallest, largest = np.min(images), np.max(images)
    # False for NaN.
    if not (smallest >= 0 and largest <= 1):
        raise AttackError(
            "images must lie in [0, 1]: divide 8-bit pixels by 255. Received: "
            f"values in [{smallest}, {largest}]"
        )


def check_labels(
    labels: NDArray[Any], count: int, num_classes: int | None
) -> None:
    """Raises an `AttackError` unless there is a class for each image.

    Args:
        labels: array of shape `(B,)`.
        count: int, B, the number of images.
        num_classes: int or None, the number of classes if it is known.
    """
    if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer):
        raise AttackError(
            f"labels must be integers of shape ({count},), one class for each "
            f"image. Received: {labels.dtype} of shape {labels.shape}"
        )
    above = np.inf if num_classes is None else num_classes
    if labels.min() < 0 or labels.max() >= above:
        raise AttackError(
            f"labels must lie between 0 and {above - 1}, the model's classes. "
            f"Received: labels in [{labels.min()}, {labels.max()}]"
        )


def check_epsilon(epsilon: NDArray[Any], count: int) -> None:
    """Raises an `AttackError` unless each image has a finite radius."""
    if epsilon.shape != (count,) or not np.all(
        (epsilon >= 0) & np.isfinite(epsilon)
    ):
        raise AttackError(
            f"epsilon must be {count} finite radii of at least 0, one for each "
            f"image. Received: epsilon={epsilon}"
        )


def check_logits(logits: Any) -> None:
    """Raises an `AttackError` if the outputs of a model are probabilities."""
    logits = ops.convert_to_numpy(logits)
    if np.all(logits >= 0) and np.allclose(logits.sum(axis=1), 1, atol=1e-3):
        raise AttackError(
            "the model must end in logits: remove its softmax, whose "
            "saturation hides gradients. Received: outputs that are "
            "probabilities"
        )


def check_predictions(predictions: NDArray[Any]) -> None:
    """Raises an `AttackError` if a prediction is -1, for logits not finite."""
    check_finite(predictions >= 0, "logits")


def check_finite(is_finite: NDArray[Any], what: str) -> None:
    """Raises an `AttackError` unless something is finite at every image.

    Args:
        is_finite: bool array of shape `(B,)`.
        what: str, what the model computed.
    """
    if not np.all(is_finite):
        raise AttackError(
            f"the model's {what} must be finite, or its robustness cannot be "
            f"measured: look for NaN in its weights and layers. Received: "
            f"{what} not finite at {np.sum(~is_finite)} of {len(is_finite)} "
            "images"
        )


def check_ball(
    change: NDArray[Any], epsilon: float | None, norm: str | None
) -> None:
    """Raises an `AttackError` if a perturbation leaves its ball.

    Args:
        change: float array of shape `(B, ...)`, the perturbations.
        epsilon: float or None, the radius of the ball; None checks nothing.
        norm: `"linf"`, `"l2"` or None; None checks nothing.
    """
    if epsilon is None or norm is None:
        return
    largest = float(np.max(ops.convert_to_numpy(norms.norms(change, norm))))
    # Adding an image and subtracting it again rounds.
    if not largest <= epsilon * (1 + 1e-5) + 1e-6:
        raise AttackError(
            f"perturbations must stay in the {norm} ball of radius {epsilon}. "
            f"Received: a perturbation of norm {largest}"
        )
