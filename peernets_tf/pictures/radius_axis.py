"""An axis of radii: zero, then each doubling as wide as the one before."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

_MOST_TICKS = 10
_NAMES = {"linf": "L-infinity", "l2": "L2"}


def radius_axis(axes: Axes, radii: Sequence[float], norm: str) -> None:
    """Makes the x axis one of radii, with ticks where they were measured.

    Radii are usually doubled, so on a linear axis the small ones, at which
    networks without a defence fail, would stand on top of each other.

    Args:
        axes: the `Axes`.
        radii: sequence of floats, at least one of them positive.
        norm: `"linf"` or `"l2"`.
    """
    positive = sorted({radius for radius in radii if radius > 0})
    smallest, largest = positive[0], positive[-1]
    # From zero to the smallest radius it is linear, and as wide as a doubling.
    axes.set_xscale("symlog", base=2, linthresh=smallest, linscale=0.5)
    axes.set_xlim(0, largest)
    axes.xaxis.set_major_locator(FixedLocator([0, *_apart(positive)]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(f"{_NAMES.get(norm, norm)} radius (0-255 pixel scale, log)")


def _apart(radii: Sequence[float]) -> list[float]:
    """Returns ascending radii without those whose labels would overlap."""
    width = 1 + math.log2(radii[-1] / radii[0])
    kept: list[float] = []
    for radius in reversed(radii):
        if not kept or math.log2(kept[-1] / radius) >= width / _MOST_TICKS:
            kept.append(radius)
    return kept[::-1]
