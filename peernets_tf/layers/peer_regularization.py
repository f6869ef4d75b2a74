"""The Peer Regularization layer: the one new idea of PeerNets."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

# Keras exports no public way to ask whether it only infers shapes.
from keras.src.backend.common.symbolic_scope import in_symbolic_scope

from peernets_tf.layers.nearest_neighbors import nearest_neighbors

# A tensor of the Keras backend, or an array that it converts.
Tensor = Any
# None stands for a size that is not known yet.
Shape = tuple[int | None, ...]

_ATTENTIONS = ("gat", "softplus", "literal")
_WEIGHTS = ("query_kernel", "key_kernel", "bias")
# Standard deviations beyond the mean of the sorted shortlist from which
# neighbour dropout picks: with K = 10 and a rate of 0.2 it holds 24, and 7 in
# a million pixels find fewer than 10 survivors.
_SHORTLIST_DEVIATIONS = 6.3


@keras.saving.register_keras_serializable(package="peernets_tf")
class PeerRegularization(keras.layers.Layer):
    """Replaces each pixel by an attention-weighted mean of similar peer pixels.

    Each pixel of the feature map looks for its `num_neighbors` nearest pixels,
    by cosine similarity, among all pixels of a set of peer images, and becomes
    their weighted mean. Source: Svoboda et al., *PeerNets: Exploiting Peer
    Wisdom Against Adversarial Attacks*, ICLR 2019, Section 3 and Equation 2.

    The peers are, in this order: the features passed as `peers`; in training,
    the images of the batch; in inference, the first graph that
    `peernets_tf.set_peers` stored.

    Example:

    ```python
    x = keras.layers.Conv2D(32, 3, activation="relu")(x)
    x = PeerRegularization()(x)
    ```

    Args:
        num_neighbors: int, K, the neighbours of each pixel.
        attention: how a neighbour's logit `a = x_p . query_kernel +
            x_q . key_kernel + bias` becomes its weight. `"gat"`:
            softmax(LeakyReLU(a)), Equation 1. `"softplus"`:
            softmax(softplus(a)). `"literal"`: LeakyReLU(exp(a)) over its sum,
            Equation 2 as printed; there the pixel's own term cancels, so with
            fixed peers the gradient with respect to the inputs is zero.
        neighbor_dropout: float in [0, 1), the probability that a candidate
            cannot be chosen in training. 0.2 in Section 4.1.
        attention_dropout: float in [0, 1), dropout on the logits right before
            the softmax in training. 0.5 in Section 4.1.
        negative_slope: float, the slope of the LeakyReLU below zero.
        exclude_self: bool, whether a pixel may not be its own neighbour when
            the batch is the graph.
        epsilon: float, the smallest norm used in the cosine similarity.
        seed: int or None, the seed of both dropouts.

    Call arguments:
        inputs: float tensor of shape `(B, H, W, C)`.
        peers: optional float tensor of shape `(N, H', W', C)`: the peers'
            features at this place in the network.
        training: bool, whether to apply the dropouts and, without `peers`, to
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
        if attention not in _ATTENTIONS:
            raise ValueError(
                f"`attention` must be one of {_ATTENTIONS}. Received: "
                f"attention={attention}"
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
        self.seed_generator = keras.random.SeedGenerator(seed)
        # A variable once `set_peers` was called.
        self.peers: Any = None
        # Which stored graph inference uses; `monte_carlo` changes it.
        self._graph = 0
        # The inputs seen while the peers themselves pass, or None.
        self._captured_inputs: list[Tensor] | None = None
        # From (inputs, keys, outputs) to outputs with another gradient, while
        # `attacks.surrogate` calls the model.
        self._surrogate: Callable[[Tensor, Tensor, Tensor], Tensor] | None = (
            None
        )

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
            Whether a variable was made anew, so that functions compiled before
            must be compiled again.
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
            # As Keras's own `enable_lora` does, to add a weight after `build`.
            self._tracker.unlock()
            self.peers = self.add_weight(
                shape=shape, initializer="zeros", trainable=False, name="peers"
            )
            self._tracker.lock()
        self.peers.assign(features)
        return is_new

    def call(
        self,
        inputs: Tensor,
        peers: Tensor | None = None,
        training: bool | None = None,
    ) -> Tensor:
        if in_symbolic_scope():
            # Keras infers shapes, before there are any peers.
            return inputs
        keys, is_batch = self._graph_features(inputs, peers, training)
        channels = inputs.shape[-1]
        queries = ops.reshape(inputs, (-1, channels))
        keys = ops.reshape(keys, (-1, channels))
        self._check_num_pixels(keys.shape[0], self.exclude_self and is_batch)
        neighbors = self._choose_neighbors(queries, keys, is_batch, training)
        num_keys = ops.shape(keys)[0]
        neighbors = ops.minimum(neighbors, num_keys - 1)
        weights = self._attention_weights(queries, keys, neighbors, training)
        values = ops.take(keys, neighbors, axis=0)
        outputs = ops.sum(ops.expand_dims(weights, -1) * values, axis=1)
        if keys.shape[0] is None:
            # How many pixels there are shows only now: too few give NaN.
            enough = num_keys >= self.num_neighbors
            outputs = ops.where(enough, outputs, float("nan"))
        outputs = ops.reshape(outputs, ops.shape(inputs))
        if self._surrogate is not None:
            outputs = self._surrogate(inputs, keys, outputs)
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
            # The stored ones are features of other weights.
            self._drop_peers()

    def _drop_peers(self) -> None:
        if self.peers is None:
            return
        # A function compiled with the old variable must not go on with old
        # peers in silence: it gives NaN.
        self.peers.assign(ops.full(self.peers.shape, float("nan")))
        self._tracker.unlock()
        self._untrack_variable(self.peers)
        self._tracker.lock()
        self.peers = None

    def _graph_features(
        self, inputs: Tensor, peers: Tensor | None, training: bool | None
    ) -> tuple[Tensor, bool]:
        """Returns the features of the graph and whether they are the inputs."""
        if peers is not None:
            if len(peers.shape) != 4 or peers.shape[-1] != inputs.shape[-1]:
                raise ValueError(
                    "`peers` must have shape (N, H, W, "
                    f"{inputs.shape[-1]}). Received: peers.shape={peers.shape}"
                )
            return ops.cast(peers, inputs.dtype), False
        if self._captured_inputs is not None:
            self._captured_inputs.append(inputs)
            return inputs, True
        if training:
            return inputs, True
        if self.peers is None:
            raise ValueError(
                f"Layer '{self.name}' has no peers. Call peernets_tf.set_peers("
                "model, images) with some training images before inference, or "
                "pass `peers` to the layer."
            )
        return ops.cast(self.peers[self._graph], inputs.dtype), False

    def _check_num_pixels(
        self, num_pixels: int | None, exclude_self: bool = False
    ) -> None:
        needed = self.num_neighbors + exclude_self
        if num_pixels is not None and num_pixels < needed:
            raise ValueError(
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
        size = self.num_neighbors + exclude_self
        if dropout > 0:
            # Candidates of which about K survive: the size of the shortlist is
            # the mean of a negative binomial and some standard deviations.
            keep = 1 - dropout
            deviation = (self.num_neighbors * dropout) ** 0.5 / keep
            size += int(
                self.num_neighbors / keep
                - self.num_neighbors
                + _SHORTLIST_DEVIATIONS * deviation
                + 0.5
            )
        if keys.shape[0] is not None:
            size = min(size, keys.shape[0])
        shortlist = nearest_neighbors(queries, keys, size, self.epsilon)
        if size == self.num_neighbors:
            return shortlist
        # Dropping each candidate on its own and taking the first K that
        # survive has the distribution of dropout on all distances. Candidates
        # that were dropped stand in only when too few survive.
        rank = ops.arange(size, dtype="float32")[None, :]
        dropped = ops.zeros_like(shortlist, dtype="bool")
        if dropout > 0:
            draws = keras.random.uniform(
                ops.shape(shortlist), seed=self.seed_generator
            )
            dropped = draws < dropout
        rank = rank + size * ops.cast(dropped, "float32")
        if keys.shape[0] is None:
            # Places that no key fills, where there are fewer than `size`.
            is_missing = shortlist >= ops.shape(keys)[0]
            rank = rank + 3 * size * ops.cast(is_missing, "float32")
        if exclude_self:
            own = ops.arange(ops.shape(shortlist)[0], dtype=shortlist.dtype)
            is_own = ops.cast(shortlist == own[:, None], "float32")
            rank = rank + 2 * size * is_own
        _, places = ops.top_k(-rank, self.num_neighbors)
        return ops.take_along_axis(shortlist, places, axis=1)

    def _attention_weights(
        self,
        queries: Tensor,
        keys: Tensor,
        neighbors: Tensor,
        training: bool | None,
    ) -> Tensor:
        """Returns weights `(Q, K)` that sum to one for each query."""
        query_logits = ops.matmul(queries, self.query_kernel)
        key_logits = ops.matmul(keys, self.key_kernel)
        logits = (
            ops.expand_dims(query_logits, 1)
            + ops.take(key_logits, neighbors, axis=0)
            + self.bias
        )
        if self.attention == "gat":
            logits = ops.leaky_relu(logits, self.negative_slope)
        elif self.attention == "softplus":
            logits = ops.softplus(logits)
        # Else Equation 2 as printed: exp is positive, so LeakyReLU keeps it,
        # and its share of the sum is the softmax.
        if training and self.attention_dropout > 0:
            logits = keras.random.dropout(
                logits, self.attention_dropout, seed=self.seed_generator
            )
        return ops.softmax(logits, axis=-1)
