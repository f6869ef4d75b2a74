"""FGSM: one step along the sign of the gradient."""

import dataclasses
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from peernets_tf.attacks.ascent import Ascent, ascend
from peernets_tf.attacks.base import Attack
from peernets_tf.attacks.classifier import Classifier


@dataclasses.dataclass(frozen=True, kw_only=True)
class SingleStep(Attack):
    """One step of length `epsilon` along the gradient at the image."""

    is_searchable: ClassVar[bool] = True

    epsilon: float = 8 / 255
    norm: str = "linf"
    loss: str = "cross_entropy"
    targeted: bool = False

    def _perturb(
        self,
        classifier: Classifier,
        images: NDArray[np.float32],
        labels: Any,
        *,
        seed: int,
        epsilon: NDArray[np.float32] | None,
    ) -> NDArray[np.float32]:
        del seed
        if epsilon is None:
            epsilon = np.full(len(images), self.epsilon, np.float32)
        ascent = Ascent(norm=self.norm, loss=self.loss, targeted=self.targeted)
        found = ascend(
            classifier, ascent, images, images, labels, epsilon, epsilon, 1
        )
        return found.last


@dataclasses.dataclass(frozen=True, kw_only=True)
class FGSM(SingleStep):
    """The fast gradient sign method of Goodfellow et al. (2015).

    It returns x + epsilon sign(gradient), clipped to [0, 1]. For L2 it divides
    the gradient by its length instead of taking its sign.

    Attributes:
        epsilon: float, the length of the step for images in [0, 1].
        norm: `"linf"` or `"l2"`.
        loss: `"cross_entropy"`, `"margin"` or `"dlr"`.
        targeted: bool, whether the labels are classes to reach.
    """

    name: ClassVar[str] = "fgsm"
