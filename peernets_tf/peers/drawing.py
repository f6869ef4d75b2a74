"""Draws the images of graphs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peernets_tf.errors import UserError


def draw_peers(
    images: NDArray[Any],
    num_peers: int,
    num_graphs: int = 1,
    seed: int | Sequence[int] = 0,
) -> NDArray[Any]:
    """Draws graphs of peers uniformly, without repeats within a graph.

    Source: Section 4.1 of the paper, Testing.

    Args:
        images: array of shape `(N', H, W, C)`, the training images.
        num_peers: int, N, the images of one graph.
        num_graphs: int, M, the number of graphs (the paper's Monte Carlo runs).
        seed: int or sequence of ints, the seed of the draw.

    Returns:
        Array of shape `(M, N, H, W, C)`.

    Raises:
        UserError: if `num_peers` is not between 1 and N', or `num_graphs` is
            smaller than 1.
    """
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
    rng = np.random.default_rng(seed)
    return np.stack(
        [
            images[rng.choice(len(images), num_peers, replace=False)]
            for _ in range(num_graphs)
        ]
    )
