"""SPSA: Adam along slopes in random directions of signs."""

import dataclasses
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from peernets_tf.attacks.directions import Directions, Signs
from peernets_tf.attacks.estimated_ascent import EstimatedAscent, Stepper
from peernets_tf.types import Tensor

# Adam, Kingma and Ba (2015).
_DECAY, _SQUARE_DECAY, _SMALLEST = 0.9, 0.999, 1e-8


@dataclasses.dataclass(frozen=True, kw_only=True)
class SPSA(EstimatedAscent):
    """The attack of Uesato et al. (2018), who took SPSA from Spall (1992).

    *Adversarial Risk and the Dangers of Evaluating Against Weak Attacks*. It
    averages slopes along directions whose coordinates are 1 or -1 at random,
    and follows them with Adam within the ball. A step asks the model
    `2 * samples + 1` times for each image; see `EstimatedAscent`.

    Attributes:
        epsilon: float, the radius of the ball for images in [0, 1].
        norm: `"linf"` or `"l2"`.
        steps: int, the number of steps.
        loss: `"cross_entropy"`, `"margin"` or `"dlr"`.
        targeted: bool, whether the labels are classes to reach.
        stop_when_fooled: bool, see `EstimatedAscent`.
        delta: float above 0, how far each coordinate is moved to each side, for
            images in [0, 1].
        learning_rate: float, that of Adam: about the largest change of a
            coordinate in one step.
        samples: int, the directions in each step.
    """

    name: ClassVar[str] = "spsa"

    delta: float = 0.01
    learning_rate: float = 0.01
    samples: int = 128

    def _directions(self, length: int) -> Directions:
        del length
        return Signs(count=self.samples)

    def _stepper(self, shape: tuple[int, ...]) -> Stepper:
        mean, mean_square = np.zeros(shape, "f4"), np.zeros(shape, "f4")
        done = 0

        def step(
            where: NDArray[np.int_], gradients: NDArray[np.float32]
        ) -> Tensor:
            nonlocal done
            # What takes a step has taken all of those before.
            done += 1
            for average, decay, new in (
                (mean, _DECAY, gradients),
                (mean_square, _SQUARE_DECAY, gradients**2),
            ):
                average[where] = decay * average[where] + (1 - decay) * new
            unbiased = mean[where] / (1 - _DECAY**done)
            size = np.sqrt(mean_square[where] / (1 - _SQUARE_DECAY**done))
            return self.learning_rate * unbiased / (size + _SMALLEST)

        return step
