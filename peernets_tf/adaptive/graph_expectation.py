"""Expectation over graphs: a model that draws its graphs anew in each call.

An attacker who does not know the graphs of a PeerNet's predictions averages
over graphs of its own. Drawn anew in every step, they leave nothing to overfit
to. Source: Athalye, Engstrom, Ilyas and Kwok (2018), *Synthesizing Robust
Adversarial Examples* (expectation over transformation).
"""

import functools
from typing import Any

import keras
from keras import ops

from peernets_tf.attacks import autodiff, draws
from peernets_tf.errors import UserError
from peernets_tf.layers import current_scope, keras_internals, peer_scope
from peernets_tf.peers import PeerBank, peer_layers
from peernets_tf.peers.bank import check_fits
from peernets_tf.peers.split import split_at_peers
from peernets_tf.types import Tensor


def random_graphs(
    model: keras.Model, bank: PeerBank, num_draws: int = 1
) -> keras.Model:
    """Returns a model whose logits are the mean over graphs drawn in each call.

    All images of a call share the graphs. Under an attack every step draws
    others, which the attack's seed repeats, see `attacks.draws`. Outside of
    attacks all calls draw the same. The gradient is that of the mean logits;
    its memory is that of one graph, however many are drawn. What lies in front
    of the first PeerRegularization layers is computed once for all graphs, see
    `split_at_peers`.

    Args:
        model: a built Keras model that holds PeerRegularization layers.
        bank: the `PeerBank` whose graphs are drawn from, of `model`.
        num_draws: int, the distinct graphs that are drawn in each call.

    Returns:
        A `keras.Model` from images `(B, H, W, C)` to logits `(B, classes)`,
        always in inference mode.

    Raises:
        UserError: if the bank is of another model, or has fewer than
            `num_draws` graphs.
    """
    check_fits(bank, peer_layers(model))
    if not 1 <= num_draws <= bank.num_graphs:
        raise UserError(
            "`num_draws` must be at least 1 and at most the number of graphs, "
            f"{bank.num_graphs}. Received: num_draws={num_draws}"
        )
    return _RandomGraphs(model, bank, num_draws)


class _RandomGraphs(keras.Model):
    """The mean of a model's logits over random graphs."""

    def __init__(
        self, model: keras.Model, bank: PeerBank, num_draws: int
    ) -> None:
        # The model itself rounds its inputs if its layers are to.
        super().__init__(name=f"random_graphs_{model.name}", autocast=False)
        self.model = model
        self.bank = bank
        self.num_draws = num_draws
        # It has no weights of its own to build.
        self.built = True

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        del training
        if keras_internals.infers_shapes():
            return self.model(inputs, training=False)
        # Folded, so that the key of the attack's own draws is not used twice.
        key = draws.fold(draws.current_key(), 0)
        graphs = draws.choose(key, self.bank.num_graphs, self.num_draws)
        layers = peer_layers(self.model)
        bank = dict(zip(layers, self.bank.features, strict=True))
        # The backward pass runs after the scopes of this call have ended.
        scope = {**vars(current_scope()), "bank": bank}
        front, rest = split_at_peers(self.model, layers)

        def logits_with(graph: Tensor, features: list[Tensor]) -> Tensor:
            with peer_scope(**{**scope, "graph": graph}):
                return rest(features)

        # Differentiating a loop would keep what each of its iterations
        # computed. So the gradient computes each graph's logits again.
        @ops.custom_gradient
        def mean_logits(*features: Tensor) -> Any:
            constants = [ops.stop_gradient(x) for x in features]
            logits = ops.mean(
                ops.map(lambda graph: logits_with(graph, constants), graphs),
                axis=0,
            )

            def gradient(upstream: Tensor, variables: Any = ()) -> Any:
                def value_with(
                    graph: Tensor, features: list[Tensor]
                ) -> tuple[Tensor, None]:
                    logits = logits_with(graph, features)
                    return ops.sum(upstream * logits, axis=1), None

                # Quotients are added for the reason given in `draws.mean`.
                def add(i: Tensor, means: list[Tensor]) -> list[Tensor]:
                    value = functools.partial(value_with, graphs[i])
                    found = autodiff.value_and_gradient(value, constants)[2]
                    return [
                        mean + ops.cast(x, mean.dtype) / self.num_draws
                        for mean, x in zip(means, found, strict=True)
                    ]

                zeros = [
                    ops.zeros_like(
                        x, dtype=keras.backend.result_type(x.dtype, "float32")
                    )
                    for x in constants
                ]
                if self.num_draws == 1:
                    # TensorFlow would leave out the division by 1.
                    found = add(0, zeros)
                else:
                    found = ops.fori_loop(0, self.num_draws, add, zeros)
                means = tuple(
                    ops.cast(mean, x.dtype)
                    for mean, x in zip(found, constants, strict=True)
                )
                # TensorFlow asks for the weights' gradients, too.
                return (means, [None] * len(variables)) if variables else means

            return logits, gradient

        return mean_logits(*front(inputs))
