"""Small images in a grid: how one is shown, labelled and marked."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from peernets_tf.errors import UserError
from peernets_tf.pictures.style import Theme

_SMALL = 9
# The height of a gap between two blocks of images, in heights of an image.
_GAP = 0.08


def show(
    axes: Axes,
    image: NDArray[Any],
    theme: Theme,
    covered: NDArray[np.bool_] | None = None,
) -> None:
    """Shows an image with its pixels as squares, and no ticks.

    Args:
        axes: the `Axes`.
        image: float array of shape `(H, W, C)` in [0, 1], C either 1 or 3.
        theme: the `Theme`.
        covered: bool array of shape `(H, W)` or None; other pixels are empty.

    Raises:
        UserError: if the image has another number of channels.
    """
    height, width, channels = image.shape
    if channels not in (1, 3):
        raise UserError(
            "a picture of an image needs 1 or 3 channels. Received: images "
            f"with {channels}"
        )
    shown = np.ones((height, width, 4))
    shown[..., :3] = np.repeat(image, 3 // channels, axis=-1)
    if covered is not None:
        shown[..., 3] = covered
    axes.imshow(shown.clip(0, 1), interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    _frame(axes, theme.line, 0.8)


def hide(axes: Axes) -> None:
    """Leaves the place of an image empty, but keeps its labels."""
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    axes.set_facecolor("none")
    # As an image has, or the labels would stand elsewhere.
    axes.set_box_aspect(1)
    for spine in axes.spines.values():
        spine.set_visible(False)


def empty(axes: Axes, text: str) -> None:
    """Writes a line in the place of an image."""
    hide(axes)
    note(axes, text)
    axes.xaxis.set_label_coords(0.5, 0.5)
    axes.xaxis.label.set_verticalalignment("center")


def blocks(
    figure: Figure, count: int, rows: int, columns: int
) -> list[NDArray[np.object_]]:
    """Makes blocks of images below each other, a gap between two of them.

    Args:
        figure: the `Figure`.
        count: int, the number of blocks.
        rows: int, the rows of a block.
        columns: int, the columns of a block.

    Returns:
        For each block an object array of `Axes` of shape `(rows, columns)`.
    """
    heights = ([1.0] * rows + [_GAP]) * count
    grid = figure.add_gridspec(
        len(heights) - 1, columns, height_ratios=heights[:-1]
    )
    found = []
    for first in range(0, len(heights), rows + 1):
        block = np.empty((rows, columns), object)
        for place in np.ndindex(rows, columns):
            axes = figure.add_subplot(grid[first + place[0], place[1]])
            block[place] = axes
        found.append(block)
    return found


def heading(axes: Axes, text: str) -> None:
    """Writes the head of a column above an image."""
    axes.set_title(text, fontsize=_SMALL + 1, fontweight="bold", loc="center")


def note(axes: Axes, text: str) -> None:
    """Writes a line or two below an image."""
    axes.set_xlabel(text, fontsize=_SMALL, labelpad=3)


def row_label(axes: Axes, text: str, color: str) -> None:
    """Writes the name of a row left of its first image."""
    axes.set_ylabel(
        text,
        color=color,
        fontsize=_SMALL + 1,
        fontweight="bold",
        rotation=0,
        horizontalalignment="right",
        verticalalignment="center",
        labelpad=8,
    )


def verdict(axes: Axes, name: str, is_right: bool, theme: Theme) -> None:
    """Writes the predicted class below an image, and marks a wrong one.

    A wrong class has a cross instead of a check mark, bold type and a thick
    frame.
    """
    note(axes, f"{'✓' if is_right else '✗'} {name}")
    if not is_right:
        axes.xaxis.label.set_fontweight("bold")
        _frame(axes, theme.text, 2.0)


def norms_text(l2: float, linf: float) -> str:
    """Returns how the norms of a perturbation are written, two lines."""
    return f"L2 {_three_digits(l2)}\nL∞ {_three_digits(linf)}"


def amplified(perturbation: NDArray[Any], factor: float) -> NDArray[Any]:
    """Returns a perturbation as an image, grey where it is zero."""
    return np.clip(0.5 + factor * perturbation, 0, 1)


def contrast_factor(largest: float) -> float:
    """Returns the factor at which a perturbation has full contrast.

    It has two digits, rounded down, so that no value is clipped.

    Args:
        largest: float, the largest absolute value of the perturbation; 0 gives
            the factor 1.
    """
    if largest <= 0:
        return 1.0
    factor = 0.5 / largest
    unit = 10.0 ** (np.floor(np.log10(factor)) - 1)
    return float(np.floor(factor / unit) * unit)


def pixel_norms(perturbation: NDArray[Any]) -> tuple[float, float]:
    """Returns the L2 and L-infinity norm on the 0-255 pixel scale."""
    flat = 255 * perturbation.ravel().astype(np.float64)
    return float(np.linalg.norm(flat)), float(np.abs(flat).max())


def _three_digits(number: float) -> str:
    # Without the exponent that `g` gives to a thousand and more.
    return f"{number:.0f}" if number >= 100 else f"{number:.3g}"


def _frame(axes: Axes, color: str, width: float) -> None:
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color(color)
        spine.set_linewidth(width)
