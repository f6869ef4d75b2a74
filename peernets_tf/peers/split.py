"""Splits a model in front of its first PeerRegularization layers.

What lies in front depends on no peers, so one pass serves all graphs.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras

from peernets_tf.layers import PeerRegularization, keras_internals
from peernets_tf.types import Tensor


def split_at_peers(
    model: keras.Model, layers: Sequence[PeerRegularization]
) -> tuple[Callable[[Tensor], list[Tensor]], Callable[[list[Tensor]], Tensor]]:
    """Returns a model in inference mode as two functions.

    The first, `front`, computes what depends on no peers, a list of tensors.
    The second, `rest`, takes that list: `rest(front(images))` equals
    `model(images, training=False)`. Both share the layers of `model`, which
    does not change.

    Functional and sequential models are split. An inner model is one operation
    of the outer one: if it holds a PeerRegularization layer, all of it belongs
    to `rest`. Where nothing is in front, and for subclassed models, `front`
    returns the images in a list and `rest` is the whole model.

    Args:
        model: a built Keras model.
        layers: its PeerRegularization layers.
    """
    graph = keras_internals.functional_graph(model)
    border = [] if graph is None else _border(graph, layers)
    if not border:
        return _listed, functools.partial(_whole, model)
    before = keras_internals.model_before(graph, border)

    def front(images: Tensor) -> list[Tensor]:
        return keras.tree.flatten(before(images, training=False))

    return front, keras_internals.inference_after(graph, border)


def _border(graph: Any, layers: Sequence[PeerRegularization]) -> list[Any]:
    """Returns the symbolic tensors that `front` computes and `rest` needs.

    The list is empty if `front` would compute nothing.
    """
    needs_peers: set[Any] = set()
    needed: list[Any] = []
    for node in keras_internals.graph_nodes(graph):
        inputs = node.input_tensors
        if _holds_any(node.operation, layers) or not needs_peers.isdisjoint(
            inputs
        ):
            needs_peers.update(node.outputs)
            needed += inputs
    needed += graph.outputs
    # Without repetitions, in the order of the graph.
    border = [x for x in dict.fromkeys(needed) if x not in needs_peers]
    return border if set(border) - set(graph.inputs) else []


def _holds_any(operation: Any, layers: Sequence[PeerRegularization]) -> bool:
    if not isinstance(operation, keras.layers.Layer):
        return False
    inside = keras_internals.flatten_layers(operation)
    return any(layer in layers for layer in inside)


def _listed(images: Tensor) -> list[Tensor]:
    return [images]


def _whole(model: keras.Model, listed: list[Tensor]) -> Tensor:
    (images,) = listed
    return model(images, training=False)
