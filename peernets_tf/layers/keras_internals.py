"""The only file that uses Keras's private API.

Keras exports no public way to do what these functions do. setup.cfg bounds the
version of Keras, and tests/keras_internals_test.py fails when a newer one
changes what they rely on.
"""

from typing import Any

import keras
from keras.src.backend.common.symbolic_scope import in_symbolic_scope

from peernets_tf.types import Shape


def infers_shapes() -> bool:
    """Whether Keras calls a layer only to infer the shape of its outputs."""
    return in_symbolic_scope()


def flatten_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Returns a model and all its layers, those inside other layers too.

    The public `Model.layers` misses the layers inside other layers.
    """
    return list(model._flatten_layers())


def add_late_weight(
    layer: keras.layers.Layer, name: str, shape: Shape
) -> keras.Variable:
    """Adds a non-trainable weight of zeros to a layer that is already built."""
    # As Keras's own `enable_lora` does.
    layer._tracker.unlock()
    try:
        return layer.add_weight(
            shape=shape, initializer="zeros", trainable=False, name=name
        )
    finally:
        layer._tracker.lock()


def remove_weight(layer: keras.layers.Layer, weight: Any) -> None:
    """Removes a weight from a layer that is already built."""
    layer._tracker.unlock()
    try:
        layer._untrack_variable(weight)
    finally:
        layer._tracker.lock()
