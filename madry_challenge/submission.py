"""What the challenge takes as adversarial images."""

import numpy as np
from numpy.typing import NDArray


def check(
    adversarial: NDArray[np.floating],
    images: NDArray[np.floating],
    epsilon: float,
) -> None:
    """Refuses adversarial images as the original does.

    Args:
        adversarial: array of the shape of `images`, in [0, 255].
        images: float array of shape `(N, H, W, C)`, in [0, 255].
        epsilon: float, the largest distance, of 255.

    Raises:
        ValueError: if they are no numbers, have another shape, another range,
            or are farther than `epsilon` from the images.
    """
    if adversarial.dtype.kind not in "fiu":
        raise ValueError(
            f"invalid type: expected numbers, found {adversarial.dtype}"
        )
    if adversarial.shape != images.shape:
        raise ValueError(
            f"invalid shape: expected {images.shape}, found {adversarial.shape}"
        )
    low, high = np.min(adversarial), np.max(adversarial)
    # The original's tolerance.
    if not (low >= -1e-4 and high <= 255 + 1e-4):
        raise ValueError(
            f"invalid pixel range: expected [0, 255], found [{low}, {high}]"
        )
    distance = np.max(np.abs(adversarial - images))
    if distance > epsilon + 1e-4:
        raise ValueError(
            f"maximum perturbation found: {distance}, allowed: {epsilon}"
        )
