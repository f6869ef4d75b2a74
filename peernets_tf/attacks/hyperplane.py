"""Projections onto the part of a hyperplane that lies in [0, 1]."""

from peernets_tf.attacks import norms
from peernets_tf.lazy import ops
from peernets_tf.types import Tensor

# Slopes below this share of the largest are too flat to lead anywhere in L2.
_SMALLEST_SLOPE = 1e-8


def shortest_change(
    points: Tensor, gradients: Tensor, values: Tensor, norm: str
) -> Tensor:
    """Returns the shortest change that brings a linear function to zero.

    The changed points lie in [0, 1]. Where the function has no zero there, the
    change brings it as near to zero as it gets.

    A value that is t times its speed away from where it started has used up t;
    the speed is 1 in L-infinity and the slope in L2. Each value moves until it
    reaches its border, so the function falls along a concave polygon in t,
    which is solved exactly: Croce and Hein (2020), "Minimally distorted
    adversarial examples", Section 3.1.

    Args:
        points: float tensor of shape `(B, ...)` in [0, 1].
        gradients: float tensor of the shape of `points`, the gradients of the
            linear functions.
        values: float tensor of shape `(B,)`, the functions' values at the
            points.
        norm: `"linf"` or `"l2"`.

    Returns:
        Float tensor of the shape of `points`.
    """
    size = ops.shape(points)[0]
    start = ops.reshape(points, (size, -1))
    scale = norms.norms(gradients, "linf")
    scale = ops.where(scale > 0, scale, 1.0)
    slopes = ops.reshape(gradients, (size, -1)) / scale[:, None]
    needed = ops.abs(values) / scale
    direction = -ops.sign(slopes) * ops.sign(values)[:, None]
    slopes = ops.abs(slopes)
    rooms = ops.where(direction > 0, 1.0 - start, start)
    if norm == "linf":
        speeds = ops.ones_like(slopes)
    else:
        speeds = ops.where(slopes > _SMALLEST_SLOPE, slopes, 0.0)
    times = ops.where(speeds > 0, rooms / ops.maximum(speeds, 1e-12), 0.0)
    time = _time(times, slopes * rooms, slopes * speeds, needed)
    moved = ops.minimum(time[:, None] * speeds, rooms)
    return ops.reshape(direction * moved, ops.shape(points))


def _time(
    times: Tensor, falls: Tensor, rates: Tensor, needed: Tensor
) -> Tensor:
    """Returns when the function has fallen as far as needed, or can.

    Args:
        times: float tensor of shape `(B, n)`, when each value is at its border.
        falls: float tensor of shape `(B, n)`, how far each lets the function
            fall until then.
        rates: float tensor of shape `(B, n)`, how fast it falls until then.
        needed: float tensor of shape `(B,)`, how far the function must fall.

    Returns:
        Float tensor of shape `(B,)`.
    """
    order = ops.argsort(times, axis=1)
    times, falls, rates = (
        ops.take_along_axis(x, order, axis=1) for x in (times, falls, rates)
    )
    # Of the values at their borders before each time, and of all others.
    fallen = ops.cumsum(falls, axis=1) - falls
    rate = ops.flip(ops.cumsum(ops.flip(rates, axis=1), axis=1), axis=1)
    is_too_early = fallen + rate * times < needed[:, None]
    count = ops.sum(ops.cast(is_too_early, "int32"), axis=1)
    last = ops.shape(times)[1] - 1
    place = ops.minimum(count, last)[:, None]
    fallen, rate = (
        ops.take_along_axis(x, place, axis=1)[:, 0] for x in (fallen, rate)
    )
    time = (needed - fallen) / ops.where(rate > 0, rate, 1.0)
    return ops.where(count > last, times[:, -1], time)
