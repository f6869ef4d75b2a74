"""FGSM: one step along the sign of the gradient."""

import dataclasses
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from peernets_tf.attacks.ascent import Ascent, ascend
from peernets_tf.attacks.base import SearchableAttack
from peernets_tf.attacks.classifier import Classifier


@dataclasses.dataclass(frozen=True, kw_only=True)
class SingleStep(SearchableAttack):
    """One step of length `epsilon` along the gradient at the image."""

    epsilon: float = 8 / 255
    norm: str = "linf"
    loss: str = "cross_entropy"
    targeted: bool = False

    def perturb_within(
        self,
        classifier: Classifier,
        images: NDArray[np.float32],
        labels: NDArray[np.int32],
        radius: NDArray[np.float32],
        *,
        seed: int,
    ) -> NDArray[np.float32]:
        del seed
        ascent = Ascent(norm=self.norm, loss=self.loss, targeted=self.targeted)
        found = ascend(
            classifier, ascent, images, images, labels, radius, radius, 1
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
