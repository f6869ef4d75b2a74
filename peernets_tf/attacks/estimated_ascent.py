"""The loop that attacks share which estimate gradients from probabilities."""

import abc
import dataclasses
import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from peernets_tf.attacks import checks, losses, norms
from peernets_tf.attacks.base import Attack
from peernets_tf.attacks.best_images import BestImages
from peernets_tf.attacks.classifier import Classifier
from peernets_tf.attacks.directions import Directions
from peernets_tf.attacks.gradient_estimates import (
    estimate_gradients,
    log_probability_loss,
)
from peernets_tf.lazy import ops
from peernets_tf.types import Tensor

# From the places of the images that take a step, and their estimated
# gradients, to the steps.
Stepper = Callable[[NDArray[np.int_], NDArray[np.float32]], Tensor]


@dataclasses.dataclass(frozen=True, kw_only=True)
class EstimatedAscent(Attack):
    """Projected ascent along estimated gradients, from the image itself.

    Each step asks the model twice for each direction, and once more to see
    whether the new image fools. The result is the best image after any step.

    Attributes:
        epsilon: float, the radius of the ball for images in [0, 1].
        norm: `"linf"` or `"l2"`.
        steps: int, the number of steps.
        loss: `"cross_entropy"`, `"margin"` or `"dlr"`, computed from
            log-probabilities.
        targeted: bool, whether the labels are classes to reach.
        stop_when_fooled: bool, whether to take no more steps for an image that
            fools the model, which saves queries.
        delta: float above 0, see `estimate_gradients`, for images in [0, 1].
    """

    follows_gradient: ClassVar[bool] = False

    epsilon: float = 8 / 255
    norm: str = "linf"
    steps: int = 100
    loss: str = "margin"
    targeted: bool = False
    stop_when_fooled: bool = False
    delta: float = 1 / 255

    @abc.abstractmethod
    def _directions(self, length: int) -> Directions:
        """Returns the directions of each step.

        Args:
            length: int, the values of an image, H W C.
        """

    @abc.abstractmethod
    def _stepper(self, shape: tuple[int, ...]) -> Stepper:
        """Returns the rule of the steps of one batch of shape `shape`."""

    def _perturb(
        self,
        classifier: Classifier,
        images: NDArray[np.float32],
        labels: Any,
        *,
        seed: int,
    ) -> NDArray[np.float32]:
        # The classifier is seeded, and draws the directions.
        del seed
        directions = self._directions(math.prod(images.shape[1:]))
        radius = np.full(len(images), self.epsilon, np.float32)
        step_of = self._stepper(images.shape)
        iterates = images.copy()
        best = BestImages(images)
        for _ in range(self.steps):
            active = np.flatnonzero(
                (best.fooled == 0) | (not self.stop_when_fooled)
            )
            if not len(active):
                break
            gradients = estimate_gradients(
                classifier,
                iterates[active],
                labels[active],
                directions=directions,
                delta=self.delta,
                loss=self.loss,
                targeted=self.targeted,
            )
            moved = norms.move(
                iterates[active],
                step_of(active, gradients),
                images[active],
                self.norm,
                radius[active],
            )
            iterates[active] = ops.convert_to_numpy(moved)
            self._judge(classifier, best, active, iterates, labels)
        return best.images

    def _judge(
        self,
        classifier: Classifier,
        best: BestImages,
        active: NDArray[np.int_],
        iterates: NDArray[np.float32],
        labels: NDArray[np.int32],
    ) -> None:
        """Asks the model about new iterates and keeps the best."""
        labels = labels[active]
        logits = classifier.logits(
            iterates[active], labels, targeted=self.targeted
        )
        predictions = losses.classes_of(logits)
        checks.check_predictions(predictions)
        values = log_probability_loss(
            ops.convert_to_tensor(logits),
            ops.convert_to_tensor(labels),
            self.loss,
            targeted=self.targeted,
        )
        fooled = losses.is_fooled(predictions, labels, self.targeted)
        best.update(
            active,
            iterates[active],
            ops.convert_to_numpy(values),
            fooled.astype(np.float32),
        )


def steepest_steps(
    norm: str, epsilon: float, steps: int, step_size: float | None
) -> Stepper:
    """Returns the rule of steps of one length along the steepest direction.

    Args:
        norm: `"linf"` or `"l2"`.
        epsilon: float, the radius of the ball.
        steps: int, their number.
        step_size: float or None, their length; None for 2.5 epsilon / steps,
            but at most epsilon.
    """
    if step_size is None:
        step_size = epsilon * min(2.5 / steps, 1.0)

    def step(_: NDArray[np.int_], gradients: NDArray[np.float32]) -> Tensor:
        return step_size * norms.steepest_direction(gradients, norm)

    return step
