"""BPDA for bounded ReLUs and for MagNet's reformer.

A bounded ReLU has gradient zero above its bound. MagNet's reformer replaces an
image by what an autoencoder makes of it.
"""

import functools
from typing import Any

import keras
from keras import ops

from peernets_tf.layers import keras_internals
from peernets_tf.peers import averaged_model, peer_layers
from peernets_tf.types import Tensor

# The layer of `defenses.magnet` whose inputs are reformed images.
REFORMED = "reformed"


def hides_gradient(model: keras.Model) -> bool:
    """Whether `straight_through` changes the gradient of a model.

    It does if a functional or sequential model has a reformer, or a
    `keras.layers.ReLU` with a `max_value`. Other functions with a bound, such
    as `relu6`, are not found. A PeerNet keeps its gradient there: the backward
    pass of its own layers is replaced instead.
    """
    # Without peers it gives the logits of that model.
    model = averaged_model(model)
    graph = keras_internals.functional_graph(model)
    if graph is None or peer_layers(model):
        return False
    return any(
        _is_bounded(layer)
        or layer.name == REFORMED
        or (isinstance(layer, keras.Model) and hides_gradient(layer))
        for layer in graph.layers
    )


def straight_through(model: keras.Model) -> keras.Model:
    """Returns a model with the same logits and another gradient.

    That of a bounded ReLU is the gradient of a ReLU without a bound, and that
    of a reformer the identity. Detectors keep their gradient.

    Args:
        model: a `keras.Model` with one input that `hides_gradient`. The
            returned model shares its layers.
    """
    model = keras_internals.uncompiled(keras_internals.functional_graph(model))
    (images,) = model.inputs
    inputs = keras.Input(
        batch_shape=images.shape, dtype=images.dtype, name=images.name
    )
    # MagNet calls its classifier several times.
    inner = functools.cache(straight_through)

    def call(layer: Any, *args: Any, **kwargs: Any) -> Tensor:
        if isinstance(layer, keras.Model) and hides_gradient(layer):
            return inner(layer)(*args, **kwargs)
        outputs = layer(*args, **kwargs)
        if _is_bounded(layer):
            without_bound = keras.layers.ReLU(
                negative_slope=layer.negative_slope, threshold=layer.threshold
            )
            return StraightThrough(without_bound)(args[0], outputs)
        if layer.name == REFORMED:
            return StraightThrough(keras.layers.Identity())(inputs, outputs)
        return outputs

    return keras.models.clone_model(
        model,
        # A model may have been built with a list of one input.
        input_tensors=keras.tree.pack_sequence_as(model.input, [inputs]),
        clone_function=lambda layer: layer,
        call_function=call,
    )


def _is_bounded(layer: Any) -> bool:
    return isinstance(layer, keras.layers.ReLU) and layer.max_value is not None


class StraightThrough(keras.layers.Layer):
    """Returns outputs with the gradient of a function of inputs.

    A layer, because operations would get names that a model from a file may
    have already.

    Args:
        function: layer from inputs to a tensor of the shape of the outputs.
    """

    def __init__(self, function: keras.Layer) -> None:
        super().__init__()
        self.function = function

    def compute_output_spec(self, inputs: Tensor, outputs: Tensor) -> Any:
        return keras.KerasTensor(outputs.shape, outputs.dtype)

    def call(self, inputs: Tensor, outputs: Tensor) -> Tensor:
        smooth = self.function(inputs)
        # The difference is exactly zero.
        return ops.stop_gradient(outputs) + (smooth - ops.stop_gradient(smooth))
