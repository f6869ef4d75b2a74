"""The best adversarial images of several runs of an attack."""

import numpy as np
from numpy.typing import NDArray


class BestImages:
    """The best adversarial images so far.

    One that fools the model is better than one that does not; then the larger
    loss decides.

    Args:
        images: float array of shape `(B, H, W, C)`, the clean images.

    Attributes:
        images: float array of shape `(B, H, W, C)`, the best so far.
        fooled: float array of shape `(B,)`, 1.0 where they fool the model.
    """

    def __init__(self, images: NDArray[np.float32]) -> None:
        self.images = images.copy()
        self.fooled = np.zeros(len(images), np.float32)
        self._values = np.full(len(images), -np.inf, np.float32)

    def update(
        self,
        where: NDArray[np.int_],
        images: NDArray[np.float32],
        values: NDArray[np.float32],
        fooled: NDArray[np.float32],
    ) -> None:
        """Keeps what is better.

        Args:
            where: int array of shape `(n,)`, the places of the images.
            images: float array of shape `(n, H, W, C)`.
            values: float array of shape `(n,)`, their losses.
            fooled: float array of shape `(n,)`, 1.0 where they fool the model.
        """
        better = (fooled > self.fooled[where]) | (
            (fooled == self.fooled[where]) & (values > self._values[where])
        )
        where = where[better]
        self.images[where] = images[better]
        self.fooled[where] = fooled[better]
        self._values[where] = values[better]
