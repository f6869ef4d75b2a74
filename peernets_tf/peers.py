"""Graphs of peers: drawing, storing in a model, averaging over them."""

from collections.abc import Sequence
from typing import Any, Self

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from peernets_tf.layers.peer_regularization import PeerRegularization

# A tensor of the Keras backend, or an array that it converts.
Tensor = Any


def draw_peers(
    images: NDArray[Any],
    num_peers: int,
    num_graphs: int = 1,
    seed: int | Sequence[int] = 0,
) -> NDArray[Any]:
    """Draws graphs of peers uniformly, without repeats inside a graph.

    Args:
        images: array of shape `(N', H, W, C)`, the training images.
        num_peers: int, N, the images of one graph.
        num_graphs: int, M, the graphs (the Monte Carlo runs of Section 4.1).
        seed: int or sequence of ints, the seed of the draw.

    Returns:
        Array of shape `(M, N, H, W, C)`.

    Raises:
        ValueError: if `num_peers` is not between 1 and N', or `num_graphs` is
            less than 1.
    """
    if not 1 <= num_peers <= len(images):
        raise ValueError(
            "`num_peers` must be between 1 and the number of training images, "
            f"{len(images)}. Received: num_peers={num_peers}"
        )
    if num_graphs < 1:
        raise ValueError(
            "`num_graphs` must be at least 1. Received: "
            f"num_graphs={num_graphs}"
        )
    rng = np.random.default_rng(seed)
    return np.stack(
        [
            images[rng.choice(len(images), num_peers, replace=False)]
            for _ in range(num_graphs)
        ]
    )


def set_peers(model: keras.Model, images: NDArray[Any]) -> None:
    """Stores the peers that a model's PeerRegularization layers use.

    The N images of a graph go through the model as one batch, in inference
    mode, as each other's peers, and every PeerRegularization layer stores the
    features that reach it. Source: Section 4.1, Testing; the peers' own deeper
    features are this project's choice.

    Args:
        model: a built Keras model that holds PeerRegularization layers, or
            what `monte_carlo` made of it.
        images: float array of shape `(N, H, W, C)`, one graph, or
            `(M, N, H, W, C)`, M graphs, with the range that the model takes.

    Raises:
        ValueError: if the model holds no PeerRegularization layer, calls one
            more than once, or `images` has another rank.
    """
    if isinstance(model, MonteCarlo):
        model = model.model
    layers = peer_layers(model)
    if not layers:
        raise ValueError(
            "The model holds no PeerRegularization layer, so it takes no "
            f"peers. Received: model={model.name}"
        )
    images = np.asarray(images)
    if images.ndim == 4:
        images = images[None]
    if images.ndim != 5 or len(images) == 0:
        raise ValueError(
            "`images` must have shape (N, H, W, C) or (M, N, H, W, C). "
            f"Received: images.shape={images.shape}"
        )
    graphs = [_capture_features(model, layers, graph) for graph in images]
    made_anew = [
        layer.set_peers(np.stack([graph[i] for graph in graphs]))
        for i, layer in enumerate(layers)
    ]
    if any(made_anew):
        # Functions that Keras compiled hold the old variables. Training uses
        # none, so this may be called from a callback of `fit`.
        if model.test_function is not None:
            model.make_test_function(force=True)
        if model.predict_function is not None:
            model.make_predict_function(force=True)


def monte_carlo(model: keras.Model) -> keras.Model:
    """Returns a model whose logits are the mean over all stored graphs.

    Source: Section 4.1, "a Monte Carlo sampling over M forward passes". The
    returned model shares the layers of `model`, and follows `set_peers`.

    Args:
        model: a Keras model whose PeerRegularization layers hold M graphs. A
            model without such layers is averaged over one pass.

    Returns:
        A `keras.Model` from images `(B, H, W, C)` to mean logits
        `(B, classes)`.
    """
    return MonteCarlo(model, name=f"monte_carlo_{model.name}")


@keras.saving.register_keras_serializable(package="peernets_tf")
class MonteCarlo(keras.Model):
    """The mean of a model's outputs over its M stored graphs of peers."""

    def __init__(self, model: keras.Model, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        # It has no weights of its own to build.
        self.built = True
        self._compiled_peers: dict[str, list[int]] = {}

    def call(self, inputs: Tensor) -> Tensor:
        layers = peer_layers(self.model)
        if not layers:
            return self.model(inputs, training=False)
        if layers[0].peers is None:
            raise ValueError(
                "The model has no peers. Call peernets_tf.set_peers(model, "
                "images) before monte_carlo(model)."
            )

        def logits_with_graph(graph: Tensor) -> Tensor:
            for layer in layers:
                layer._graph = graph
            try:
                return self.model(inputs, training=False)
            finally:
                for layer in layers:
                    layer._graph = 0

        graphs = ops.arange(layers[0].peers.shape[0], dtype="int32")
        return ops.mean(ops.map(logits_with_graph, graphs), axis=0)

    def make_test_function(self, force: bool = False) -> Any:
        return super().make_test_function(force or self._has_new_peers("test"))

    def make_predict_function(self, force: bool = False) -> Any:
        return super().make_predict_function(
            force or self._has_new_peers("predict")
        )

    def _has_new_peers(self, function: str) -> bool:
        """Whether `function` was compiled with variables since replaced."""
        held = [id(layer.peers) for layer in peer_layers(self.model)]
        is_new = self._compiled_peers.get(function) != held
        self._compiled_peers[function] = held
        return is_new

    def get_config(self) -> dict[str, Any]:
        model = keras.saving.serialize_keras_object(self.model)
        return {**super().get_config(), "model": model}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        model = keras.saving.deserialize_keras_object(config["model"])
        return cls(**{**config, "model": model})


def peer_layers(model: keras.Model) -> list[PeerRegularization]:
    """Returns the PeerRegularization layers of a model, nested ones too."""
    # Keras's own trainer and savers walk a model with this method; its public
    # `layers` would miss the layers inside other layers.
    return [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, PeerRegularization)
    ]


def _capture_features(
    model: keras.Model, layers: list[PeerRegularization], images: NDArray[Any]
) -> list[NDArray[Any]]:
    """Returns what reaches each layer when `images` are their own graph."""
    for layer in layers:
        layer._captured_inputs = []
    try:
        model(ops.convert_to_tensor(images), training=False)
        captured: list[Any] = [layer._captured_inputs for layer in layers]
    finally:
        for layer in layers:
            layer._captured_inputs = None
    for layer, inputs in zip(layers, captured, strict=True):
        if len(inputs) != 1:
            raise ValueError(
                "set_peers needs each PeerRegularization layer to be called "
                f"once in the model; '{layer.name}' was called {len(inputs)} "
                "times. Make one layer for each place."
            )
    return [ops.convert_to_numpy(inputs[0]) for inputs in captured]
