"""Confidence intervals of rates that were counted on test images."""

import math

import numpy as np
from numpy.typing import ArrayLike

from peernets_tf.errors import UserError

# The quantile of the normal distribution for a 95 % interval.
_Z = 1.959963984540054


def wilson_interval(count: int, total: int) -> tuple[float, float]:
    """Returns the 95 % Wilson score interval of a rate.

    It says how far the rate may lie from that on infinitely many test images.
    It does not cover other seeds of training or other graphs of peers.

    Args:
        count: int, the images counted.
        total: int, all images, at least 1.

    Returns:
        The lower and the upper bound in [0, 1].
    """
    rate = count / total
    scale = 1 + _Z**2 / total
    centre = (rate + _Z**2 / (2 * total)) / scale
    half = _Z * math.sqrt(rate * (1 - rate) / total + (_Z / (2 * total)) ** 2)
    # At the rates 0 and 1 rounding could cross the rate itself.
    low, high = centre - half / scale, centre + half / scale
    return max(0.0, min(low, rate)), min(1.0, max(high, rate))


def paired_difference(
    first: ArrayLike, second: ArrayLike
) -> tuple[float, float]:
    """Returns how much a rate differs between two networks on the same images.

    Images on which both agree say nothing of the difference, so its margin is
    smaller than that of rates on different images.

    Args:
        first: bool array of shape `(N,)`, the images counted for one network.
        second: bool array of shape `(N,)`, those for the other.

    Returns:
        The rate of the first minus that of the second, in [-1, 1], and the
        larger distance of this difference to the bounds of its 95 % interval of
        Agresti and Min (2005), *Simple improved confidence intervals for
        comparing matched proportions*.

    Raises:
        UserError: if the shapes differ, or there is no image.
    """
    one, other = np.asarray(first, bool), np.asarray(second, bool)
    if one.shape != other.shape or not one.size:
        raise UserError(
            "a paired difference needs the same images twice. Received: shapes "
            f"{one.shape} and {other.shape}"
        )
    only_one, only_other = int(np.sum(one & ~other)), int(np.sum(other & ~one))
    # Half an image is added to each of the four cells.
    total = one.size + 2
    centre = (only_one - only_other) / total
    spread = only_one + only_other + 1 - total * centre**2
    half = _Z * math.sqrt(spread) / total
    difference = (only_one - only_other) / one.size
    # The centre is the nearer to 0 of the two, so the larger distance is there.
    return difference, abs(difference - centre) + half


def margin(count: int, total: int) -> float:
    """Returns the larger distance of a rate to the bounds of its interval."""
    low, high = wilson_interval(count, total)
    return max(count / total - low, high - count / total)
