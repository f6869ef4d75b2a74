"""L-infinity and L2 balls: norms, projections, steps and random points."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from peernets_tf.errors import UserError
from peernets_tf.lazy import ops
from peernets_tf.types import Tensor

NORMS = ("linf", "l2")
# Lengths are divided by at least this.
_SMALLEST_LENGTH = 1e-6


def norms(perturbations: Tensor, norm: str) -> Tensor:
    """Returns the norm of each perturbation `(B, ...)`, of shape `(B,)`."""
    flat = ops.reshape(perturbations, (ops.shape(perturbations)[0], -1))
    if norm == "linf":
        return ops.max(ops.abs(flat), axis=1)
    return ops.sqrt(ops.sum(ops.square(flat), axis=1))


def project(perturbations: Tensor, norm: str, epsilon: Tensor) -> Tensor:
    """Returns the point of the ball that is nearest in L2.

    Args:
        perturbations: float tensor of shape `(B, ...)`.
        norm: `"linf"` or `"l2"`.
        epsilon: float tensor of shape `(B,)`, the radius for each image.
    """
    radius = like_images(epsilon, perturbations)
    if norm == "linf":
        return ops.clip(perturbations, -radius, radius)
    length = ops.maximum(norms(perturbations, norm), _SMALLEST_LENGTH)
    return perturbations * ops.minimum(
        1.0, radius / like_images(length, perturbations)
    )


def steepest_direction(gradient: Tensor, norm: str) -> Tensor:
    """Returns the direction of norm 1 in which a linear function grows most.

    It is the sign of the gradient for L-infinity, and the gradient over its
    length for L2. A zero gradient gives zero.
    """
    if norm == "linf":
        return ops.sign(gradient)
    # The squares of small float32 gradients would underflow without scaling.
    largest = like_images(norms(gradient, "linf"), gradient)
    scaled = gradient / ops.where(largest > 0, largest, 1.0)
    length = like_images(
        ops.maximum(norms(scaled, "l2"), _SMALLEST_LENGTH), gradient
    )
    return scaled / length


def ascend(
    iterates: Tensor,
    gradient: Tensor,
    images: Tensor,
    norm: str,
    epsilon: Tensor,
    step_size: Tensor,
) -> Tensor:
    """Moves iterates one step uphill, within the balls and [0, 1].

    Args:
        iterates: float tensor of shape `(B, H, W, C)`.
        gradient: float tensor of shape `(B, H, W, C)`.
        images: float tensor of shape `(B, H, W, C)`, the balls' centres.
        norm: `"linf"` or `"l2"`.
        epsilon: float tensor of shape `(B,)`, the radii.
        step_size: float tensor of shape `(B,)`.
    """
    direction = steepest_direction(gradient, norm)
    step = direction * like_images(step_size, images)
    return move(iterates, step, images, norm, epsilon)


def move(
    iterates: Tensor,
    step: Tensor,
    images: Tensor,
    norm: str,
    epsilon: Tensor,
) -> Tensor:
    """Moves iterates by a step, within the balls and [0, 1].

    Args:
        iterates: float tensor of shape `(B, H, W, C)`.
        step: float tensor of shape `(B, H, W, C)`.
        images: float tensor of shape `(B, H, W, C)`, the balls' centres.
        norm: `"linf"` or `"l2"`.
        epsilon: float tensor of shape `(B,)`, the radii.
    """
    # Clipping comes first: the projection moves every value towards the image
    # and so keeps it in [0, 1], up to rounding.
    iterates = ops.clip(iterates + step, 0.0, 1.0)
    change = project(iterates - images, norm, epsilon)
    return ops.clip(images + change, 0.0, 1.0)


def random_points(
    shape: tuple[int, ...],
    norm: str,
    epsilon: NDArray[Any],
    rng: np.random.Generator,
    *,
    on_surface: bool = False,
) -> NDArray[np.float32]:
    """Returns points drawn uniformly from the balls of radius `epsilon`.

    Args:
        shape: tuple `(B, ...)`.
        norm: `"linf"` or `"l2"`.
        epsilon: array of shape `(B,)`.
        rng: `numpy.random.Generator`.
        on_surface: bool, whether every point has norm `epsilon`; for
            L-infinity these are the corners.

    Returns:
        Float32 array of shape `shape`.
    """
    radius = np.asarray(epsilon).reshape(-1, *[1] * (len(shape) - 1))
    if norm == "linf":
        points = rng.uniform(-1, 1, shape)
        if on_surface:
            points = np.sign(points)
    else:
        points = rng.standard_normal(shape)
        axes = tuple(range(1, len(shape)))
        points /= np.sqrt(np.sum(points**2, axis=axes, keepdims=True))
        if not on_surface:
            share = rng.uniform(0, 1, radius.shape)
            points *= share ** (1 / np.prod(shape[1:]))
    return (radius * points).astype(np.float32)


def random_start(
    images: NDArray[np.float32],
    norm: str,
    epsilon: NDArray[np.float32],
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Returns images moved by epsilon in one random direction.

    All images share the direction. They are clipped to [0, 1].

    Args:
        images: float array of shape `(B, H, W, C)`.
        norm: `"linf"` or `"l2"`.
        epsilon: float array of shape `(B,)`.
        rng: `numpy.random.Generator`.
    """
    direction = random_points((1, *images.shape[1:]), norm, np.ones(1), rng)
    direction /= ops.convert_to_numpy(norms(direction, norm))
    lengths = epsilon.reshape(-1, *[1] * (images.ndim - 1))
    return np.clip(images + lengths * direction, 0, 1).astype(np.float32)


def like_images(values: Tensor, images: Tensor) -> Tensor:
    """Reshapes `(B,)`, one value per image, to multiply `(B, H, W, C)`."""
    return ops.reshape(values, (-1, *[1] * (len(images.shape) - 1)))


def check_norm(norm: str) -> None:
    """Raises a `UserError` unless the norm is one of `NORMS`."""
    if norm not in NORMS:
        raise UserError(f"`norm` must be one of {NORMS}. Received: {norm}")
