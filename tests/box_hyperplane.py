"""The shortest change onto a hyperplane in a box, by bisection in float64."""

import numpy as np


def shortest_change(point, gradient, value, norm):
    """Returns the change `(n,)` that brings a linear function to zero.

    Args:
        point: float array of shape `(n,)` in [0, 1].
        gradient: float array of shape `(n,)`, that of the function.
        value: float, the function's value at the point.
        norm: `"linf"` or `"l2"`.
    """
    direction = -np.sign(value) * np.sign(gradient)
    room = np.where(direction > 0, 1 - point, point)
    speed = np.ones_like(point) if norm == "linf" else np.abs(gradient)

    def change(time):
        return direction * np.minimum(time * speed, room)

    low, high = 0.0, 1e9
    for _ in range(200):
        middle = (low + high) / 2
        left = np.sign(value) * (value + gradient @ change(middle))
        low, high = (middle, high) if left > 0 else (low, middle)
    return change(high)
