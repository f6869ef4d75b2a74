"""Directions of pixels, with gradients."""

from keras import ops

from peernets_tf.types import Tensor


def unit(vectors: Tensor, epsilon: float) -> Tensor:
    """Divides vectors by their lengths.

    Args:
        vectors: float tensor of shape `(..., C)`.
        epsilon: float, the length from which on a vector has a direction. A
            shorter one becomes 0, with a gradient of 0.

    Returns:
        Float tensor of the shape of `vectors`.
    """
    squares = ops.sum(ops.square(vectors), axis=-1, keepdims=True)
    # An all-zero pixel has no direction: its gradient is 0, not 1 / epsilon.
    has_direction = squares > epsilon**2
    lengths = ops.sqrt(ops.where(has_direction, squares, 1.0))
    return ops.where(has_direction, vectors, 0.0) / lengths
