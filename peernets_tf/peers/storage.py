"""Peers of a model: encoded with it, stored in it, read from it."""

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from peernets_tf.errors import UserError
from peernets_tf.layers import keras_internals
from peernets_tf.peers import encoding
from peernets_tf.peers.bank import PeerBank, check_fits, peer_layers
from peernets_tf.peers.checks import check_images_fit
from peernets_tf.peers.images import to_array
from peernets_tf.peers.monte_carlo import averaged_model


def encode_peers(
    model: keras.Model, images: Any, labels: Any = None
) -> PeerBank:
    """Computes the peers' features at every PeerRegularization layer.

    The N images of a graph pass through the model in inference mode, as each
    other's peers. This is our choice: Section 4.1 of the paper does not say how
    the features of peers in deeper layers are computed. The model does not
    change. Many images pass in chunks, with a progress bar on a terminal;
    chunks change the features only by rounding.

    Args:
        model: a built Keras model that holds PeerRegularization layers.
        images: the peers, in the range that the model takes: array or tensor of
            shape `(N, H, W, C)`, one graph, or `(M, N, H, W, C)`, M graphs. Or
            an iterable, such as a `tf.data.Dataset`, of images, of batches, or
            of (images, labels); all its images are one graph.
        labels: int array of shape `(N,)` or `(M, N)`, the classes of `images`,
            which the bank keeps; None if they are not known.

    Returns:
        A `PeerBank`.

    Raises:
        UserError: if the model holds no PeerRegularization layer or calls one
            more than once; if there is not one label for each image; if
            `images` has another rank, is empty, or holds
            NaN or infinite values; if its shape does not fit the input of the
            model; or if its range does not fit the first layer of the model,
            where this is a `Normalization` or `Rescaling` that implies one. All
            models of this package take [0, 1].
    """
    _check_is_model(model, images)
    layers = peer_layers(model)
    if not layers:
        raise UserError(
            "The model must hold a PeerRegularization layer to take peers. "
            f"Received: model={model.name}"
        )
    for layer in layers:
        # Before a siamese model asks for a second input; a subclassed model
        # shows no calls.
        count = keras_internals.count_calls(model, layer)
        encoding.check_called_once(layer, max(1, count))
    images = to_array(images)
    if images.ndim == 4:
        images = images[None]
    if images.ndim != 5:
        raise UserError(
            "`images` must have shape (N, H, W, C) or (M, N, H, W, C). "
            f"Received: images.shape={images.shape}"
        )
    check_images_fit(averaged_model(model), images)
    if labels is not None:
        labels = _checked_labels(labels, images.shape[:2])
    step = encoding.progress(layers, images)
    graphs = [
        encoding.encode_graph(model, layers, graph, step) for graph in images
    ]
    bank = PeerBank(
        tuple(ops.stack(features) for features in zip(*graphs, strict=True)),
        labels=labels,
        weights=tuple(layer.weights_key() for layer in layers),
    )
    check_fits(bank, layers)
    return bank


def stored_peers(model: keras.Model) -> PeerBank | None:
    """Returns a copy of the bank that a model stores, None if it has none."""
    layers = peer_layers(model)
    if not layers or any(layer.peers is None for layer in layers):
        return None
    return PeerBank(
        tuple(
            ops.convert_to_tensor(ops.convert_to_numpy(layer.peers))
            for layer in layers
        )
    )


def set_peers(model: keras.Model, peers: Any) -> None:
    """Stores peers in a model; inference uses them from then on.

    Args:
        model: a built Keras model that holds PeerRegularization layers, or the
            model that `monte_carlo` made of it.
        peers: the images of one or several graphs, see `encode_peers`, or a
            `PeerBank` that was encoded with this model.

    Raises:
        UserError: see `encode_peers`; if the bank was encoded with other
            weights of these layers; or if `model` is that of
            `monte_carlo(model, bank)`, which has its own.
    """
    _check_is_model(model, peers)
    if isinstance(getattr(model, "bank", None), PeerBank):
        raise UserError(
            "a model with a bank, such as monte_carlo(model, bank), uses its "
            "own bank: call monte_carlo(model, new_bank), or make "
            f"monte_carlo(model) without one. Received: model={model.name}"
        )
    bank = peers if isinstance(peers, PeerBank) else encode_peers(model, peers)
    layers = peer_layers(model)
    check_fits(bank, layers)
    for layer, features in zip(layers, bank.features, strict=True):
        layer.set_peers(ops.convert_to_numpy(features))


def _checked_labels(labels: Any, shape: tuple[int, int]) -> NDArray[np.int32]:
    labels = np.asarray(labels)
    if labels.ndim == 1:
        labels = labels[None]
    if labels.shape != shape or not np.issubdtype(labels.dtype, np.integer):
        raise UserError(
            f"`labels` must be integers of shape {shape}, one class for each "
            f"image. Received: {labels.dtype} of shape {labels.shape}"
        )
    return labels.astype(np.int32)


def _check_is_model(model: Any, peers: Any) -> None:
    if isinstance(model, keras.Model):
        return
    swapped = isinstance(peers, keras.Model)
    raise UserError(
        f"`model` must be a keras.Model. Received: {type(model).__name__}"
        + ("; swap the two arguments" if swapped else "")
    )
