"""DeepFool: the shortest step to the nearest linearised decision boundary."""

import dataclasses
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from peernets_tf.attacks import autodiff, checks, losses
from peernets_tf.attacks.base import Attack
from peernets_tf.attacks.classifier import Classifier
from peernets_tf.lazy import ops
from peernets_tf.types import LogitsFunction, Tensor

# The authors of DeepFool add this to each step, to cross the boundary.
_EXTRA_LENGTH = 1e-4
# Where the squared gradient is smaller, no direction leads to the boundary.
_SMALLEST_SQUARE = 1e-16


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeepFool(Attack):
    """DeepFool of Moosavi-Dezfooli et al. (2016), L2 and untargeted.

    Each step moves an image to the nearest boundary of the linearised model,
    away from the class that the model predicts, whether it is right or not.

    Attributes:
        max_steps: int, the largest number of steps.
        overshoot: float, the perturbation is multiplied by 1 + overshoot.
        num_classes: int, the number of most probable classes whose boundaries
            are considered.
    """

    name: ClassVar[str] = "deepfool"
    uses_labels: ClassVar[bool] = False
    internal: ClassVar[frozenset[str]] = frozenset({"num_classes"})
    norm: ClassVar[str] = "l2"
    loss: ClassVar[str] = "margin"
    targeted: ClassVar[bool] = False

    max_steps: int = 50
    overshoot: float = 0.02
    num_classes: int = 10

    def _perturb(
        self,
        classifier: Classifier,
        images: NDArray[np.float32],
        labels: Any,
        *,
        seed: int,
        epsilon: NDArray[np.float32] | None,
    ) -> NDArray[np.float32]:
        del labels, seed, epsilon
        return images + self.perturbations(classifier, images)[0]

    def perturbations(
        self,
        logits_fn: LogitsFunction | Classifier,
        images: NDArray[np.float32],
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Returns the perturbations, and which of them are known to fool.

        As in the authors' code, nothing checks whether an image fools the model
        after the last of `max_steps` steps. Images plus perturbations lie in
        [0, 1].

        Args:
            logits_fn: function from images to logits, or a `Classifier`.
            images: float32 array of shape `(B, H, W, C)` in [0, 1].

        Returns:
            Float32 array of the shape of `images`, and bool array of shape
            `(B,)`.

        Raises:
            AttackError: if logits or gradients are not finite.
        """
        classifier = Classifier.of(logits_fn)
        total = np.zeros(images.shape, np.float32)
        active = np.arange(len(images))
        left_class = np.full(len(images), -1, np.int32)
        for _ in range(self.max_steps):
            change, predictions, left_class[active], is_finite = (
                classifier.call(
                    _linearised_step,
                    np.clip(
                        images[active] + (1 + self.overshoot) * total[active],
                        0,
                        1,
                    ),
                    left_class[active],
                    num_classes=self.num_classes,
                )
            )
            checks.check_finite(is_finite, "logits and gradients")
            still = predictions == left_class[active]
            active = active[still]
            if not len(active):
                break
            total[active] += change[still]
        changed = np.clip(images + (1 + self.overshoot) * total, 0, 1)
        fools = np.ones(len(images), bool)
        fools[active] = False
        return changed - images, fools


def _linearised_step(
    logits_fn: LogitsFunction,
    images: Tensor,
    left_class: Tensor,
    *,
    num_classes: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Computes one step to the nearest linearised boundary.

    Args:
        logits_fn: function from images to logits.
        images: float tensor of shape `(B, H, W, C)`.
        left_class: int tensor of shape `(B,)`, the class to leave; -1 for the
            predicted one.
        num_classes: int, the number of classes to consider.

    Returns:
        The step, of the shape of `images`, the predicted classes `(B,)`, the
        classes to leave `(B,)`, and whether all logits and gradients are finite
        `(B,)`.
    """

    def own_and_others(images: Tensor) -> tuple[Tensor, Any]:
        """Returns the logits of the class to leave and of the likeliest."""
        logits = logits_fn(images)
        likeliest = ops.cast(ops.argmax(logits, axis=1), "int32")
        left = ops.where(left_class < 0, likeliest, left_class)
        own = ops.one_hot(left, logits.shape[1], dtype="bool")
        order = ops.where(own, float("inf"), logits)
        count = min(num_classes, logits.shape[1])
        _, classes = ops.top_k(ops.stop_gradient(order), count)
        chosen = ops.take_along_axis(logits, classes, axis=1)
        return chosen, (losses.predicted_classes(logits), left)

    logits, (predictions, left), jacobian = autodiff.value_and_jacobian(
        own_and_others, images
    )
    gaps = logits[:, 1:] - logits[:, :1]
    normals = jacobian[:, 1:] - jacobian[:, :1]
    axes = tuple(range(2, len(normals.shape)))
    squares = ops.sum(ops.square(normals), axis=axes)
    reachable = squares > _SMALLEST_SQUARE
    squares = ops.where(reachable, squares, 1.0)
    distances = ops.where(
        reachable, ops.abs(gaps) / ops.sqrt(squares), float("inf")
    )
    nearest = ops.argmin(distances, axis=1)
    chosen = ops.one_hot(nearest, gaps.shape[1], dtype=normals.dtype)
    chosen = chosen * ops.cast(reachable, normals.dtype)
    length = ops.where(reachable, distances, 0.0) + _EXTRA_LENGTH
    weights = chosen * length / ops.sqrt(squares)
    change = ops.einsum("bn,bn...->b...", weights, normals)
    is_finite = losses.are_finite(jacobian) & (predictions >= 0)
    return change, predictions, left, is_finite
