"""The universal perturbation that follows the gradient of the mean loss."""

import dataclasses
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from peernets_tf.attacks import norms
from peernets_tf.attacks.classifier import Classifier
from peernets_tf.attacks.universal import UniversalAttack
from peernets_tf.lazy import ops


@dataclasses.dataclass(frozen=True, kw_only=True)
class UniversalGradient(UniversalAttack):
    """A universal perturbation by projected gradient ascent on the mean loss.

    It needs only a gradient, so it works with any backward pass.

    Attributes:
        epsilon: float, the radius of the ball for images in [0, 1].
        norm: `"l2"` or `"linf"`.
        passes: int, the largest number of passes over the images.
        batch_size: int, the number of images whose losses are averaged.
        fooling_rate: float in [0, 1]. The fit stops after a pass if the
            perturbation fools this share of the images; 1 makes all passes.
        clip: bool, whether perturbed images are clipped to [0, 1].
        loss: `"cross_entropy"`, `"margin"` or `"dlr"`.
        step_size: float, the length of a step as a share of epsilon.
    """

    name: ClassVar[str] = "universal.gradient"
    # `--step_size` is a length, this is a share of epsilon.
    internal: ClassVar[frozenset[str]] = frozenset({"step_size"})

    loss: str = "cross_entropy"
    step_size: float = 0.1

    def _change(
        self,
        classifier: Classifier,
        perturbed: NDArray[np.float32],
        classes: NDArray[np.int32],
    ) -> tuple[NDArray[np.float32], int]:
        gradients, predictions = classifier.loss_gradient(
            perturbed, classes, self.loss
        )
        direction = norms.steepest_direction(
            gradients.mean(axis=0, keepdims=True), self.norm
        )
        step = self.epsilon * self.step_size
        return (
            step * ops.convert_to_numpy(direction)[0],
            int(np.sum(predictions != classes)),
        )
