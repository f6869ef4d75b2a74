"""Small images in a grid: how one is shown, labelled and marked."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from peernets_tf.pictures.style import Theme

_SMALL = 9


def show(axes: Axes, image: NDArray[Any], theme: Theme) -> None:
    """Shows an image without ticks.

    Args:
        axes: the `Axes`.
        image: float array of shape `(H, W, C)` in [0, 1], C either 1 or 3.
        theme: the `Theme`.
    """
    pixels = image[..., 0] if image.shape[-1] == 1 else image
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    _frame(axes, theme.line, 0.8)


def hide(axes: Axes) -> None:
    """Leaves the place of an image empty, but keeps its labels."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.set_facecolor("none")
    for spine in axes.spines.values():
        spine.set_visible(False)


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
