"""FiniteDifference: gradient ascent that sees only probabilities."""

import dataclasses
from typing import ClassVar

from peernets_tf.attacks.directions import (
    Directions,
    Groups,
    PrincipalComponents,
)
from peernets_tf.attacks.estimated_ascent import (
    EstimatedAscent,
    Stepper,
    steepest_steps,
)
from peernets_tf.errors import AttackError, UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class FiniteDifference(EstimatedAscent):
    """The gradient estimation attack of Bhagoji, He, Li and Song (2018).

    *Exploring the Space of Black-box Attacks on Deep Neural Networks*
    (arXiv 1712.09491). The slope of the loss along each coordinate is a
    two-sided difference of losses. Groups or principal components take the
    place of coordinates to save queries. A step asks the model
    `2 * directions + 1` times for each image; see `EstimatedAscent`.

    Attributes:
        epsilon: float, the radius of the ball for images in [0, 1].
        norm: `"linf"` or `"l2"`.
        steps: int, the number of steps; 1 is the single-step attack.
        loss: `"cross_entropy"`, `"margin"` (the loss of Carlini and Wagner, a
            difference of log-probabilities) or `"dlr"`.
        targeted: bool, whether the labels are classes to reach.
        stop_when_fooled: bool, see `EstimatedAscent`.
        delta: float above 0, how far each coordinate, or a point along a
            component of length 1, is moved to each side, for images in [0, 1].
            The authors' program takes 0.01 or 1 on the 0-255 pixel scale. At
            0.01 / 255, float32 losses round off much of the difference.
        step_size: float or None, the length of a step; None for
            2.5 epsilon / steps, as in PGD, and for epsilon in one step.
        num_groups: int, random groups of coordinates, drawn anew in each step,
            each of which has one slope; 0 for none. There are never more than
            coordinates. The authors take groups of 8 coordinates.
        num_components: int, the principal components of training images whose
            slopes are measured; 0 for none. The authors take 400 on CIFAR-10.
        components: the `PrincipalComponents`, as many, which
            `principal_components` computes. None until an evaluation has
            computed them.
    """

    name: ClassVar[str] = "finite_difference"
    internal: ClassVar[frozenset[str]] = frozenset({"components"})

    steps: int = 1
    step_size: float | None = None
    num_groups: int = 0
    num_components: int = 0
    components: PrincipalComponents | None = dataclasses.field(
        default=None, repr=False
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_groups and self.num_components:
            raise UserError(
                "`num_groups` and `num_components` exclude each other: leave "
                f"one out. Received: num_groups={self.num_groups}, "
                f"num_components={self.num_components}"
            )
        given = self.components
        if given is not None and given.count != self.num_components:
            raise UserError(
                f"`components` must be {self.num_components}, the number in "
                f"`num_components`. Received: {given.count}"
            )

    def _directions(self, length: int) -> Directions:
        if self.num_groups:
            count = min(self.num_groups, length)
            return Groups(count=count, are_random=True)
        if not self.num_components:
            return Groups(count=length)
        if self.components is None:
            raise AttackError(
                "num_components needs `components`, the principal components "
                "of training images. Received: None"
            )
        return self.components

    def _stepper(self, shape: tuple[int, ...]) -> Stepper:
        del shape
        return steepest_steps(
            self.norm, self.epsilon, self.steps, self.step_size
        )
