"""The Peer Regularization layer: the one new idea of PeerNets."""

from typing import Any

import keras
from keras import ops

from peernets_tf.errors import UserError
from peernets_tf.layers import attention as attentions
from peernets_tf.layers import keras_internals, neighbor_dropout
from peernets_tf.layers.nearest_neighbors import nearest_neighbors
from peernets_tf.layers.peer_scope import (
    BATCH,
    PeerCall,
    PeerScope,
    current_scope,
)
from peernets_tf.types import Shape, Tensor

_WEIGHTS = ("query_kernel", "key_kernel", "bias")


@keras.saving.register_keras_serializable(package="peernets_tf")
class PeerRegularization(keras.layers.Layer):
    """Replaces each pixel by an attention-weighted mean of similar peer pixels.

    Each pixel of the feature map looks for its `num_neighbors` nearest pixels,
    by cosine similarity, among all pixels of a set of peer images, and becomes
    their weighted mean. Source: Svoboda et al., *PeerNets: Exploiting Peer
    Wisdom Against Adversarial Attacks*, ICLR 2019, Section 3 and Equation 2.

    The layer takes its peers from the first of these that applies: the features
    passed as `peers`; in training, the images of the batch; in inference, the
    first graph that `peernets_tf.set_peers` stored.

    Example:

    ```python
    x = keras.layers.Conv2D(32, 3, activation="relu")(x)
    x = PeerRegularization()(x)
    ```

    Args:
        num_neighbors: int, K, the neighbours of each pixel.
        attention: str, how a neighbour's logit
            `a = x_p . query_kernel + x_q . key_kernel + bias` becomes its
            weight. `"gat"`: softmax(LeakyReLU(a)), Equation 1. `"softplus"`:
            softmax(softplus(a)). `"literal"`: LeakyReLU(exp(a)) over its sum,
            Equation 2 as printed; there the pixel's own term cancels, so with
            fixed peers the gradient with respect to the inputs is zero.
        neighbor_dropout: float in [0, 1), the probability that a candidate
            cannot be chosen in training. 0.2 in Section 4.1.
        attention_dropout: float in [0, 1), the rate of dropout on the logits
            right before the softmax in training. 0.5 in Section 4.1.
        negative_slope: float, the slope of LeakyReLU below zero.
        exclude_self: bool, whether a pixel may not be its own neighbour when
            the batch is the graph.
        epsilon: float, the smallest norm that the cosine similarity divides by.
        seed: int or None, the seed of both dropouts.

    Call arguments:
        inputs: float tensor of shape `(B, H, W, C)`.
        peers: optional float tensor of shape `(N, H', W', C)`, the peers'
            features at this place in the network.
        training: bool, whether to apply both dropouts and, without `peers`, to
            use the batch as the graph.

    Returns:
        A tensor of the shape and dtype of `inputs`.

    Raises:
        ValueError: if an argument is out of range, if there are fewer than
            `num_neighbors` peer pixels, or if the layer is called in inference
            before `peernets_tf.set_peers`.

    Attributes:
        query_kernel: trainable weight of shape `(C,)`.
        key_kernel: trainable weight of shape `(C,)`.
        bias: trainable weight of shape `()`.
        peers: the stored peers' features, `(M, N, H, W, C)`, or None.
    """

    def __init__(
        self,
        num_neighbors: int = 10,
        attention: str = "gat",
        neighbor_dropout: float = 0.2,
        attention_dropout: float = 0.5,
        negative_slope: float = 0.2,
        exclude_self: bool = False,
        epsilon: float = 1e-6,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if num_neighbors != int(num_neighbors) or num_neighbors < 1:
            raise ValueError(
                "`num_neighbors` must be a positive integer. Received: "
                f"num_neighbors={num_neighbors}"
            )
        if attention not in attentions.ATTENTIONS:
            raise ValueError(
                f"`attention` must be one of {attentions.ATTENTIONS}. "
                f"Received: attention={attention}"
            )
        for name, rate in (
            ("neighbor_dropout", neighbor_dropout),
            ("attention_dropout", attention_dropout),
        ):
            if not 0 <= rate < 1:
                raise ValueError(
                    f"`{name}` must be in [0, 1). Received: {name}={rate}"
                )
        if epsilon <= 0:
            raise ValueError(
                f"`epsilon` must be positive. Received: epsilon={epsilon}"
            )
        self.num_neighbors = int(num_neighbors)
        self.attention = attention
        self.neighbor_dropout = neighbor_dropout
        self.attention_dropout = attention_dropout
        self.negative_slope = negative_slope
        self.exclude_self = exclude_self
        self.epsilon = epsilon
        self.seed = seed
        # Named after the layer, so that checkpoints find it by its path.
        self.seed_generator = keras.random.SeedGenerator(
            seed, name=f"{self.name}_seed_generator"
        )
        # A variable once `set_peers` was called.
        self.peers: Any = None

    def build(
        self, inputs_shape: Shape, peers_shape: Shape | None = None
    ) -> None:
        if len(inputs_shape) != 4 or inputs_shape[-1] is None:
            raise ValueError(
                "PeerRegularization takes inputs of shape (B, H, W, C) with a "
                f"known number of channels. Received: shape={inputs_shape}"
            )
        channels = inputs_shape[-1]
        self.input_spec = keras.layers.InputSpec(ndim=4, axes={-1: channels})
        self.query_kernel = self.add_weight(
            shape=(channels,), initializer="glorot_uniform", name="query_kernel"
        )
        self.key_kernel = self.add_weight(
            shape=(channels,), initializer="glorot_uniform", name="key_kernel"
        )
        self.bias = self.add_weight(shape=(), initializer="zeros", name="bias")

    def set_peers(self, features: Tensor) -> bool:
        """Stores the peers' features that inference uses.

        Most users call `peernets_tf.set_peers(model, images)`, which computes
        the features of every PeerRegularization layer of a model.

        Args:
            features: float array of shape `(M, N, H, W, C)`: M graphs of N
                images each.

        Returns:
            Whether the layer needed a new variable, so that functions compiled
            before must be compiled again.

        Raises:
            ValueError: if the features have another shape, or fewer than
                `num_neighbors` pixels.
        """
        shape = tuple(features.shape)
        if len(shape) != 5 or shape[-1] != self.query_kernel.shape[0]:
            raise ValueError(
                "The peers' features must have shape (M, N, H, W, "
                f"{self.query_kernel.shape[0]}). Received: shape={shape}"
            )
        self._check_num_pixels(shape[1] * shape[2] * shape[3])
        is_new = self.peers is None or tuple(self.peers.shape) != shape
        if is_new:
            self._drop_peers()
            self.peers = keras_internals.add_late_weight(self, "peers", shape)
        self.peers.assign(features)
        return is_new

    def call(
        self,
        inputs: Tensor,
        peers: Tensor | None = None,
        training: bool | None = None,
    ) -> Tensor:
        if keras_internals.infers_shapes():
            # There are no peers yet.
            return inputs
        scope = current_scope()
        if scope.replacement is not None:
            return scope.replacement(self, inputs)
        keys, is_batch = self._graph_features(inputs, peers, training, scope)
        channels = inputs.shape[-1]
        queries = ops.reshape(inputs, (-1, channels))
        keys = ops.reshape(keys, (-1, channels))
        self._check_num_pixels(keys.shape[0], self.exclude_self and is_batch)
        neighbors = self._choose_neighbors(queries, keys, is_batch, training)
        num_keys = ops.shape(keys)[0]
        neighbors = ops.minimum(neighbors, num_keys - 1)
        weights = self._attention_weights(queries, keys, neighbors, training)
        outputs = attentions.weighted_mean(keys, neighbors, weights)
        if keys.shape[0] is None:
            # The number of pixels shows only at run time: too few give NaN.
            enough = num_keys >= self.num_neighbors
            outputs = ops.where(enough, outputs, float("nan"))
        outputs = ops.reshape(outputs, ops.shape(inputs))
        call = PeerCall(
            layer=self,
            inputs=inputs,
            keys=keys,
            neighbors=neighbors,
            weights=weights,
            outputs=outputs,
        )
        if scope.recorder is not None:
            scope.recorder(call)
        if scope.backward is not None:
            return scope.backward(call)
        return outputs

    def compute_output_shape(
        self, inputs_shape: Shape, peers_shape: Shape | None = None
    ) -> Shape:
        return inputs_shape

    def get_config(self) -> dict[str, Any]:
        config = {
            "num_neighbors": self.num_neighbors,
            "attention": self.attention,
            "neighbor_dropout": self.neighbor_dropout,
            "attention_dropout": self.attention_dropout,
            "negative_slope": self.negative_slope,
            "exclude_self": self.exclude_self,
            "epsilon": self.epsilon,
            "seed": self.seed,
        }
        return {**super().get_config(), **config}

    def save_own_variables(self, store: Any) -> None:
        if not self.built:
            return
        for name in _WEIGHTS:
            store[name] = ops.convert_to_numpy(getattr(self, name))
        if self.peers is not None:
            store["peers"] = ops.convert_to_numpy(self.peers)

    def load_own_variables(self, store: Any) -> None:
        for name in _WEIGHTS:
            getattr(self, name).assign(store[name])
        if "peers" in store:
            self.set_peers(store["peers"][...])
        else:
            # The stored peers are features of other weights.
            self._drop_peers()

    def _drop_peers(self) -> None:
        if self.peers is None:
            return
        # A function compiled with the old variable gives NaN from now on, not
        # the answers of old peers.
        self.peers.assign(ops.full(self.peers.shape, float("nan")))
        keras_internals.remove_weight(self, self.peers)
        self.peers = None

    def _graph_features(
        self,
        inputs: Tensor,
        peers: Tensor | None,
        training: bool | None,
        scope: PeerScope,
    ) -> tuple[Tensor, bool]:
        """Returns the features of the graph and whether they are the inputs."""
        if peers is not None:
            if len(peers.shape) != 4 or peers.shape[-1] != inputs.shape[-1]:
                raise ValueError(
                    "`peers` must have shape (N, H, W, "
                    f"{inputs.shape[-1]}). Received: peers.shape={peers.shape}"
                )
            return ops.cast(peers, inputs.dtype), False
        if training or scope.graph is BATCH:
            return inputs, True
        stored = self.peers if scope.bank is None else scope.bank[self]
        if stored is None:
            raise UserError(
                f"Layer '{self.name}' has no peers. Call peernets_tf.set_peers("
                "model, images) with some training images before inference, or "
                "pass `peers` to the layer."
            )
        return ops.cast(stored[scope.graph], inputs.dtype), False

    def _check_num_pixels(
        self, num_pixels: int | None, exclude_self: bool = False
    ) -> None:
        needed = self.num_neighbors + exclude_self
        if num_pixels is not None and num_pixels < needed:
            raise UserError(
                f"Layer '{self.name}' needs at least {needed} peer pixels for "
                f"num_neighbors={self.num_neighbors}; take more peers or a "
                f"smaller num_neighbors. Received: {num_pixels} pixels"
            )

    def _choose_neighbors(
        self,
        queries: Tensor,
        keys: Tensor,
        is_batch: bool,
        training: bool | None,
    ) -> Tensor:
        """Returns indices `(Q, K)` into `keys`, best first."""
        exclude_self = self.exclude_self and is_batch
        dropout = self.neighbor_dropout if training else 0.0
        size = exclude_self + neighbor_dropout.shortlist_size(
            self.num_neighbors, dropout
        )
        if keys.shape[0] is not None:
            size = min(size, keys.shape[0])
        shortlist = nearest_neighbors(queries, keys, size, self.epsilon)
        if size == self.num_neighbors:
            return shortlist
        blocked = []
        if dropout > 0:
            draws = keras.random.uniform(
                ops.shape(shortlist), seed=self.seed_generator
            )
            blocked.append(draws < dropout)
        if exclude_self:
            own = ops.arange(ops.shape(shortlist)[0], dtype=shortlist.dtype)
            blocked.append(shortlist == own[:, None])
        if keys.shape[0] is None:
            # Places that no key fills, where there are fewer keys than `size`.
            blocked.append(shortlist >= ops.shape(keys)[0])
        return neighbor_dropout.first_survivors(
            shortlist, self.num_neighbors, blocked
        )

    def _attention_weights(
        self,
        queries: Tensor,
        keys: Tensor,
        neighbors: Tensor,
        training: bool | None,
    ) -> Tensor:
        """Returns weights `(Q, K)` that sum to one for each query."""
        logits = attentions.attention_logits(
            queries,
            keys,
            neighbors,
            query_kernel=self.query_kernel,
            key_kernel=self.key_kernel,
            bias=self.bias,
        )
        logits = attentions.activate(
            logits, self.attention, self.negative_slope
        )
        if training and self.attention_dropout > 0:
            logits = keras.random.dropout(
                logits, self.attention_dropout, seed=self.seed_generator
            )
        return ops.softmax(logits, axis=-1)
