"""Puts Peer Regularization into a Keras model that exists already."""

import difflib
from collections.abc import Sequence
from typing import Any

import keras

from peernets_tf.errors import UserError
from peernets_tf.layers import PeerRegularization, keras_internals


def insert_peer_regularization(
    model: keras.Model, after: str | Sequence[str], **arguments: Any
) -> keras.Model:
    """Returns a copy of a model with PeerRegularization after some layers.

    The copy has weights of its own, which start from the values of the
    original. Training the copy does not change the original, which can serve as
    a baseline. The copy is not compiled and stores no peers. Its new layers,
    named `{layer}_peers`, have random weights and replace the features: train
    the copy, then call `peernets_tf.set_peers`.

    Example:

    ```python
    base = keras.applications.MobileNetV2(weights="imagenet")
    model = insert_peer_regularization(base, after="block_13_expand_relu")
    ```

    Args:
        model: a functional or built Sequential `keras.Model`.
        after: str or sequence of str, the names of layers of the model whose
            output has shape `(B, H, W, C)`, or `(B, C, H, W)` with
            channels first.
        **arguments: the arguments of `PeerRegularization`. `seed` is that of
            the first layer in `after`; each further one adds 1. By default,
            `data_format` is that of the model's layers.

    Returns:
        A functional `keras.Model`.

    Raises:
        UserError: if the model is subclassed or not built, or a layer is
            unknown, is an input, is called more than once, or has an output of
            another rank.
    """
    source = _with_known_layers(model)
    names = [after] if isinstance(after, str) else list(after)
    _check_names(source, names)
    if "name" in arguments:
        raise UserError(
            "the new layers are named after the layers before them. Received: "
            f"name={arguments['name']!r}; leave it out"
        )
    calls: dict[str, int] = dict.fromkeys(names, 0)

    def call(layer: keras.layers.Layer, *args: Any, **kwargs: Any) -> Any:
        outputs = layer(*args, **kwargs)
        if layer.name not in calls:
            return outputs
        calls[layer.name] += 1
        _check_place(layer, outputs, calls[layer.name])
        own = dict(arguments)
        if own.get("seed") is not None:
            # No two layers draw the same numbers.
            own["seed"] += names.index(layer.name)
        own.setdefault("data_format", _data_format(layer, source))
        new = PeerRegularization(name=f"{layer.name}_peers", **own)
        return new(outputs)

    copy = keras.models.clone_model(source, call_function=call)
    for layer in source.layers:
        if layer.weights:
            copy.get_layer(layer.name).set_weights(layer.get_weights())
    for layer in keras_internals.flatten_layers(copy):
        if isinstance(layer, keras.layers.Normalization):
            # It computes with a copy of its weights.
            layer.finalize_state()
    return copy


def _with_known_layers(model: Any) -> keras.Model:
    """Returns a functional model of the same layers."""
    if isinstance(model, keras.Sequential) and model.built:
        graph = keras_internals.functional_graph(model)
        if graph is not None:
            return keras.Model(graph.input, graph.output, name=model.name)
    # Keras has no public name for the class of functional models.
    is_graph = isinstance(model, keras.Model) and hasattr(model, "operations")
    if not is_graph or isinstance(model, keras.Sequential):
        received = type(model).__name__
        if isinstance(model, keras.Sequential):
            received += " that is not built: begin it with keras.Input(shape)"
        raise UserError(
            "`model` must be a functional or built Sequential keras.Model, "
            "whose layers are known; put PeerRegularization into the code of a "
            f"subclassed one. Received: {received}"
        )
    return keras_internals.uncompiled(model)


def _data_format(layer: keras.layers.Layer, model: keras.Model) -> str | None:
    """Returns the order of the axes of a layer's output, None for the default.

    Layers such as ReLU have none of their own: their model's others tell.
    """
    own = getattr(layer, "data_format", None)
    if own is not None:
        return own
    orders = {getattr(other, "data_format", None) for other in model.layers}
    orders.discard(None)
    if len(orders) > 1:
        raise UserError(
            f"the layers of '{model.name}' differ in data_format, and "
            f"'{layer.name}' has none: give data_format="
            "'channels_first' or 'channels_last'"
        )
    return orders.pop() if orders else None


def _check_names(model: keras.Model, names: list[str]) -> None:
    known = [layer.name for layer in model.layers]
    if not names or len(set(names)) < len(names):
        raise UserError(
            "`after` must name one or more layers, each once. Received: "
            f"after={names}"
        )
    for name in names:
        if name in known:
            if isinstance(model.get_layer(name), keras.layers.InputLayer):
                raise UserError(
                    "`after` must name a layer that computes features. "
                    f"Received: '{name}', an input of the model"
                )
            if f"{name}_peers" in known:
                raise UserError(
                    "`after` must name layers without PeerRegularization. "
                    f"Received: '{name}', which '{name}_peers' follows"
                )
            continue
        inside = [
            layer.name
            for layer in model.layers
            if isinstance(layer, keras.Model)
            and name in [inner.name for inner in layer.layers]
        ]
        near = difflib.get_close_matches(str(name), known, n=3, cutoff=0.4)
        advice = (
            f"it is inside the layer '{inside[0]}': insert into that model, "
            "then build the outer one with the result"
            if inside
            else f"did you mean {' or '.join(map(repr, near))}?"
            if near
            else "model.summary() lists the layers"
        )
        raise UserError(
            f"`after` must name layers of '{model.name}'. Received: "
            f"{name!r}; {advice}"
        )


def _check_place(layer: keras.layers.Layer, outputs: Any, calls: int) -> None:
    if calls > 1:
        raise UserError(
            "`after` must name layers that the model calls once. Received: "
            f"'{layer.name}', called at several places"
        )
    shape = getattr(outputs, "shape", None)
    if shape is None or len(shape) != 4:
        raise UserError(
            "`after` must name layers whose output is (B, H, W, C). Received: "
            f"'{layer.name}', whose output has shape {shape}"
        )
