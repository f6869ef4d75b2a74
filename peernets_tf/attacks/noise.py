"""Random noise: the control that every attack must beat."""

import dataclasses
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from peernets_tf.attacks import norms
from peernets_tf.attacks.base import Attack
from peernets_tf.attacks.classifier import Classifier
from peernets_tf.seeds import Stream, generator


@dataclasses.dataclass(frozen=True, kw_only=True)
class RandomNoise(Attack):
    """Adds noise of norm `epsilon`, drawn for each image, clipped to [0, 1].

    Attributes:
        epsilon: float, the norm before clipping, for images in [0, 1].
        norm: `"linf"`: each value changes by + or - epsilon. `"l2"`: the
            direction is drawn uniformly.
    """

    name: ClassVar[str] = "noise"
    follows_gradient: ClassVar[bool] = False
    uses_labels: ClassVar[bool] = False
    loss: ClassVar[None] = None
    targeted: ClassVar[bool] = False

    epsilon: float = 8 / 255
    norm: str = "linf"

    def _perturb(
        self,
        classifier: Classifier,
        images: NDArray[np.float32],
        labels: Any,
        *,
        seed: int,
    ) -> NDArray[np.float32]:
        del classifier, labels
        noise = norms.random_points(
            images.shape,
            self.norm,
            np.full(len(images), self.epsilon),
            generator(Stream.NOISE, seed),
            on_surface=True,
        )
        return np.clip(images + noise, 0, 1)
