"""Peers as a value: what reaches each PeerRegularization layer of a model."""

import dataclasses

import keras
import numpy as np
from numpy.typing import NDArray

from peernets_tf.errors import UserError
from peernets_tf.layers import PeerRegularization, keras_internals
from peernets_tf.types import Tensor


@dataclasses.dataclass(frozen=True, eq=False)
class PeerBank:
    """The peers' features at every PeerRegularization layer of one model.

    The features depend on the weights of the model: encode the images again
    after training.

    Attributes:
        features: tuple of float tensors of shape `(M, N, H, W, C)`: M graphs of
            N images. The tuple has one tensor for each layer, in the order of
            `peer_layers`.
        labels: int array of shape `(M, N)`, the images' classes, or None where
            they are not known. Inference does not need them.
        weights: tuple of bytes or None, the weights of each layer that encoded
            the peers; None where they are not known.
    """

    features: tuple[Tensor, ...]
    labels: NDArray[np.int32] | None = None
    weights: tuple[bytes | None, ...] | None = None

    @property
    def num_graphs(self) -> int:
        """M, the number of graphs."""
        return self.features[0].shape[0]

    @property
    def num_peers(self) -> int:
        """N, the number of images in one graph."""
        return self.features[0].shape[1]

    @property
    def common_classes(self) -> list[int]:
        """The classes that have a peer in every graph; empty if unknown."""
        if self.labels is None:
            return []
        graphs = [set(graph.tolist()) for graph in self.labels]
        return sorted(set.intersection(*graphs))

    def first(self, num_graphs: int) -> "PeerBank":
        """Returns a bank of the first `num_graphs` graphs."""
        return PeerBank(
            tuple(f[:num_graphs] for f in self.features),
            labels=None if self.labels is None else self.labels[:num_graphs],
            weights=self.weights,
        )


def peer_layers(model: keras.Model) -> list[PeerRegularization]:
    """Returns the PeerRegularization layers of a model and its inner models."""
    return [
        layer
        for layer in keras_internals.flatten_layers(model)
        if isinstance(layer, PeerRegularization)
    ]


def check_fits(bank: PeerBank, layers: list[PeerRegularization]) -> None:
    """Raises a `UserError` unless a bank has the features of each layer.

    They are compared by their shapes and, where these are known, the weights of
    the layers.
    """
    if len(bank.features) != len(layers):
        raise UserError(
            f"the bank must hold features for the {len(layers)} "
            "PeerRegularization layers of the model: encode the peers with "
            f"this model. Received: features for {len(bank.features)} layers"
        )
    present = [layer.weights_key() for layer in layers]
    for layer, features in zip(layers, bank.features, strict=True):
        channels = layer.query_kernel.shape[0]
        if features.shape[-1] != channels:
            raise UserError(
                f"the bank must have {channels} channels at layer "
                f"'{layer.name}': encode the peers with this model. Received: "
                f"{features.shape[-1]} channels"
            )
        layer.check_peers(features)
    known = bank.weights or [None] * len(layers)
    for layer, key, own in zip(layers, known, present, strict=True):
        if None not in (key, own) and key != own:
            raise UserError(
                "the bank must be encoded with the present weights of this "
                "model: call encode_peers(model, images) again. Received: a "
                f"bank of other weights of layer '{layer.name}'"
            )
