"""Draws the images of graphs."""

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peernets_tf.errors import UserError
from peernets_tf.peers.images import to_array


def draw_peers(
    images: Any,
    num_peers: int,
    num_graphs: int = 1,
    seed: int | Sequence[int] = 0,
) -> NDArray[Any]:
    """Draws the images of graphs of peers uniformly from the training images.

    An image is in a graph at most once. Source: Section 4.1 of the paper,
    Testing.

    Args:
        images: the N' training images: array or tensor of shape
            `(N', H, W, C)`, or a `tf.data.Dataset` or other iterable of images,
            of batches, or of (images, labels). All images are held in memory.
        num_peers: int, N, the number of images in one graph.
        num_graphs: int, M, the number of graphs (the paper's Monte Carlo runs).
        seed: int or sequence of ints, the seed of the draw.

    Returns:
        Array of shape `(M, N, H, W, C)`.

    Raises:
        UserError: if `num_peers` is not between 1 and N', `num_graphs` is
            smaller than 1, or `images` are not finite images.
    """
    if isinstance(images, numbers.Integral):
        raise UserError(
            f"`images` must be the training images. Received: {images}; are "
            "the arguments swapped? Write draw_peers(images, num_peers)"
        )
    images = to_array(images)
    check_drawing(images, num_peers, num_graphs)
    rng = np.random.default_rng(seed)
    return np.stack(
        [
            images[rng.choice(len(images), num_peers, replace=False)]
            for _ in range(num_graphs)
        ]
    )


def check_drawing(
    images: NDArray[Any], num_peers: int, num_graphs: int = 1
) -> None:
    """Raises a `UserError` unless peers can be drawn; see `draw_peers`."""
    if images.ndim != 4:
        raise UserError(
            "`images` must have shape (N, H, W, C). Received: "
            f"images.shape={images.shape}"
        )
    for name, number in (("num_peers", num_peers), ("num_graphs", num_graphs)):
        if not isinstance(number, numbers.Integral):
            raise UserError(
                f"`{name}` must be a whole number. Received: "
                f"{name}={_shown(number)}"
            )
    if not 1 <= num_peers <= len(images):
        raise UserError(
            "`num_peers` must be between 1 and the number of training images, "
            f"{len(images)}. Received: num_peers={num_peers}"
        )
    if num_graphs < 1:
        raise UserError(
            "`num_graphs` must be at least 1. Received: "
            f"num_graphs={num_graphs}"
        )


def _shown(value: Any) -> str:
    """Returns a value for an error, or the type of a large one."""
    return type(value).__name__ if hasattr(value, "shape") else repr(value)
