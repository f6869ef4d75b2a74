"""The gradient descent attack of the PeerNets paper."""

import dataclasses
from typing import ClassVar

from peernets_tf.attacks.fgsm import SingleStep
from peernets_tf.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class GradientDescent(SingleStep):
    """One step along the gradient itself: x + epsilon gradient / ||gradient||.

    The paper tries ten epsilons in ascending order (Section 4.3.1), as
    `SmallestEpsilon` does.

    Attributes:
        epsilon: float, the L2 length of the step for images in [0, 1].
        norm: `"l2"`.
        loss: `"cross_entropy"`, `"margin"` or `"dlr"`.
        targeted: bool, whether the labels are classes to reach.
    """

    name: ClassVar[str] = "gradient_descent"

    epsilon: float = 1.0
    norm: str = "l2"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.norm != "l2":
            raise UserError(
                "`norm` must be l2 for gradient descent, which steps along the "
                "gradient: use FGSM, which steps along its sign, for linf. "
                f"Received: norm={self.norm}"
            )
