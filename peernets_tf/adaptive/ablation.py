"""Ablations: what in a PeerRegularization layer its robustness comes from.

They change what the layers of a trained network compute in inference, for
predictions and for attacks alike. The weights stay as they are.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from typing import TYPE_CHECKING, Any

from peernets_tf.adaptive.choices import ABLATIONS
from peernets_tf.attacks import checks, draws
from peernets_tf.errors import UserError
from peernets_tf.lazy import keras, module, ops
from peernets_tf.plain_numbers import make_plain
from peernets_tf.types import Tensor

if TYPE_CHECKING:
    from peernets_tf import layers, peers
    from peernets_tf.layers import attention as attentions
else:
    attentions = module("peernets_tf.layers.attention")
    layers = module("peernets_tf.layers")
    peers = module("peernets_tf.peers")

_KEPT_LAYERS: dict[str, int | None] = {
    "first_layer_only": 0,
    "second_layer_only": 1,
    "no_layers": None,
}
_ATTENTION = "attention_"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ablation:
    """What the PeerRegularization layers of a model compute instead.

    Attributes:
        name: str or None, one of `ABLATIONS`. `"random_neighbors"`: the
            neighbours of each place of the feature map are drawn once, from
            all peer pixels, with repeats. `"uniform_attention"`: all
            neighbours have the same weight. `"first_layer_only"`,
            `"second_layer_only"` and `"no_layers"`: the other layers return
            their inputs. `"attention_gat"`, `"attention_softplus"` and
            `"attention_literal"`: the order of operations in the attention,
            see `PeerRegularization`. None leaves the layers as they are.
        num_neighbors: int or None, K; None for the layers' own.
        seed: int, the seed of random neighbours.

    Raises:
        UserError: if an argument is out of range, or `num_neighbors` is given
            with `"no_layers"`.
    """

    name: str | None = None
    num_neighbors: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        make_plain(self)
        if self.name is not None and self.name not in ABLATIONS:
            raise UserError(
                f"`name` must be one of {ABLATIONS}. Received: {self.name}"
            )
        if self.num_neighbors is not None:
            checks.check_number(
                "num_neighbors", self.num_neighbors, smallest=1, is_count=True
            )
        if self.name == "no_layers" and self.num_neighbors is not None:
            raise UserError(
                "no_layers leaves no layer that looks for neighbours: leave "
                f"out num_neighbors. Received: {self.num_neighbors}"
            )

    def __bool__(self) -> bool:
        """Whether the layers compute anything else."""
        return self.name is not None or self.num_neighbors is not None


def ablated(
    model: keras.Model, ablation: Ablation
) -> contextlib.AbstractContextManager[Any]:
    """Returns a scope in which the layers of a model compute something else.

    The features of peers change with the layers: encode them in the scope, too.
    What is compiled keeps what it was compiled with, so make `Classifier`s in
    the scope.

    Args:
        model: a built Keras model that holds PeerRegularization layers.
        ablation: the `Ablation`.

    Raises:
        UserError: if the model lacks the layer to keep.
    """
    if not ablation:
        return contextlib.nullcontext()
    order = peers.peer_layers(model)
    kept = order
    if ablation.name in _KEPT_LAYERS:
        index = _KEPT_LAYERS[ablation.name]
        kept = [] if index is None else order[index : index + 1]
        if index is not None and not kept:
            raise UserError(
                f"{ablation.name} needs a model with {index + 1} "
                f"PeerRegularization layers. Received: {len(order)}"
            )
    return layers.peer_scope(
        ablation=functools.partial(
            _ablate, ablation=ablation, order=tuple(order), kept=tuple(kept)
        )
    )


def _ablate(
    call: layers.PeerCall,
    *,
    ablation: Ablation,
    order: tuple[Any, ...],
    kept: tuple[Any, ...],
) -> layers.PeerCall:
    if call.layer not in order:
        # A layer of another model, on which images are made.
        return call
    if call.layer not in kept:
        return dataclasses.replace(call, outputs=call.inputs)
    layer, name = call.layer, ablation.name or ""
    count = ablation.num_neighbors or layer.num_neighbors
    num_candidates = call.keys.shape[0] - call.excludes_self
    if count > num_candidates:
        raise UserError(
            f"`num_neighbors` must be at most {num_candidates}, the peer "
            f"pixels of layer '{layer.name}'. Received: {count}"
        )
    queries = ops.reshape(call.inputs, (-1, call.inputs.shape[-1]))
    neighbors = call.neighbors
    if name == "random_neighbors":
        key = draws.fold(ablation.seed, order.index(layer))
        neighbors = _random_neighbors(call, key, count)
    elif count != layer.num_neighbors:
        neighbors = layers.choose_neighbors(
            queries,
            call.keys,
            count,
            epsilon=layer.epsilon,
            exclude_self=call.excludes_self,
        )
    attention = layer.attention
    if name.startswith(_ATTENTION):
        attention = name.removeprefix(_ATTENTION)
    # Logits of 0 have equal weights.
    factor = 0.0 if name == "uniform_attention" else 1.0
    attend = attentions.compiled_attend(attention, layer.negative_slope)
    outputs, weights = attend(
        queries,
        call.keys,
        neighbors,
        ops.full((1, 1), factor, queries.dtype),
        *map(
            ops.convert_to_tensor,
            (layer.query_kernel, layer.key_kernel, layer.bias),
        ),
    )
    return dataclasses.replace(
        call,
        neighbors=neighbors,
        weights=weights,
        outputs=ops.reshape(outputs, ops.shape(call.inputs)),
    )


def _random_neighbors(call: layers.PeerCall, key: Tensor, count: int) -> Tensor:
    """Returns random rows of `call.keys`, int32 `(Q, count)`.

    They depend on a pixel's place in its image only, so that an image's logits
    do not depend on its batch mates.
    """
    batch, height, width, _ = ops.shape(call.inputs)
    places = height * width
    drawn = draws.uniform(key, places * count)
    num_keys = ops.cast(ops.shape(call.keys)[0], "float32")
    rows = ops.cast(ops.floor(drawn * num_keys), "int32")
    return ops.tile(ops.reshape(rows, (places, count)), (batch, 1))
