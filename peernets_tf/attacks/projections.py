"""Balls around images: their norms, projections, steps and random points."""

from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

# A tensor of the Keras backend, or an array that it converts.
Tensor = Any

NORMS = ("linf", "l2")
# Smaller norms are not divided by.
_TINY = 1e-6


def norms(perturbations: Tensor, norm: str) -> Tensor:
    """Returns the norm of each perturbation `(B, ...)`, of shape `(B,)`."""
    flat = ops.reshape(perturbations, (ops.shape(perturbations)[0], -1))
    if norm == "linf":
        return ops.max(ops.abs(flat), axis=1)
    return ops.sqrt(ops.sum(ops.square(flat), axis=1))


def project(perturbations: Tensor, norm: str, epsilon: Tensor) -> Tensor:
    """Returns the nearest point, in L2, of the ball of radius `epsilon`.

    Args:
        perturbations: float tensor of shape `(B, ...)`.
        norm: `"linf"` or `"l2"`.
        epsilon: float tensor of shape `(B,)`, each image's radius.
    """
    radius = like_images(epsilon, perturbations)
    if norm == "linf":
        return ops.clip(perturbations, -radius, radius)
    length = ops.maximum(norms(perturbations, norm), _TINY)
    return perturbations * ops.minimum(
        1.0, radius / like_images(length, perturbations)
    )


def steepest(gradient: Tensor, norm: str) -> Tensor:
    """Returns the direction of norm 1 that a linear function grows most in.

    That is the gradient's sign for L-infinity, and the gradient over its
    length for L2; zero stays zero.
    """
    if norm == "linf":
        return ops.sign(gradient)
    # Scaled first: the squares of small float32 gradients would vanish.
    largest = like_images(norms(gradient, "linf"), gradient)
    scaled = gradient / ops.where(largest > 0, largest, 1.0)
    length = like_images(ops.maximum(norms(scaled, "l2"), _TINY), gradient)
    return scaled / length


def random_points(
    shape: tuple[int, ...],
    norm: str,
    epsilon: NDArray[Any],
    rng: np.random.Generator,
    *,
    on_surface: bool = False,
) -> NDArray[np.float32]:
    """Draws points of the balls of radius `epsilon`, uniformly.

    Args:
        shape: tuple `(B, ...)`.
        norm: `"linf"` or `"l2"`.
        epsilon: array of shape `(B,)`.
        rng: `numpy.random.Generator`.
        on_surface: whether every point has norm `epsilon`; for L-infinity
            these are the corners.
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


def like_images(values: Tensor, images: Tensor) -> Tensor:
    """Reshapes one value an image, `(B,)`, to multiply `(B, H, W, C)`."""
    return ops.reshape(values, (-1, *[1] * (len(images.shape) - 1)))


def check_norm(norm: str) -> None:
    """Raises a `ValueError` unless it is one of `NORMS`."""
    if norm not in NORMS:
        raise ValueError(f"`norm` must be one of {NORMS}. Received: {norm}")
