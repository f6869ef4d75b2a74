"""Compiles functions: the only file of `layers` that knows the backend."""

from collections.abc import Callable, Sequence
from typing import Any

import keras


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
