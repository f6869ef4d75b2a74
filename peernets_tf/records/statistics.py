"""Confidence intervals of rates that were counted on test images."""

import math

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


def margin(count: int, total: int) -> float:
    """Returns the larger distance of a rate to the bounds of its interval."""
    low, high = wilson_interval(count, total)
    return max(count / total - low, high - count / total)
