"""Another backward pass for the layers of a defence (BPDA).

The choice of neighbours is piecewise constant, so the exact gradient only sees
how the attention among the chosen neighbours changes. Backward pass
differentiable approximation keeps the forward pass, bit by bit, and
differentiates something smoother. Source: Athalye, Carlini and Wagner (2018),
*Obfuscated Gradients Give a False Sense of Security*.
"""

import contextlib
import functools
from typing import Any

import keras
from keras import ops

from peernets_tf.adaptive.choices import BACKWARDS, TEMPERATURE
from peernets_tf.adaptive.straight_through import (
    hides_gradient,
    straight_through,
)
from peernets_tf.adaptive.unit_vectors import unit
from peernets_tf.errors import UserError
from peernets_tf.layers import PeerCall, chunk_size, peer_scope
from peernets_tf.peers import averaged_model, peer_layers
from peernets_tf.types import Tensor


def bpda(
    model: keras.Model,
    backward: str = "identity",
    temperature: float = TEMPERATURE,
) -> keras.Model:
    """Returns a model with the same logits and another gradient.

    It shares the layers of `model`, and so its weights and peers.

    Args:
        model: any Keras model that holds PeerRegularization layers, or one
            that hides its gradient otherwise, see `hides_gradient`.
        backward: `"exact"`: the layers' own gradient. `"identity"`: that of a
            layer which returns its inputs, or that of `straight_through`.
            `"soft"`: that of a layer which returns the mean of all peer pixels,
            weighted by softmax(cosine similarity / temperature).
        temperature: float, above 0, used by `"soft"` only.

    Returns:
        A `keras.Model` from images to the logits of `model`, in inference mode
        unless it is called with `training=True`.

    Raises:
        UserError: if an argument is out of range.
    """
    if backward not in BACKWARDS:
        raise UserError(
            f"`backward` must be one of {BACKWARDS}. Received: {backward}"
        )
    if not 0 < temperature < float("inf"):
        raise UserError(
            f"`temperature` must be finite and above 0. Received: {temperature}"
        )
    if backward == "identity":
        model = _straight_through(model)
    return _Bpda(model, backward, temperature)


def _straight_through(model: keras.Model) -> keras.Model:
    if not peer_layers(model):
        model = averaged_model(model)
    return straight_through(model) if hides_gradient(model) else model


class _Bpda(keras.Model):
    def __init__(
        self, model: keras.Model, backward: str, temperature: float
    ) -> None:
        # The model itself rounds its inputs if its layers are to.
        super().__init__(name=f"{backward}_{model.name}", autocast=False)
        self.model = model
        self.backward = backward
        self.temperature = temperature
        # It has no weights of its own to build.
        self.built = True

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        with self._scope():
            return self.model(inputs, training=training)

    def _scope(self) -> contextlib.AbstractContextManager[Any]:
        if self.backward == "identity":
            return peer_scope(backward=_identity)
        if self.backward == "soft":
            return peer_scope(
                backward=functools.partial(_soft, temperature=self.temperature)
            )
        return contextlib.nullcontext()


def _identity(call: PeerCall) -> Tensor:
    """Returns the outputs with the gradient of the inputs."""
    # The difference is exactly zero, and its gradient is the identity.
    difference = call.inputs - ops.stop_gradient(call.inputs)
    return ops.stop_gradient(call.outputs) + difference


def _soft(call: PeerCall, temperature: float) -> Tensor:
    """Returns the outputs with the gradient of the mean over all peer pixels.

    With p = softmax(cosine / T) and soft = sum_j p_j key_j, the gradient of
    soft . g with respect to the normalised query is
    sum_j p_j (key_j . g - soft . g) normalised_key_j / T. It needs one value
    for each pair of pixels, so queries pass in chunks.
    """
    epsilon = call.layer.epsilon
    channels = call.inputs.shape[-1]

    @ops.custom_gradient
    def zeros_with_soft_gradient(queries: Tensor, keys: Tensor) -> Any:
        def gradient(upstream: Tensor) -> tuple[Tensor, Tensor]:
            return (
                _soft_gradient(
                    queries,
                    upstream,
                    keys,
                    unit(keys, epsilon),
                    temperature,
                ),
                ops.zeros_like(keys),
            )

        return ops.zeros_like(queries), gradient

    zeros = zeros_with_soft_gradient(
        unit(ops.reshape(call.inputs, (-1, channels)), epsilon),
        ops.stop_gradient(call.keys),
    )
    return ops.stop_gradient(call.outputs) + ops.reshape(
        zeros, ops.shape(call.inputs)
    )


def _soft_gradient(
    queries: Tensor,
    upstream: Tensor,
    keys: Tensor,
    unit_keys: Tensor,
    temperature: float,
) -> Tensor:
    num_queries = ops.shape(queries)[0]
    channels = queries.shape[1]
    size = chunk_size(ops.shape(keys)[0], channels)
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
