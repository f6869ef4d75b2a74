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
    projected to the ball. A batch adds the sum of the steps of its images.
    `UniversalSequential` is the authors' own algorithm.

    Attributes:
        epsilon: float, the radius of the ball for images in [0, 1].
        norm: `"l2"` or `"linf"`.
        passes: int, the largest number of passes over the images.
        batch_size: int, the number of images whose steps are summed.
        fooling_rate: float in [0, 1]. The fit stops after a pass if the
            perturbation fools this share of the images. The authors take 0.8.
        clip: bool, whether perturbed images are clipped to [0, 1]. The authors
            do not clip.
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
            classifier, perturbed[is_left], clip=self.clip
        )
        return changes[fools].sum(axis=0), fooled


@dataclasses.dataclass(frozen=True, kw_only=True)
class UniversalSequential(UniversalDeepFool):
    """The algorithm that Moosavi-Dezfooli et al. published, step by step.

    It takes one image at a time, never clips, considers the ten classes that
    are likeliest at the start, adds a DeepFool perturbation if it needed at
    most 8 steps, and stops after a pass that fools 80 % of the images. Source:
    the repository LTS4/universal, python/universal_pert.py and deepfool.py.

    Attributes: those of `UniversalDeepFool`, with the defaults of its authors.
    The authors make as many passes as it takes; `passes` limits them.
    """

    name: ClassVar[str] = "universal.sequential"
    internal: ClassVar[frozenset[str]] = frozenset({"batch_size", "deepfool"})

    batch_size: int = 1
    clip: bool = dataclasses.field(default=False, repr=False)
    # A perturbation of the last step counts as one that does not fool.
    deepfool: DeepFool = DeepFool(max_steps=9, extra_length=0.0)
