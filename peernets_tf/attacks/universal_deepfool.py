"""The universal perturbation that DeepFool steps add up to."""

import dataclasses
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from peernets_tf.attacks import checks
from peernets_tf.attacks.classifier import Classifier
from peernets_tf.attacks.deepfool import DeepFool
from peernets_tf.attacks.universal import UniversalAttack


@dataclasses.dataclass(frozen=True, kw_only=True)
class UniversalDeepFool(UniversalAttack):
    """Universal adversarial perturbations, Moosavi-Dezfooli et al. (2017).

    DeepFool attacks each image whose class the perturbation does not change
    yet. Where it succeeds, its step is added to the perturbation, which is then
    projected to the ball. A batch size of 1 is the published algorithm. A
    larger batch adds the sum of the steps of its images. Unlike the authors'
    code, ours keeps perturbed images in [0, 1].

    Attributes:
        epsilon: float, the radius of the ball for images in [0, 1].
        norm: `"l2"` or `"linf"`.
        passes: int, the largest number of passes over the images.
        batch_size: int, the number of images whose steps are summed.
        fooling_rate: float in [0, 1]. The fit stops after a pass if the
            perturbation fools this share of the images. The authors take 0.8.
        deepfool: the `DeepFool` for single images. The authors take at most
            ten steps.
    """

    name: ClassVar[str] = "universal.deepfool"
    internal: ClassVar[frozenset[str]] = frozenset({"deepfool"})
    loss: ClassVar[str] = DeepFool.loss

    fooling_rate: float = 0.8
    deepfool: DeepFool = DeepFool(max_steps=10)

    def _change(
        self,
        classifier: Classifier,
        perturbed: NDArray[np.float32],
        classes: NDArray[np.int32],
    ) -> tuple[NDArray[np.float32], int]:
        predictions = classifier.predict(perturbed)
        checks.check_predictions(predictions)
        is_left = predictions == classes
        fooled = int(np.sum(~is_left))
        if not is_left.any():
            return np.zeros(perturbed.shape[1:], np.float32), fooled
        changes, fools = self.deepfool.perturbations(
            classifier, perturbed[is_left]
        )
        return changes[fools].sum(axis=0), fooled
