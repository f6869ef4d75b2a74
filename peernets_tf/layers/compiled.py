"""Compiles functions: the only file of `layers` that knows the backend."""

import contextlib
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


def xla_compiled(
    function: Callable[..., tuple[Tensor, ...]],
) -> Callable[..., tuple[Tensor, ...]]:
    """Returns a pure function of tensors, compiled as a whole with XLA.

    On TensorFlow, forward and backward pass are one XLA computation each, also
    inside a function that is not compiled with XLA. The backward pass computes
    the forward pass again instead of reading its intermediate values from
    memory.

    Args:
        function: function of tensors, at least one of them floating, that
            reads no Keras variable and returns a tuple of floating tensors.
    """
    if keras.backend.backend() == "tensorflow":
        return _xla_compiled_tensorflow(function)
    return compiled(function)


def _xla_compiled_tensorflow(
    function: Callable[..., tuple[Tensor, ...]],
) -> Callable[..., tuple[Tensor, ...]]:
    import tensorflow as tf

    forward = tf.function(function, autograph=False, jit_compile=True)

    @tf.function(autograph=False, jit_compile=True)
    def backward(inputs: list[Tensor], upstream: list[Tensor]) -> list[Tensor]:
        # TensorFlow differentiates with respect to floating tensors only.
        floating = [x for x in inputs if x.dtype.is_floating]
        with tf.GradientTape() as tape:
            tape.watch(floating)
            outputs = function(*inputs)
        return tape.gradient(
            outputs,
            floating,
            output_gradients=upstream,
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )

    @tf.custom_gradient
    def differentiable(*inputs: Tensor) -> Any:
        def gradient(*upstream: Tensor) -> list[Tensor | None]:
            gradients = iter(backward(list(inputs), list(upstream)))
            return [
                next(gradients) if x.dtype.is_floating else None for x in inputs
            ]

        return forward(*inputs), gradient

    # A variable among the inputs would have to be differentiated by hand.
    return lambda *inputs: differentiable(*map(tf.convert_to_tensor, inputs))


def outside_of_traces() -> contextlib.AbstractContextManager[Any]:
    """Returns a context in which a function that is traced can read values.

    JAX shows concrete arrays everywhere.
    """
    if keras.backend.backend() != "tensorflow":
        return contextlib.nullcontext()
    import tensorflow as tf

    return tf.init_scope()


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
