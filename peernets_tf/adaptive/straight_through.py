"""BPDA for what hides a gradient in rival defences.

A bounded ReLU has gradient zero above its bound. MagNet's reformer replaces an
image by what an autoencoder makes of it.
"""

from typing import Any

import keras
from keras import ops

from peernets_tf.types import Tensor

# The layer of `defenses.magnet` whose inputs are reformed images.
REFORMED = "reformed"


def hides_gradient(model: keras.Model) -> bool:
    """Whether a model has a bounded ReLU or a reformer."""
    return any(
        _is_bounded(layer)
        or layer.name == REFORMED
        or (isinstance(layer, keras.Model) and hides_gradient(layer))
        for layer in getattr(model, "layers", [])
    )


def straight_through(model: keras.Model) -> keras.Model:
    """Returns a model with the same logits and another gradient.

    That of a bounded ReLU is the gradient of a ReLU without a bound, and that
    of a reformer the identity. Detectors keep their gradient.

    Args:
        model: a functional `keras.Model` with one input. The returned model
            shares its layers.
    """
    inputs = keras.Input(batch_shape=model.input.shape, dtype=model.input.dtype)

    def call(layer: Any, *args: Any, **kwargs: Any) -> Tensor:
        if isinstance(layer, keras.Model) and hides_gradient(layer):
            return straight_through(layer)(*args, **kwargs)
        outputs = layer(*args, **kwargs)
        if _is_bounded(layer):
            return _GradientOf(layer, through_relu=True)(args[0], outputs)
        if layer.name == REFORMED:
            return _GradientOf(layer)(inputs, outputs)
        return outputs

    return keras.models.clone_model(
        model,
        input_tensors=inputs,
        clone_function=lambda layer: layer,
        call_function=call,
    )


def _is_bounded(layer: Any) -> bool:
    return isinstance(layer, keras.layers.ReLU) and layer.max_value is not None


class _GradientOf(keras.layers.Layer):
    """Returns outputs with the gradient of inputs of the same shape.

    A layer, because operations would get names that a model from a file may
    have already.

    Args:
        layer: the layer that computed the outputs.
        through_relu: bool, whether the gradient is that of relu(inputs).
    """

    def __init__(self, layer: Any, through_relu: bool = False) -> None:
        super().__init__(name=f"straight_through_{layer.name}")
        self.through_relu = through_relu

    def compute_output_spec(self, inputs: Tensor, outputs: Tensor) -> Any:
        return keras.KerasTensor(outputs.shape, outputs.dtype)

    def call(self, inputs: Tensor, outputs: Tensor) -> Tensor:
        if self.through_relu:
            inputs = ops.relu(inputs)
        # The difference is exactly zero.
        return ops.stop_gradient(outputs) + (inputs - ops.stop_gradient(inputs))
