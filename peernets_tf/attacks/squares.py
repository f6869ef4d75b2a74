"""Where Square looks next: its schedule, its random draws and its windows.

A move is a row of int32: the side of the window, its place, the bump that an
L2 move adds, the place of the window that an L2 move empties, and a sign for
each channel. The columns are those of `Moves`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from peernets_tf.attacks import norms
from peernets_tf.lazy import ops
from peernets_tf.types import Tensor

# The share of an image that a window covers is halved after these of 10,000
# queries, Section 4.1 of the paper.
_HALVED_AFTER = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
_SMALLEST_LENGTH = 1e-10


class Moves(NamedTuple):
    """The columns of moves, each an int tensor of shape `(B,)`.

    Attributes:
        size: the side of the windows in pixels; 0 asks for the present image.
        top, left: the place of the window that changes.
        bump: the number of the bump that an L2 move adds, see `bumps`.
        emptied_top, emptied_left: the place of the window that gives its
            length to the other in an L2 move.
        signs: tensor of shape `(B, C)`, 1 or -1 for each channel.
    """

    size: Tensor
    top: Tensor
    left: Tensor
    bump: Tensor
    emptied_top: Tensor
    emptied_left: Tensor
    signs: Tensor

    @classmethod
    def of(cls, rows: Tensor) -> "Moves":
        """Returns the columns of rows `(B, 6 + C)`."""
        return cls._make([*(rows[:, i] for i in range(6)), rows[:, 6:]])


def sides(shape: tuple[int, ...], norm: str, p_init: float) -> tuple[int, ...]:
    """Returns the sides of the windows in pixels, in the schedule's order.

    Args:
        shape: tuple `(H, W, C)`.
        norm: `"linf"` or `"l2"`; sides are odd and at least 3 in L2.
        p_init: float, the share of the image that the first windows cover.
    """
    height, width, _ = shape
    found = []
    for halvings in range(len(_HALVED_AFTER) + 1):
        side = round(np.sqrt(p_init / 2**halvings * height * width))
        side = max(side, 3) // 2 * 2 + 1 if norm == "l2" else max(side, 1)
        found.append(min(side, height, width))
    return tuple(found)


def draw_moves(
    shape: tuple[int, ...],
    norm: str,
    p_init: float,
    queries: int,
    rng: np.random.Generator,
    *,
    rescale_schedule: bool,
) -> NDArray[np.int32]:
    """Draws the moves of all queries, int32 of shape `(queries, 6 + C)`.

    The first one asks for the start. The arguments are those of `Square`.
    """
    height, width, channels = shape
    done = np.arange(queries - 1)
    if rescale_schedule:
        done = done * 10_000 // queries
    stage = np.searchsorted(_HALVED_AFTER, done)
    size = np.array(sides(shape, norm, p_init))[stage]

    def place(length: int) -> NDArray[np.int_]:
        return rng.integers(0, length - size + 1)

    moves = np.zeros((queries, 6 + channels), np.int32)
    moves[1:, :6] = np.stack(
        [
            size,
            place(height),
            place(width),
            2 * stage + rng.integers(0, 2, len(stage)),
            place(height),
            place(width),
        ],
        axis=1,
    )
    moves[:, 6:] = 2 * rng.integers(0, 2, (queries, channels)) - 1
    return moves


def start(
    shape: tuple[int, ...], norm: str, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draws the first perturbation, of norm 1 and shape `(1, H, W, C)`.

    In L-infinity it is stripes of a random sign in each column and channel, in
    L2 a grid of bumps of random signs.
    """
    height, width, channels = shape
    if norm == "linf":
        signs = rng.choice([-1.0, 1.0], (1, 1, width, channels))
        return np.broadcast_to(signs, (1, *shape)).astype(np.float32)
    side = max(min(height, width) // 5, 1)
    total = np.zeros(shape, np.float32)
    for top in range(height % side // 2, height - side + 1, side):
        for left in range(width % side // 2, width - side + 1, side):
            bump = _bump(side)
            bump = bump.T if rng.integers(0, 2) else bump
            total[top : top + side, left : left + side] = bump[
                :, :, None
            ] * rng.choice([-1, 1], channels)
    return (total / np.sqrt(np.sum(total**2)))[None]


def bumps(sizes: tuple[int, ...]) -> NDArray[np.float32]:
    """Returns the bumps of the sides `sizes`, `(2 n, S, S)`, S the largest.

    Each is followed by its transpose, and padded by zeros.
    """
    largest = max(sizes)
    found = np.zeros((2 * len(sizes), largest, largest), np.float32)
    for i, size in enumerate(sizes):
        found[2 * i, :size, :size] = _bump(size)
        found[2 * i + 1, :size, :size] = _bump(size).T
    return found


def move_linf(
    adversarial: Tensor, images: Tensor, epsilon: Tensor, moves: Moves
) -> Tensor:
    """Sets each channel of a window to the image plus or minus epsilon."""
    signs = ops.cast(moves.signs, images.dtype)[:, None, None]
    return ops.where(
        _window(images, moves.top, moves.left, moves.size),
        ops.clip(images + signs * epsilon, 0.0, 1.0),
        adversarial,
    )


def move_l2(
    adversarial: Tensor,
    images: Tensor,
    epsilon: Tensor,
    moves: Moves,
    table: NDArray[np.float32],
) -> Tensor:
    """Adds a bump in one window, whose length another window gives up."""
    change = adversarial - images
    window = _window(images, moves.top, moves.left, moves.size)
    emptied = _window(images, moves.emptied_top, moves.emptied_left, moves.size)
    # The length that each channel may have in the window afterwards.
    unused = ops.square(epsilon) - ops.sum(
        ops.square(change), axis=(1, 2, 3), keepdims=True
    )
    length = ops.sqrt(
        ops.maximum(unused, 0.0) / images.shape[-1]
        + ops.square(_lengths(ops.where(window | emptied, change, 0.0)))
    )
    old = ops.where(window, change, 0.0)
    signs = ops.cast(moves.signs, images.dtype)[:, None, None]
    new = _placed(images, moves, table)[..., None] * signs + old / (
        _SMALLEST_LENGTH + _lengths(old)
    )
    new = new * length / ops.maximum(_lengths(new), _SMALLEST_LENGTH)
    change = ops.where(window, new, ops.where(emptied, 0.0, change))
    # A norm of zero is that of images without a ball.
    norm = ops.maximum(norms.norms(change, "l2"), _SMALLEST_LENGTH)
    moved = images + change * norms.like_images(epsilon / norm, images)
    asks_for_the_present = norms.like_images(moves.size == 0, images)
    return ops.where(
        asks_for_the_present, adversarial, ops.clip(moved, 0.0, 1.0)
    )


def _bump(side: int) -> NDArray[np.float64]:
    """Returns the two bumps of opposite signs of Section 4.3, of norm 1."""
    upper = side // 2
    bump = np.zeros((side, side))
    bump[:upper] = _rectangles(upper, side)
    bump[upper:] = -_rectangles(side - upper, side)
    return bump / np.sqrt(np.sum(bump**2))


def _rectangles(height: int, width: int) -> NDArray[np.float64]:
    """Returns a bump: rectangles in each other, of norm 1."""
    bump = np.zeros((height, width))
    top, left = height // 2, width // 2
    for i in range(max(top, left) + 1):
        rows = slice(max(top - i, 0), top + i + 1)
        columns = slice(max(left - i, 0), left + i + 1)
        bump[rows, columns] += 1 / (i + 1) ** 2
    return bump / max(np.sqrt(np.sum(bump**2)), _SMALLEST_LENGTH)


def _window(images: Tensor, top: Tensor, left: Tensor, size: Tensor) -> Tensor:
    """Returns which pixels lie in windows, bool `(B, H, W, 1)`."""
    rows = ops.arange(images.shape[1], dtype="int32") - top[:, None]
    columns = ops.arange(images.shape[2], dtype="int32") - left[:, None]
    in_rows = (rows >= 0) & (rows < size[:, None])
    in_columns = (columns >= 0) & (columns < size[:, None])
    return in_rows[:, :, None, None] & in_columns[:, None, :, None]


def _placed(images: Tensor, moves: Moves, table: NDArray[np.float32]) -> Tensor:
    """Returns bumps at their places in images of zeros, `(B, H, W)`."""
    inside = ops.arange(table.shape[1], dtype="int32")
    rows = ops.arange(images.shape[1], dtype="int32") - moves.top[:, None]
    columns = ops.arange(images.shape[2], dtype="int32") - moves.left[:, None]
    return ops.einsum(
        "bhs,bst,bwt->bhw",
        ops.cast(rows[:, :, None] == inside, images.dtype),
        ops.take(table, moves.bump, axis=0),
        ops.cast(columns[:, :, None] == inside, images.dtype),
    )


def _lengths(change: Tensor) -> Tensor:
    """Returns the L2 norm of each channel, `(B, 1, 1, C)`."""
    return ops.sqrt(ops.sum(ops.square(change), axis=(1, 2), keepdims=True))
