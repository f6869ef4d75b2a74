"""Compiled functions and gradients on the Keras backend.

With `layers/nearest_neighbors.py` the only place that knows the backend.
"""

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

# A tensor of the Keras backend, or an array that it converts.
Tensor = Any
# From images `(B, H, W, C)` in [0, 1] to logits `(B, classes)`.
LogitsFunction = Callable[[Tensor], Tensor]


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a function of tensors that the backend compiles once a shape."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # No XLA: it makes convolutions slower on a CPU. A GPU wants it.
        return tf.function(
            function,
            autograph=False,
            jit_compile=_on_gpu() or None,
            reduce_retracing=not _on_gpu(),
        )
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    raise _unknown_backend()


def value_and_gradient(
    function: Callable[[Tensor], tuple[Tensor, Tensor]], inputs: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Differentiates each image's value with respect to that image.

    Args:
        function: from inputs `(B, ...)` to values `(B,)`, where one image's
            value depends on that image only, and anything else beside.
        inputs: float tensor of shape `(B, ...)`.

    Returns:
        The values, what the function returned beside, and the gradient, of the
        shape of `inputs`.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(inputs)
            values, beside = function(inputs)
        gradient = tape.gradient(values, inputs, unconnected_gradients="zero")
        return values, beside, gradient
    if keras.backend.backend() == "jax":
        import jax

        values, pull_back, beside = jax.vjp(function, inputs, has_aux=True)
        return values, beside, pull_back(ops.ones_like(values))[0]
    raise _unknown_backend()


def value_and_jacobian(
    function: LogitsFunction, inputs: Tensor
) -> tuple[Tensor, Tensor]:
    """Differentiates all of an image's outputs with respect to that image.

    Args:
        function: from inputs `(B, ...)` to outputs `(B, n)`, where one image's
            outputs depend on that image only.
        inputs: float tensor of shape `(B, ...)`.

    Returns:
        The outputs, and their gradients `(B, n, ...)`.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape(
            persistent=True, watch_accessed_variables=False
        ) as tape:
            tape.watch(inputs)
            outputs = function(inputs)
            columns = tf.unstack(outputs, axis=1)
        gradients = [
            tape.gradient(column, inputs, unconnected_gradients="zero")
            for column in columns
        ]
        return outputs, tf.stack(gradients, axis=1)
    if keras.backend.backend() == "jax":
        import jax

        outputs, pull_back = jax.vjp(function, inputs)
        ones = ops.ones_like(outputs)
        gradients = [
            pull_back(ones * ops.one_hot(i, outputs.shape[1]))[0]
            for i in range(outputs.shape[1])
        ]
        return outputs, ops.stack(gradients, axis=1)
    raise _unknown_backend()


def in_buckets(
    function: Callable[..., Any], *arrays: NDArray[Any]
) -> tuple[NDArray[Any], ...]:
    """Calls a compiled function on arrays, and returns arrays.

    An attack drops the images that it is done with. Where XLA compiles, the
    batch is padded to a power of two, or each number of images that are left
    would be compiled anew.

    Args:
        function: of arrays whose first axis is the batch, to a tuple of such.
        *arrays: arrays of the same length, at least one.

    Returns:
        The results for the given images, as NumPy arrays.
    """
    count = len(arrays[0])
    padding = 0
    if keras.backend.backend() == "jax" or _on_gpu():
        padding = (1 << (count - 1).bit_length()) - count
    padded = [
        np.concatenate([array, np.repeat(array[:1], padding, axis=0)])
        for array in arrays
    ]
    return tuple(
        ops.convert_to_numpy(result)[:count] for result in function(*padded)
    )


@functools.lru_cache(maxsize=16)
def predictions_of(logits_fn: LogitsFunction) -> Callable[..., Any]:
    """Returns the compiled function from images to a tuple of predictions.

    It is compiled once for a `logits_fn`: make a new one after changing what
    it calls.
    """
    return compiled(lambda images: (predictions(logits_fn(images)),))


def predictions(logits: Tensor) -> Tensor:
    """Returns the likeliest classes, int32 `(B,)`; -1 if logits are no numbers.

    Else NaN would pass as a prediction, and as one that changed.
    """
    classes = ops.cast(ops.argmax(logits, axis=1), "int32")
    return ops.where(ops.all(ops.isfinite(logits), axis=1), classes, -1)


@functools.cache
def _on_gpu() -> bool:
    return any("gpu" in name for name in keras.distribution.list_devices())


def _unknown_backend() -> ValueError:
    return ValueError(
        "attacks need Keras's tensorflow or jax backend. Received: "
        f"{keras.backend.backend()}"
    )
