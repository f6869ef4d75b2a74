"""The mean of a model's logits over several graphs of peers."""

from typing import Any, Self

import keras
from keras import ops

from peernets_tf.errors import UserError
from peernets_tf.layers import (
    BATCH,
    PeerRegularization,
    current_scope,
    keras_internals,
    peer_scope,
)
from peernets_tf.peers.bank import PeerBank, check_fits, peer_layers
from peernets_tf.peers.split import split_at_peers
from peernets_tf.types import Tensor


def monte_carlo(
    model: keras.Model, bank: PeerBank | None = None
) -> keras.Model:
    """Returns a model whose logits are the mean over all graphs of peers.

    Source: Section 4.1 of the paper, "a Monte Carlo sampling over M forward
    passes". The returned model shares the layers of `model`.

    What lies in front of the first PeerRegularization layers is the same for
    all graphs and is computed once, see `split_at_peers`. A subclassed model,
    and an inner model that holds PeerRegularization layers, are computed whole
    for each graph.

    Args:
        model: a Keras model. One without PeerRegularization layers gives its
            own logits.
        bank: the `PeerBank` whose M graphs are used. None for the graphs that
            `model` stores; the returned model uses the ones stored last, also
            if `set_peers` is called later.

    Returns:
        A `keras.Model` from images `(B, H, W, C)` to mean logits
        `(B, classes)`, always in inference mode. Inside of a model that names
        other graphs, such as `monte_carlo(returned, other_bank)`, it uses
        those.

    Raises:
        UserError: if the bank was encoded with other weights of the
            PeerRegularization layers.
    """
    if bank is not None:
        check_fits(bank, peer_layers(model))
    return MonteCarlo(model, bank, name=f"monte_carlo_{model.name}")


def averaged_model(model: keras.Model) -> keras.Model:
    """Returns the model that a `MonteCarlo` averages, any other one itself."""
    return model.model if isinstance(model, MonteCarlo) else model


@keras.saving.register_keras_serializable(package="peernets_tf")
class MonteCarlo(keras.Model):
    """The model that `monte_carlo` returns: mean logits over M graphs of peers.

    Args:
        model: the Keras model whose logits are averaged.
        bank: the `PeerBank` of the graphs; None for those that `model` stores.
    """

    def __init__(
        self, model: keras.Model, bank: PeerBank | None = None, **kwargs: Any
    ) -> None:
        # The model itself rounds its inputs if its layers are to.
        super().__init__(autocast=False, **kwargs)
        self.model = model
        self.bank = bank
        # It has no weights of its own to build.
        self.built = True

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if training and self.trainable_weights:
            raise UserError(
                "a model of monte_carlo(model) cannot be trained, because it "
                "always runs in inference mode: train `model`, then call "
                "peernets_tf.set_peers(model, images) again"
            )
        layers = peer_layers(self.model)
        scope = current_scope()
        if (
            not layers
            or scope.graph is BATCH
            # A model around this one names the graph.
            or (scope.bank is not None and layers[0] in scope.bank)
            # There are no peers yet.
            or keras_internals.infers_shapes()
        ):
            return self.model(inputs, training=False)
        bank = self._features(layers)
        front, rest = split_at_peers(self.model, layers)
        features = front(inputs)

        def logits_with_graph(graph: Tensor | int) -> Tensor:
            with peer_scope(bank=bank, graph=graph):
                return rest(features)

        num_graphs = bank[layers[0]].shape[0]
        if num_graphs == 1:
            return logits_with_graph(0)
        graphs = ops.arange(num_graphs, dtype="int32")
        return keras.tree.map_structure(
            lambda outputs: ops.mean(outputs, axis=0),
            ops.map(logits_with_graph, graphs),
        )

    def export(
        self,
        filepath: str,
        *args: Any,
        input_signature: Any = None,
        **options: Any,
    ) -> None:
        # Keras does not know the inputs of this model, which is never built.
        inputs = getattr(self.model, "inputs", None)
        if input_signature is None:
            if not inputs:
                raise UserError(
                    "a subclassed model does not say what its inputs are: "
                    "give export input_signature=[keras.InputSpec(shape=(None, "
                    'H, W, C), dtype="float32")]'
                )
            input_signature = [
                keras.InputSpec(shape=x.shape, dtype=x.dtype) for x in inputs
            ]
        super().export(
            filepath, *args, input_signature=input_signature, **options
        )

    def get_config(self) -> dict[str, Any]:
        if self.bank is not None:
            raise UserError(
                "a model of monte_carlo(model, bank) cannot be saved: store "
                "the bank with set_peers(model, bank) and save `model`"
            )
        model = keras.saving.serialize_keras_object(self.model)
        return {**super().get_config(), "model": model}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        model = keras.saving.deserialize_keras_object(config["model"])
        return cls(**{**config, "model": model})

    def _features(
        self, layers: list[PeerRegularization]
    ) -> dict[PeerRegularization, Tensor]:
        if self.bank is not None:
            return dict(zip(layers, self.bank.features, strict=True))
        return {layer: layer.stored_peers() for layer in layers}
