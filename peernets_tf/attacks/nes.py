"""NES: gradient ascent with Gaussian search directions."""

import dataclasses
from typing import ClassVar

from peernets_tf.attacks.directions import Directions, Gaussian
from peernets_tf.attacks.estimated_ascent import (
    EstimatedAscent,
    Stepper,
    steepest_steps,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NES(EstimatedAscent):
    """The attack by natural evolution strategies of Ilyas et al. (2018).

    *Black-box Adversarial Attacks with Limited Queries and Information*. It
    estimates the gradient of the loss, averaged over Gaussian noise around the
    image, from pairs of opposite draws, and takes PGD's steps along it. A step
    asks the model `2 * samples + 1` times for each image; see
    `EstimatedAscent`. Wide noise sees past a gradient that is masked.

    Attributes:
        epsilon: float, the radius of the ball for images in [0, 1].
        norm: `"linf"` or `"l2"`.
        steps: int, the number of steps.
        loss: `"cross_entropy"`, `"margin"` or `"dlr"`.
        targeted: bool, whether the labels are classes to reach.
        stop_when_fooled: bool, see `EstimatedAscent`.
        delta: float above 0, the standard deviation of the noise, for images in
            [0, 1]; sigma in the publication.
        step_size: float or None, the length of a step; None for
            2.5 epsilon / steps, but at most epsilon.
        samples: int, the pairs of opposite draws in each step.
    """

    name: ClassVar[str] = "nes"

    delta: float = 8 / 255
    step_size: float | None = None
    samples: int = 100

    def _directions(self, length: int) -> Directions:
        del length
        return Gaussian(count=self.samples)

    def _stepper(self, shape: tuple[int, ...]) -> Stepper:
        del shape
        return steepest_steps(
            self.norm, self.epsilon, self.steps, self.step_size
        )
