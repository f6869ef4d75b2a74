"""Random noise: the control that every attack must beat."""

import dataclasses
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from peernets_tf.attacks import autodiff, guards, projections


@dataclasses.dataclass(frozen=True, kw_only=True)
class RandomNoise:
    """Noise of norm `epsilon`, drawn anew for each image, clipped to [0, 1].

    Attributes:
        epsilon: float, the norm before clipping, for images in [0, 1].
        norm: `"linf"`: each value + or - epsilon; `"l2"`: a uniform direction.
    """

    _STREAM: ClassVar[int] = 11

    epsilon: float = 8 / 255
    norm: str = "linf"

    def __post_init__(self) -> None:
        projections.check_norm(self.norm)
        if not self.epsilon >= 0:
            raise ValueError(
                f"`epsilon` must not be negative. Received: {self.epsilon}"
            )

    def __call__(
        self,
        logits_fn: autodiff.LogitsFunction,
        images: NDArray[Any],
        labels: NDArray[Any] | None = None,
        *,
        seed: int = 0,
    ) -> NDArray[np.float32]:
        """Returns the images with noise; only `images` and `seed` are used."""
        del logits_fn, labels
        images = np.asarray(images, np.float32)
        guards.check_images(images)
        noise = projections.random_points(
            images.shape,
            self.norm,
            np.full(len(images), self.epsilon),
            np.random.default_rng((self._STREAM, seed)),
            on_surface=True,
        )
        return np.clip(images + noise, 0, 1)
