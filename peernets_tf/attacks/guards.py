"""Against misuse: what would give a figure that means nothing is refused."""

from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from peernets_tf.attacks import projections


class AttackError(Exception):
    """An attack, or what it is aimed at, that gives no honest figure."""


def check_images(images: NDArray[Any]) -> None:
    """Raises an `AttackError` unless all values lie in [0, 1]."""
    if not (np.min(images) >= 0 and np.max(images) <= 1):
        raise AttackError(
            "images must lie in [0, 1], not in "
            f"[{np.min(images)}, {np.max(images)}]"
        )


def check_logits(logits: Any) -> None:
    """Raises an `AttackError` if a model's outputs are probabilities."""
    logits = ops.convert_to_numpy(logits)
    if np.all(logits >= 0) and np.allclose(logits.sum(axis=1), 1, atol=1e-3):
        raise AttackError(
            "the model ends in a softmax, whose saturation hides gradients: "
            "give one that ends in logits"
        )


def check_predictions(predictions: NDArray[Any]) -> None:
    """Raises an `AttackError` if a prediction is -1, of logits not finite."""
    if np.any(predictions < 0):
        raise AttackError("the model's logits are not finite numbers")


def check_ball(
    change: NDArray[Any], epsilon: float | None, norm: str | None
) -> None:
    """Raises an `AttackError` if a perturbation leaves its ball."""
    if epsilon is None or norm is None:
        return
    largest = float(
        np.max(ops.convert_to_numpy(projections.norms(change, norm)))
    )
    # Adding and subtracting an image rounds.
    if not largest <= epsilon * (1 + 1e-5) + 1e-6:
        raise AttackError(
            f"a perturbation of {norm} norm {largest} leaves the ball of "
            f"radius {epsilon}"
        )
