"""Another backward pass for PeerRegularization layers.

The choice of neighbours is piecewise constant, so the exact gradient knows
only how the attention among chosen neighbours changes. A surrogate keeps the
forward pass, bit by bit, and differentiates something smoother: backward pass
differentiable approximation, Athalye, Carlini and Wagner (2018).
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from peernets_tf.layers.nearest_neighbors import chunk_size
from peernets_tf.peers import peer_layers

# A tensor of the Keras backend, or an array that it converts.
Tensor = Any
# From a layer's inputs and its graph's features to what is differentiated, or
# from inputs, features, outputs to outputs with another gradient.
Backward = Callable[[Tensor, Tensor, Tensor], Tensor]

BACKWARDS = ("exact", "identity", "soft")


def surrogate(
    model: keras.Model, backward: str = "identity", temperature: float = 0.05
) -> keras.Model:
    """Returns a model with the same logits and another gradient.

    It shares the layers of `model`, and so its weights and peers.

    Args:
        model: any Keras model that holds PeerRegularization layers.
        backward: `"exact"`: the layers' own gradient. `"identity"`: as if a
            layer returned its inputs. `"soft"`: as if it returned the mean of
            all peer pixels, weighted by softmax(cosine / temperature).
        temperature: float, above 0, for `"soft"`.

    Returns:
        A `keras.Model` from images to the logits of `model`, in inference mode
        unless it is called with `training=True`.

    Raises:
        ValueError: if an argument is out of range.
    """
    if backward not in BACKWARDS:
        raise ValueError(
            f"`backward` must be one of {BACKWARDS}. Received: {backward}"
        )
    if not temperature > 0:
        raise ValueError(
            f"`temperature` must be above 0. Received: {temperature}"
        )
    return _Surrogate(model, backward, temperature)


class _Surrogate(keras.Model):
    def __init__(
        self, model: keras.Model, backward: str, temperature: float
    ) -> None:
        super().__init__(name=f"{backward}_{model.name}")
        self.model = model
        self.backward = backward
        self.temperature = temperature
        # It has no weights of its own to build.
        self.built = True

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        layers = peer_layers(self.model)
        for layer in layers:
            layer._surrogate = self._surrogate_of(layer)
        try:
            return self.model(inputs, training=training)
        finally:
            for layer in layers:
                layer._surrogate = None

    def _surrogate_of(self, layer: keras.layers.Layer) -> Backward | None:
        if self.backward == "identity":
            return _with_identity_gradient
        if self.backward == "soft":

            def with_soft_gradient(
                inputs: Tensor, keys: Tensor, outputs: Tensor
            ) -> Tensor:
                return _with_soft_gradient(
                    inputs, keys, outputs, self.temperature, layer.epsilon
                )

            return with_soft_gradient
        return None


def _with_identity_gradient(
    inputs: Tensor, keys: Tensor, outputs: Tensor
) -> Tensor:
    del keys
    # The difference is zero, exactly, and its gradient is the identity.
    return ops.stop_gradient(outputs) + (inputs - ops.stop_gradient(inputs))


def _with_soft_gradient(
    inputs: Tensor,
    keys: Tensor,
    outputs: Tensor,
    temperature: float,
    epsilon: float,
) -> Tensor:
    """Replaces the gradient by that of the soft mean over all peer pixels.

    With p = softmax(cosine / T) and soft = sum_j p_j key_j, the gradient of
    soft . g with respect to the normalised query is
    sum_j p_j (key_j . g - soft . g) normalised_key_j / T. It needs as many
    values as there are pairs of pixels, so queries pass in chunks.
    """
    channels = inputs.shape[-1]

    @ops.custom_gradient
    def zeros_with_soft_gradient(queries: Tensor, keys: Tensor) -> Any:
        def gradient(upstream: Tensor) -> tuple[Tensor, Tensor]:
            return (
                _soft_gradient(
                    queries,
                    upstream,
                    keys,
                    _normalize(keys, epsilon),
                    temperature,
                ),
                ops.zeros_like(keys),
            )

        return ops.zeros_like(queries), gradient

    zeros = zeros_with_soft_gradient(
        _normalize(ops.reshape(inputs, (-1, channels)), epsilon),
        ops.stop_gradient(ops.reshape(keys, (-1, channels))),
    )
    return ops.stop_gradient(outputs) + ops.reshape(zeros, ops.shape(inputs))


def _soft_gradient(
    queries: Tensor,
    upstream: Tensor,
    keys: Tensor,
    unit_keys: Tensor,
    temperature: float,
) -> Tensor:
    num_queries = ops.shape(queries)[0]
    channels = queries.shape[1]
    size = chunk_size(ops.shape(keys)[0])
    padding = ops.zeros((-num_queries % size, channels), queries.dtype)

    def chunks(vectors: Tensor) -> Tensor:
        padded = ops.concatenate([vectors, padding], axis=0)
        return ops.reshape(padded, (-1, size, channels))

    def chunk_gradient(chunk: tuple[Tensor, Tensor]) -> Tensor:
        query, gradient = chunk
        similarity = ops.matmul(query, ops.transpose(unit_keys))
        weights = ops.softmax(similarity / temperature, axis=-1)
        values = ops.matmul(gradient, ops.transpose(keys))
        mean = ops.sum(weights * values, axis=-1, keepdims=True)
        weights = weights * (values - mean)
        return ops.matmul(weights, unit_keys) / temperature

    gradients = ops.map(chunk_gradient, (chunks(queries), chunks(upstream)))
    return ops.reshape(gradients, (-1, channels))[:num_queries]


def _normalize(vectors: Tensor, epsilon: float) -> Tensor:
    squares = ops.sum(ops.square(vectors), axis=-1, keepdims=True)
    # An all-zero pixel has no direction: its gradient is zero, not 1 / epsilon.
    has_direction = squares > epsilon**2
    lengths = ops.sqrt(ops.where(has_direction, squares, 1.0))
    return ops.where(has_direction, vectors, 0.0) / lengths
