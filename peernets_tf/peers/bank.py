"""Peers as a value: what reaches each PeerRegularization layer of a model."""

import dataclasses
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from peernets_tf.errors import UserError
from peernets_tf.layers import (
    BATCH,
    PeerCall,
    PeerRegularization,
    keras_internals,
    peer_scope,
)
from peernets_tf.types import Tensor


@dataclasses.dataclass(frozen=True, eq=False)
class PeerBank:
    """The peers' features at every PeerRegularization layer of one model.

    A bank belongs to the weights that it was encoded with: encode the images
    again after training.

    Attributes:
        features: tuple of float tensors of shape `(M, N, H, W, C)`, M graphs of
            N images, one tensor for each layer in the order of `peer_layers`.
    """

    features: tuple[Tensor, ...]

    @property
    def num_graphs(self) -> int:
        """M, the number of graphs."""
        return self.features[0].shape[0]

    @property
    def num_peers(self) -> int:
        """N, the images of one graph."""
        return self.features[0].shape[1]

    def first(self, num_graphs: int) -> "PeerBank":
        """Returns a bank of the first graphs only."""
        return PeerBank(tuple(f[:num_graphs] for f in self.features))


def peer_layers(model: keras.Model) -> list[PeerRegularization]:
    """Returns the PeerRegularization layers of a model, nested ones too."""
    return [
        layer
        for layer in keras_internals.flatten_layers(model)
        if isinstance(layer, PeerRegularization)
    ]


def encode_peers(model: keras.Model, images: NDArray[Any]) -> PeerBank:
    """Computes the peers' features at every PeerRegularization layer.

    The N images of a graph go through the model as one batch, in inference
    mode, as each other's peers. The model does not change. Source: Section 4.1
    of the paper, Testing; the paper does not say how the peers' own deeper
    features come about.

    Args:
        model: a built Keras model that holds PeerRegularization layers.
        images: float array of shape `(N, H, W, C)`, one graph, or
            `(M, N, H, W, C)`, M graphs, with the range that the model takes.

    Returns:
        A `PeerBank`.

    Raises:
        UserError: if the model holds no PeerRegularization layer or calls one
            more than once, or if `images` has another rank.
    """
    layers = peer_layers(model)
    if not layers:
        raise UserError(
            "The model must hold a PeerRegularization layer to take peers. "
            f"Received: model={model.name}"
        )
    images = np.asarray(images)
    if images.ndim == 4:
        images = images[None]
    if images.ndim != 5 or len(images) == 0:
        raise UserError(
            "`images` must have shape (N, H, W, C) or (M, N, H, W, C). "
            f"Received: images.shape={images.shape}"
        )
    graphs = [_encode_graph(model, layers, graph) for graph in images]
    return PeerBank(
        tuple(ops.stack(features) for features in zip(*graphs, strict=True))
    )


def stored_peers(model: keras.Model) -> PeerBank | None:
    """Returns the bank that a model stores, or None.

    The bank is a copy: it stays as it is when other peers are stored.
    """
    layers = peer_layers(model)
    if not layers or any(layer.peers is None for layer in layers):
        return None
    return PeerBank(
        tuple(
            ops.convert_to_tensor(ops.convert_to_numpy(layer.peers))
            for layer in layers
        )
    )


def set_peers(model: keras.Model, peers: NDArray[Any] | PeerBank) -> None:
    """Stores peers in a model, which inference uses from then on.

    Args:
        model: a built Keras model that holds PeerRegularization layers, or what
            `monte_carlo` made of it.
        peers: the images of one or several graphs, see `encode_peers`, or a
            `PeerBank` that was encoded with this model.

    Raises:
        UserError: see `encode_peers`, or if the bank is of another model.
    """
    bank = peers if isinstance(peers, PeerBank) else encode_peers(model, peers)
    layers = peer_layers(model)
    check_fits(bank, layers)
    for layer, features in zip(layers, bank.features, strict=True):
        layer.set_peers(ops.convert_to_numpy(features))


def check_fits(bank: PeerBank, layers: list[PeerRegularization]) -> None:
    """Raises a `UserError` unless a bank has the features of each layer."""
    if len(bank.features) != len(layers):
        raise UserError(
            f"the bank must hold features for the {len(layers)} "
            "PeerRegularization layers of the model: encode the peers with "
            f"this model. Received: features for {len(bank.features)} layers"
        )
    for layer, features in zip(layers, bank.features, strict=True):
        channels = layer.query_kernel.shape[0]
        if features.shape[-1] != channels:
            raise UserError(
                f"the bank must have {channels} channels at layer "
                f"'{layer.name}': encode the peers with this model. Received: "
                f"{features.shape[-1]} channels"
            )


def _encode_graph(
    model: keras.Model, layers: list[PeerRegularization], images: NDArray[Any]
) -> list[Tensor]:
    """Returns what reaches each layer when `images` are their own graph."""
    reached: dict[Any, list[Tensor]] = {layer: [] for layer in layers}

    def record(call: PeerCall) -> None:
        reached[call.layer].append(call.inputs)

    with peer_scope(graph=BATCH, recorder=record):
        model(ops.convert_to_tensor(images), training=False)
    for layer, inputs in reached.items():
        if len(inputs) != 1:
            raise UserError(
                "the model must call each PeerRegularization layer once to "
                f"take peers: make one layer for each place. Received: "
                f"'{layer.name}', called {len(inputs)} times"
            )
    return [inputs[0] for inputs in reached.values()]
