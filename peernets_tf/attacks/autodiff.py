"""Compiled functions and gradients on the backend that Keras runs on."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from typing import Any

from peernets_tf.devices import has_gpu
from peernets_tf.errors import UserError
from peernets_tf.lazy import keras, ops
from peernets_tf.types import Tensor


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a function of tensors, compiled once for each shape.

    The function may read Keras variables, whose current values each call uses.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # XLA makes the convolutions of a whole model slower on a CPU.
        return tf.function(
            function,
            autograph=False,
            jit_compile=True if has_gpu() else None,
            reduce_retracing=not has_gpu(),
        )
    if keras.backend.backend() == "jax":
        return _JaxFunction(function)
    raise _unknown_backend()


def value_and_gradient(
    function: Callable[[Any], tuple[Tensor, Any]], inputs: Any
) -> tuple[Tensor, Any, Any]:
    """Differentiates each image's value with respect to it or its features.

    Args:
        function: from inputs `(B, ...)` to values `(B,)` and an auxiliary
            result. Each image's value depends on that image only.
        inputs: float tensor of shape `(B, ...)`, or a list of such.

    Returns:
        The values, the auxiliary result and the gradient, of the shape of
        `inputs`, or a list of such.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(inputs)
            values, aux = function(inputs)
        gradient = tape.gradient(values, inputs, unconnected_gradients="zero")
        return values, aux, gradient
    if keras.backend.backend() == "jax":
        import jax

        values, pull_back, aux = jax.vjp(function, inputs, has_aux=True)
        return values, aux, pull_back(ops.ones_like(values))[0]
    raise _unknown_backend()


def value_and_jacobian(
    function: Callable[[Tensor], tuple[Tensor, Any]], inputs: Tensor
) -> tuple[Tensor, Any, Tensor]:
    """Differentiates all outputs of each image with respect to that image.

    Args:
        function: from inputs `(B, ...)` to outputs `(B, n)` and an auxiliary
            result. Each image's outputs depend on that image only.
        inputs: float tensor of shape `(B, ...)`.

    Returns:
        The outputs, the auxiliary result and the gradients `(B, n, ...)`.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape(
            persistent=True, watch_accessed_variables=False
        ) as tape:
            tape.watch(inputs)
            outputs, aux = function(inputs)
            columns = tf.unstack(outputs, axis=1)
        gradients = [
            tape.gradient(column, inputs, unconnected_gradients="zero")
            for column in columns
        ]
        return outputs, aux, tf.stack(gradients, axis=1)
    if keras.backend.backend() == "jax":
        import jax

        outputs, pull_back, aux = jax.vjp(function, inputs, has_aux=True)
        ones = ops.ones_like(outputs)
        gradients = [
            pull_back(ones * ops.one_hot(i, outputs.shape[1]))[0]
            for i in range(outputs.shape[1])
        ]
        return outputs, aux, ops.stack(gradients, axis=1)
    raise _unknown_backend()


def pads_batches() -> bool:
    """Whether a new batch size costs more to compile than to avoid."""
    return keras.backend.backend() == "jax" or has_gpu()


@contextlib.contextmanager
def tensorflow_seed(seed: int) -> Iterator[None]:
    """Sets TensorFlow's global seed until the block ends.

    TensorFlow has no public way to read the state that this restores.
    """
    import tensorflow as tf
    from tensorflow.python.eager import context as eager

    context = eager.context()
    # TensorFlow makes this generator when a seed is first set.
    before = context._seed, getattr(context, "_rng", None) or random.Random()
    tf.random.set_seed(seed)
    try:
        yield
    finally:
        context._seed, context._rng = before


class _JaxFunction:
    """Compiles with `jax.jit`, which would freeze the variables it reads.

    So they are found out in a first, abstract call, and then are arguments.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        import jax

        self._function = function
        self._variables: list[keras.Variable] | None = None
        self._compiled = jax.jit(self._of_values)

    def __call__(self, *tensors: Tensor) -> Any:
        import jax

        from peernets_tf.attacks import variable_scopes

        if self._variables is None:
            with variable_scopes.NoteVariables() as scope:
                jax.eval_shape(self._function, *tensors)
            self._variables = list(scope.read.values())
        values = [variable.value for variable in self._variables]
        return self._compiled(values, *tensors)

    def _of_values(self, values: list[Tensor], *tensors: Tensor) -> Any:
        from peernets_tf.attacks import variable_scopes

        assert self._variables is not None
        known = list(zip(self._variables, values, strict=True))
        with variable_scopes.GivenVariables(known, initialize_variables=False):
            return self._function(*tensors)


def _unknown_backend() -> UserError:
    return UserError(
        "attacks need Keras's TensorFlow or JAX backend: set KERAS_BACKEND to "
        f"tensorflow or jax. Received: {keras.backend.backend()}"
    )
