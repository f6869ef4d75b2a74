"""DeepFool: the shortest step to the nearest linearised decision boundary."""

import dataclasses
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from peernets_tf.attacks import autodiff, checks, losses, rejection
from peernets_tf.attacks.base import Attack
from peernets_tf.attacks.classifier import Classifier
from peernets_tf.lazy import ops
from peernets_tf.types import LogitsFunction, Tensor


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeepFool(Attack):
    """DeepFool of Moosavi-Dezfooli et al. (2016), L2 and untargeted.

    Each step moves an image to the nearest boundary of the linearised model,
    away from the class that the model predicts, whether it is right or not.
    DeepFool does not look at the rejection of a `Rejecting` model.

    Attributes:
        max_steps: int, the largest number of steps.
        overshoot: float, the perturbation is multiplied by 1 + overshoot.
        num_classes: int, the number of most probable classes whose boundaries
            are considered.
        extra_length: float, what is added to the length of each step to cross
            the boundary. The authors' Python code of DeepFool adds 1e-4, that
            of universal perturbations nothing.
    """

    name: ClassVar[str] = "deepfool"
    uses_labels: ClassVar[bool] = False
    always_stops: ClassVar[bool] = True
    internal: ClassVar[frozenset[str]] = frozenset(
        {"extra_length", "num_classes"}
    )
    norm: ClassVar[str] = "l2"
    loss: ClassVar[str] = "margin"
    targeted: ClassVar[bool] = False

    max_steps: int = 50
    overshoot: float = 0.02
    num_classes: int = 10
    extra_length: float = dataclasses.field(default=1e-4, repr=False)

    def _perturb(
        self,
        classifier: Classifier,
        images: NDArray[np.float32],
        labels: Any,
        *,
        seed: int,
    ) -> NDArray[np.float32]:
        del labels, seed
        return images + self.perturbations(classifier, images)[0]

    def perturbations(
        self,
        logits_fn: LogitsFunction | Classifier,
        images: NDArray[np.float32],
        *,
        clip: bool = True,
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Returns the perturbations, and which of them are known to fool.

        As in the authors' code, nothing checks whether an image fools the model
        after the last of `max_steps` steps.

        Args:
            logits_fn: function from images to logits, or a `Classifier`.
            images: float32 array of shape `(B, H, W, C)`.
            clip: bool, whether images plus perturbations are kept in [0, 1].

        Returns:
            Float32 array of the shape of `images`, and bool array of shape
            `(B,)`.

        Raises:
            AttackError: if logits or gradients are not finite.
        """
        classifier = Classifier.of(logits_fn)
        total = np.zeros(images.shape, np.float32)
        active = np.arange(len(images))
        classes = np.full((len(images), self.num_classes), -1, np.int32)

        def changed(images: Any, total: Any) -> NDArray[np.float32]:
            moved = images + (1 + self.overshoot) * total
            return np.clip(moved, 0, 1) if clip else moved

        for _ in range(self.max_steps):
            change, predictions, classes[active], is_finite = classifier.call(
                _linearised_step,
                changed(images[active], total[active]),
                classes[active],
                np.float32(self.extra_length),
            )
            checks.check_finite(is_finite, "logits and gradients")
            still = predictions == classes[active, 0]
            active = active[still]
            if not len(active):
                break
            total[active] += change[still]
        fools = np.ones(len(images), bool)
        fools[active] = False
        return changed(images, total) - images, fools


def _linearised_step(
    logits_fn: LogitsFunction,
    images: Tensor,
    classes: Tensor,
    extra_length: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Computes one step to the nearest linearised boundary.

    Args:
        logits_fn: function from images to logits.
        images: float tensor of shape `(B, H, W, C)`.
        classes: int tensor of shape `(B, n)`, the classes to consider, the one
            to leave first; -1 for the likeliest.
        extra_length: float, what is added to the length of the step.

    Returns:
        The step, of the shape of `images`, the predicted classes `(B,)`, the
        classes that were considered `(B, n)`, and whether all logits and
        gradients are finite `(B,)`.
    """
    num_classes = classes.shape[1]

    def of_considered(images: Tensor) -> tuple[Tensor, Any]:
        """Returns the logits of the classes to consider."""
        logits = rejection.without_rejection(logits_fn, logits_fn(images))
        count = min(num_classes, logits.shape[1])
        _, likeliest = ops.top_k(ops.stop_gradient(logits), count)
        known = classes[:, :count]
        considered = ops.where(known < 0, likeliest, known)
        chosen = ops.take_along_axis(logits, considered, axis=1)
        return chosen, (losses.predicted_classes(logits), considered)

    logits, (predictions, considered), jacobian = autodiff.value_and_jacobian(
        of_considered, images
    )
    gaps = logits[:, 1:] - logits[:, :1]
    normals = jacobian[:, 1:] - jacobian[:, :1]
    axes = tuple(range(2, len(normals.shape)))
    # Squares of very small gradients would be zero.
    scales = ops.max(ops.abs(normals), axis=axes, keepdims=True)
    normals = normals / ops.where(scales > 0, scales, 1.0)
    scales = ops.reshape(scales, ops.shape(gaps))
    squares = ops.sum(ops.square(normals), axis=axes)
    squares = ops.where(scales > 0, squares, 1.0)
    distances = ops.abs(gaps) / (scales * ops.sqrt(squares))
    # No direction leads to the boundary where the gradient is zero.
    reachable = (scales > 0) & ops.isfinite(distances)
    distances = ops.where(reachable, distances, float("inf"))
    nearest = ops.argmin(distances, axis=1)
    chosen = ops.one_hot(nearest, gaps.shape[1], dtype=normals.dtype)
    chosen = chosen * ops.cast(reachable, normals.dtype)
    length = ops.where(reachable, distances, 0.0) + extra_length
    weights = chosen * length / ops.sqrt(squares)
    change = ops.einsum("bn,bn...->b...", weights, normals)
    is_finite = losses.are_finite(jacobian) & (predictions >= 0)
    # Where the model has fewer classes, the last columns count for nothing.
    missing = num_classes - considered.shape[1]
    considered = ops.pad(considered, [[0, 0], [0, missing]])
    return change, predictions, considered, is_finite
