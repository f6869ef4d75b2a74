"""Passes the images of one graph through a model, some at a time.

The images are each other's peers at every PeerRegularization layer, so a layer
needs the features of all of them before any image can go on. Hence one pass
for each layer: the passes end at the first layer that has no outputs yet. What
lies in front of all layers is computed once.
"""

import functools
import sys
from collections.abc import Callable
from typing import Any

import keras
from keras import ops
from numpy.typing import NDArray

from peernets_tf.errors import UserError
from peernets_tf.layers import BATCH, PeerRegularization, peer_scope
from peernets_tf.peers.split import split_at_peers
from peernets_tf.types import Tensor

# Pixels of the images in one chunk: 32 images of CIFAR-10. Larger chunks are
# no faster on a CPU and take more memory.
_CHUNK_PIXELS = 2**15


def encode_graph(
    model: keras.Model,
    layers: list[PeerRegularization],
    images: NDArray[Any],
    step: Callable[[], None],
) -> list[Tensor]:
    """Returns what reaches each layer when `images` are their own graph.

    Args:
        model: a built Keras model.
        layers: its PeerRegularization layers.
        images: array of shape `(N, H, W, C)`.
        step: function without arguments, called after each chunk.

    Returns:
        A tensor of shape `(N, H, W, C)` for each layer.

    Raises:
        UserError: if the model does not call each layer once.
    """
    # Keras exports to ONNX only a model that was called.
    whole = functools.partial(model, training=False)
    _calls_of_pass(whole, ops.convert_to_tensor(images[:1]), {}, 0)
    front, rest = split_at_peers(model, layers)
    chunks = [front(ops.convert_to_tensor(c)) for c in _chunks(images)]
    # What reaches each layer, and what it returns, in chunks.
    features: dict[PeerRegularization, Tensor] = {}
    outputs: dict[PeerRegularization, list[Tensor]] = {}
    for _ in layers:
        reached = []
        for index, chunk in enumerate(chunks):
            calls = _calls_of_pass(rest, chunk, outputs, index)
            called = [layer for layer, _ in calls]
            for layer in layers:
                check_called_once(layer, called.count(layer))
            reached.append(
                next(call for call in calls if call[0] not in features)
            )
            step()
        layer = reached[0][0]
        features[layer] = ops.concatenate([inputs for _, inputs in reached])
        if len(features) < len(layers):
            outputs[layer] = _regularize(layer, [x for _, x in reached], step)
    return [_channels_last(layer, features[layer]) for layer in layers]


def progress(
    layers: list[PeerRegularization], images: NDArray[Any]
) -> Callable[[], None]:
    """Returns the `step` of `encode_graph`: it moves a bar, or does nothing.

    The bar is drawn where a graph has several chunks and a person can see it,
    on a terminal or in a notebook.

    Args:
        layers: the PeerRegularization layers of the model.
        images: array of shape `(M, N, H, W, C)`, M graphs.
    """
    num_chunks = len(_chunks(images[0]))
    watched = sys.stdout.isatty() or "ipykernel" in sys.modules
    if num_chunks == 1 or not watched:
        return lambda: None
    # Each layer needs a pass, and all but the last are searched.
    total = len(images) * num_chunks * (2 * len(layers) - 1)
    bar = keras.utils.Progbar(total, unit_name="chunk")
    return lambda: bar.add(1)


def _chunks(images: NDArray[Any]) -> list[NDArray[Any]]:
    pixels = images.shape[1] * images.shape[2]
    size = max(1, _CHUNK_PIXELS // pixels)
    return [images[i : i + size] for i in range(0, len(images), size)]


def _calls_of_pass(
    rest: Callable[[Any], Tensor],
    chunk: Any,
    outputs: dict[PeerRegularization, list[Tensor]],
    index: int,
) -> list[tuple[PeerRegularization, Tensor]]:
    """Passes a chunk through the rest; returns what reached which layer.

    A layer without outputs passes on its inputs: what follows it counts for
    nothing in this pass.
    """
    calls: list[tuple[PeerRegularization, Tensor]] = []

    def replace(layer: PeerRegularization, inputs: Tensor) -> Tensor:
        calls.append((layer, inputs))
        return outputs[layer][index] if layer in outputs else inputs

    # As one batch, a model of `monte_carlo` calls its layers once.
    with peer_scope(graph=BATCH, replacement=replace):
        rest(chunk)
    return calls


def _regularize(
    layer: PeerRegularization, chunks: list[Tensor], step: Callable[[], None]
) -> list[Tensor]:
    """Returns a layer's outputs for chunks of features that are one graph."""
    if len(chunks) > 1 and not layer.exclude_self:
        peers = ops.concatenate(chunks)
        outputs = []
        for chunk in chunks:
            outputs.append(layer(chunk, peers=peers, training=False))
            step()
        return outputs
    # Which pixel is a pixel's own is known only where the batch is the graph.
    with peer_scope(graph=BATCH, replacement=None):
        whole = layer(ops.concatenate(chunks), training=False)
    outputs = []
    start = 0
    for chunk in chunks:
        outputs.append(whole[start : start + chunk.shape[0]])
        start += chunk.shape[0]
        step()
    return outputs


def check_called_once(layer: PeerRegularization, count: int) -> None:
    """Raises a `UserError` unless a model calls a layer once."""
    if count != 1:
        raise UserError(
            "the model must call each PeerRegularization layer once to take "
            "peers: make one layer for each place. Received: "
            f"'{layer.name}', called {count} times"
        )


def _channels_last(layer: PeerRegularization, features: Tensor) -> Tensor:
    if getattr(layer, "data_format", None) == "channels_first":
        return ops.transpose(features, (0, 2, 3, 1))
    return features
