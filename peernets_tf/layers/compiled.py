"""Compiles functions: the only file of `layers` that knows the backend."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import keras

from peernets_tf.types import Tensor


def compiled(
    function: Callable[..., Any], *, static: Sequence[str] = ()
) -> Callable[..., Any]:
    """Returns a pure function of tensors, compiled once for each shape.

    Args:
        function: function of tensors that reads no Keras variable.
        static: names of the keyword arguments that are Python values.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(function, autograph=False)
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function, static_argnames=tuple(static))
    return function


def check_at_run_time(
    tensor: Tensor, count: Tensor, minimum: int, message: str
) -> Tensor:
    """Returns a tensor; what is computed with it fails if a count is too small.

    TensorFlow only: JAX knows all sizes when it compiles.

    Args:
        tensor: tensor of shape `(count, C)`.
        count: int tensor of shape `()`.
        minimum: int, the smallest count that does not fail.
        message: str, the text of the error. XLA drops assertions; there the
            error is that of a slice with this text as its name.
    """
    if keras.backend.backend() != "tensorflow":
        return tensor
    import tensorflow as tf

    check = tf.debugging.assert_greater_equal(count, minimum, message=message)
    with tf.control_dependencies([check]):
        begin = tf.slice(
            tensor, [0, 0], [minimum, 0], name=re.sub(r"\W+", "_", message)
        )
    with tf.control_dependencies([begin]):
        return tf.identity(tensor)
