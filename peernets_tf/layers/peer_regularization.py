"""The Peer Regularization layer: the one new idea of PeerNets."""

import functools
import math
import numbers
from typing import Any, Self

import keras
from keras import ops

from peernets_tf.errors import UserError
from peernets_tf.layers import attention as attentions
from peernets_tf.layers import keras_internals
from peernets_tf.layers.compiled import check_at_run_time
from peernets_tf.layers.neighbor_choice import choose_neighbors
from peernets_tf.layers.peer_age import PeerAge
from peernets_tf.layers.peer_scope import (
    BATCH,
    PeerCall,
    PeerScope,
    current_scope,
)
from peernets_tf.types import Shape, Tensor

_DATA_FORMATS = ("channels_last", "channels_first")
_WEIGHTS = ("query_kernel", "key_kernel", "bias")


@keras.saving.register_keras_serializable(package="peernets_tf")
class PeerRegularization(keras.layers.Layer):
    """Replaces each pixel by a weighted mean of similar pixels of peer images.

    For each pixel of its input, the layer finds the `num_neighbors` pixels with
    the largest cosine similarity among all pixels of the peers' feature maps.
    The output is their mean, weighted with attention scores. Source: Svoboda et
    al., *PeerNets: Exploiting Peer Wisdom Against Adversarial Attacks*, ICLR
    2019, Section 3 and Equation 2.

    The peers are the first of these that applies:

    - the features passed as `peers`,
    - in training, the images of the batch,
    - in inference, the first graph that `peernets_tf.set_peers` stored.

    Stored peers are saved with the model, but are not weights: `get_weights`
    and `set_weights` leave them out.

    A Python warning says that the stored peers are older than the weights. It
    comes when the layer is called eagerly, traced or saved, and when Keras's
    `evaluate` or `predict` begins. The layer compares its own weights and its
    random state with those that it had when the peers were stored. So it
    notices `set_weights` and any training, but not these cases:

    - inference by a `tf.function` of your own that is already traced,
    - a change of other layers' weights only, by assignment or by training while
      this layer is frozen and both dropouts are 0,
    - on JAX, the first `evaluate` of a model that neither trained nor predicted
      before.

    Example:

    ```python
    x = keras.layers.Conv2D(32, 3, activation="relu")(x)
    x = PeerRegularization()(x)
    ```

    Args:
        num_neighbors: int, K, the number of neighbours of each pixel.
        attention: str, how a neighbour's logit
            `a = x_p . query_kernel + x_q . key_kernel + bias` becomes its
            weight. `"gat"`: softmax(LeakyReLU(a)), Equation 1. `"softplus"`:
            softmax(softplus(a)). `"literal"`: LeakyReLU(exp(a)) over its sum,
            Equation 2 as printed; there the pixel's own term cancels, so with
            fixed peers the gradient with respect to the inputs is zero.
        neighbor_dropout: float in [0, 1), the probability that a candidate
            cannot be chosen in training. 0.2 in Section 4.1. If the graph has
            at least as many pixels as the shortlist (20 for the defaults), at
            most 1 pixel in 1,000 keeps some that were dropped, because fewer
            than K of its nearest candidates are left.
        attention_dropout: float in [0, 1), the rate of dropout on the logits
            right before the softmax in training. 0.5 in Section 4.1.
        negative_slope: float, the slope of LeakyReLU below zero.
        exclude_self: bool, whether to exclude a pixel from its own neighbours
            where the images of the batch are the peers.
        epsilon: float, the smallest norm that the cosine similarity divides by.
        seed: int or None, the seed of both dropouts.
        data_format: `"channels_last"`, `"channels_first"` or None, the order of
            the axes of `inputs`, `peers` and the outputs. None: that of
            `keras.config.image_data_format()`.

    Call arguments:
        inputs: float tensor of shape `(B, H, W, C)`, or `(B, C, H, W)` with
            `data_format="channels_first"`.
        peers: optional float tensor of shape `(N, H', W', C)`, or
            `(N, C, H', W')`, the peers' features at this place in the network.
        training: bool, whether to apply both dropouts and, without `peers`, to
            use the images of the batch as peers. Keras sets it in `fit`, but
            inside a subclassed model only if its `call` takes `training`.

    Returns:
        A tensor of the shape of `inputs`, of the layer's compute dtype.

    Raises:
        ValueError: if an argument is out of range; if there are fewer than
            `num_neighbors` peer pixels; if the layer is called in inference
            before `peernets_tf.set_peers`; if a model's first `fit` is to
            validate and no peers are stored at its first step (a later `fit`
            raises the error when the validation begins); or if a model uses the
            layer at two places. If the layer is applied to its own output, the
            call raises the error. If parallel branches share the layer, as in a
            siamese model, the first training step and `peernets_tf.set_peers`
            raise it.
        tf.errors.InvalidArgumentError: if there are too few peer pixels and
            their number is known only at run time. That step updates no
            trainable weight.

    Attributes:
        query_kernel: trainable weight of shape `(C,)`.
        key_kernel: trainable weight of shape `(C,)`.
        bias: trainable weight of shape `()`.
        peers: the stored peers' features, `(M, N, H, W, C)` with any
            `data_format`, or None.
        peers_are_old: bool, whether the layer's own weights or its random
            state changed after `peers` were stored.
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
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        # An integer may come as 10.0 from a configuration.
        is_number = isinstance(num_neighbors, numbers.Real)
        if not is_number or num_neighbors % 1 != 0 or num_neighbors < 1:
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
        if not 0 < epsilon < math.inf:
            raise ValueError(
                "`epsilon` must be positive and finite. Received: "
                f"epsilon={epsilon}"
            )
        if data_format is None:
            data_format = keras.config.image_data_format()
        if data_format not in _DATA_FORMATS:
            raise ValueError(
                f"`data_format` must be one of {_DATA_FORMATS}. Received: "
                f"data_format={data_format}"
            )
        self.num_neighbors = int(num_neighbors)
        self.attention = attention
        self.neighbor_dropout = neighbor_dropout
        self.attention_dropout = attention_dropout
        self.negative_slope = negative_slope
        self.exclude_self = exclude_self
        self.epsilon = epsilon
        self.seed = seed
        self.data_format = data_format
        # Named after the layer, so that checkpoints find it by its path.
        self.seed_generator = keras.random.SeedGenerator(
            seed, name=f"{self.name}_seed_generator"
        )
        # A variable once `set_peers` was called.
        self.peers: Any = None
        self._age = PeerAge(self)

    @property
    def peers_are_old(self) -> bool:
        return self._age.is_old()

    def warn_if_peers_are_old(self) -> None:
        """Warns if the weights changed after the peers were stored."""
        self._age.warn_if_old()

    @property
    def weights(self) -> list[keras.Variable]:
        # Without the peers, whose number changes with every `set_peers`.
        return [w for w in super().weights if w is not self.peers]

    def build(
        self, inputs_shape: Shape, peers_shape: Shape | None = None
    ) -> None:
        axis = 1 if self.data_format == "channels_first" else -1
        if len(inputs_shape) != 4 or inputs_shape[axis] is None:
            axes = "(B, H, W, C)" if axis == -1 else "(B, C, H, W)"
            raise ValueError(
                f"PeerRegularization takes inputs of shape {axes} with a "
                f"known number of channels. Received: shape={inputs_shape}"
            )
        channels = inputs_shape[axis]
        self.input_spec = keras.layers.InputSpec(ndim=4, axes={axis: channels})
        self.query_kernel = self.add_weight(
            shape=(channels,), initializer="glorot_uniform", name="query_kernel"
        )
        self.key_kernel = self.add_weight(
            shape=(channels,), initializer="glorot_uniform", name="key_kernel"
        )
        self.bias = self.add_weight(shape=(), initializer="zeros", name="bias")

    def set_peers(self, features: Tensor) -> None:
        """Stores the peers' features that inference uses.

        Most users call `peernets_tf.set_peers(model, images)`, which computes
        the features of every PeerRegularization layer of a model.

        Args:
            features: float array of shape `(M, N, H, W, C)`: M graphs of N
                images each, with any `data_format`.

        Raises:
            ValueError: if the features have another shape, or fewer than
                `num_neighbors` pixels.
        """
        self.check_peers(features)
        shape = tuple(features.shape)
        is_new = self.peers is None or tuple(self.peers.shape) != shape
        if is_new:
            self._drop_peers()
            self.peers = keras_internals.add_late_weight(self, "peers", shape)
        self.peers.assign(features)
        self._age.note_storing(new_variable=is_new)

    def check_peers(self, features: Tensor) -> None:
        """Checks that features can be stored; see `set_peers`."""
        self._check_is_built()
        shape = tuple(features.shape)
        if len(shape) != 5 or shape[-1] != self.query_kernel.shape[0]:
            raise ValueError(
                "The peers' features must have shape (M, N, H, W, "
                f"{self.query_kernel.shape[0]}). Received: shape={shape}"
            )
        self._check_num_pixels(shape[1] * shape[2] * shape[3], 0)

    def weights_key(self) -> bytes | None:
        """Returns what tells the layer's weights from others.

        None on JAX inside of `fit` and `evaluate`, where they have no values.
        """
        self._check_is_built()
        return keras_internals.current_values(
            [getattr(self, name) for name in _WEIGHTS]
        )

    def stored_peers(self) -> Tensor:
        """Returns the peers' features `(M, N, H, W, C)` for inference.

        Warns if they are older than the weights.

        Raises:
            UserError: if none are stored.
        """
        if self.peers is None:
            raise UserError(
                f"Layer '{self.name}' has no peers. Call peernets_tf.set_peers("
                "model, images) with some training images before inference, or "
                "pass `peers` to the layer."
            )
        self._age.note_inference()
        return self.peers

    def symbolic_call(
        self, inputs: Tensor, peers: Tensor | None = None, **kwargs: Any
    ) -> Tensor:
        if peers is None and keras_internals.is_made_of(inputs, self):
            raise self._used_twice()
        return super().symbolic_call(inputs, peers=peers, **kwargs)

    def call(
        self,
        inputs: Tensor,
        peers: Tensor | None = None,
        training: bool | None = None,
    ) -> Tensor:
        if keras_internals.infers_shapes():
            # There are no peers yet.
            return inputs
        replacement = current_scope().replacement
        if replacement is not None:
            return replacement(self, inputs)
        if self.data_format == "channels_last":
            return self._regularize(inputs, peers, training)
        to_last, to_first = (0, 2, 3, 1), (0, 3, 1, 2)
        if peers is not None:
            peers = ops.transpose(peers, to_last)
        outputs = self._regularize(
            ops.transpose(inputs, to_last), peers, training
        )
        return ops.transpose(outputs, to_first)

    def _regularize(
        self, inputs: Tensor, peers: Tensor | None, training: bool | None
    ) -> Tensor:
        """Returns the outputs of inputs and peers in channels-last format."""
        scope = current_scope()
        keys, is_batch = self._graph_features(inputs, peers, training, scope)
        channels = inputs.shape[-1]
        queries = ops.reshape(inputs, (-1, channels))
        keys = ops.reshape(keys, (-1, channels))
        keys = self._with_enough_pixels(keys, is_batch)
        excludes_self = self.exclude_self and is_batch
        neighbors = choose_neighbors(
            queries,
            keys,
            self.num_neighbors,
            epsilon=self.epsilon,
            exclude_self=excludes_self,
            dropout=self.neighbor_dropout if training else 0.0,
            generator=self.seed_generator,
        )
        num_keys = ops.shape(keys)[0]
        neighbors = ops.minimum(neighbors, num_keys - 1)
        outputs, weights = self._attend(queries, keys, neighbors, training)
        outputs = ops.reshape(outputs, ops.shape(inputs))
        call = PeerCall(
            layer=self,
            inputs=inputs,
            keys=keys,
            excludes_self=excludes_self,
            neighbors=neighbors,
            weights=weights,
            outputs=outputs,
        )
        if scope.ablation is not None:
            call = scope.ablation(call)
        if scope.recorder is not None:
            scope.recorder(call)
        if scope.backward is not None and call.outputs is not call.inputs:
            return scope.backward(call)
        return call.outputs

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
            "data_format": self.data_format,
        }
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        # Models that were saved before the argument existed are channels-last.
        return cls(**{"data_format": "channels_last", **config})

    def save_own_variables(self, store: Any) -> None:
        if not self.built:
            return
        for name in _WEIGHTS:
            store[name] = ops.convert_to_numpy(getattr(self, name))
        if self.peers is not None:
            self._age.warn_if_old()
            store["peers"] = ops.convert_to_numpy(self.peers)

    def load_own_variables(self, store: Any) -> None:
        if not self.built and not store.keys():
            # Saved before it was built.
            return
        self._check_is_built()
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
        # A `tf.function` of the user's that was compiled with the old variable
        # gives NaN from now on, not the answers of old peers. A product stays
        # on the devices: several processes would compare a new value, and NaN
        # is not equal to itself.
        self.peers.assign(self.peers * float("nan"))
        keras_internals.remove_weight(self, self.peers)
        self.peers = None
        self._age.note_storing(new_variable=True)

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
        if training:
            self._before_training()
        if training or scope.graph is BATCH:
            return inputs, True
        bank = scope.bank
        if training is None and bank is None:
            self._check_not_in_training()
        if bank is not None and self not in bank:
            raise UserError(
                f"the model runs layer '{self.name}', but does not hold it, as "
                "in a Lambda layer: give a Keras model that holds it"
            )
        stored = self.stored_peers() if bank is None else bank[self]
        return ops.cast(stored[scope.graph], inputs.dtype), False

    def _before_training(self) -> None:
        """Refuses what would fail only after the training."""
        step = self._age.note_training()
        if step is None:
            return
        if keras_internals.count_calls(step.model, self) > 1:
            raise self._used_twice()
        if self.peers is None and keras_internals.fit_validates(step.model):
            raise UserError(
                f"Layer '{self.name}' has no peers to validate with. Give "
                "`fit` the callback peernets_tf.RefreshPeers(images, "
                "num_peers), or call peernets_tf.set_peers(model, images) "
                "before it."
            )

    def _check_not_in_training(self) -> None:
        """Refuses a training step that the layer would take for inference."""
        step = keras_internals.running_step() if self.trainable else None
        if step is not None and step.name == "train_step":
            raise UserError(
                f"Layer '{self.name}' is not told whether it trains: let `call`"
                f" of '{step.model.name}' take `training`, so that Keras gives "
                "it to the layers. Call a model that does not train, such as a "
                "teacher, with training=False."
            )

    def _check_is_built(self) -> None:
        if not self.built:
            raise UserError(
                f"Layer '{self.name}' must be built before it gets weights or "
                "peers: call the model once on some images."
            )

    def _used_twice(self) -> UserError:
        return UserError(
            f"Layer '{self.name}' must stand at one place of a model, because "
            "it stores the peers' features of that place: make one layer for "
            "each place, or pass `peers` to each call."
        )

    def _with_enough_pixels(self, keys: Tensor, is_batch: bool) -> Tensor:
        """Returns the pixels `(P, C)` of all peers; too few are an error."""
        own = int(self.exclude_self and is_batch)
        if keys.shape[0] is None:
            message = self._too_few_pixels(own)
            needed = self.num_neighbors + own
            return check_at_run_time(keys, ops.shape(keys)[0], needed, message)
        self._check_num_pixels(keys.shape[0], own)
        return keys

    def _check_num_pixels(self, num_pixels: int, own: int) -> None:
        if num_pixels < self.num_neighbors + own:
            raise UserError(
                f"{self._too_few_pixels(own)}. Received: {num_pixels} pixels"
            )

    def _too_few_pixels(self, own: int) -> str:
        return (
            f"Layer '{self.name}' needs at least {self.num_neighbors + own} "
            f"peer pixels for num_neighbors={self.num_neighbors}: take more "
            "peers (num_peers), in training a larger batch without a smaller "
            "last one, or a smaller num_neighbors"
        )

    def _attend(
        self,
        queries: Tensor,
        keys: Tensor,
        neighbors: Tensor,
        training: bool | None,
    ) -> tuple[Tensor, Tensor]:
        """Returns the weighted means `(Q, C)` and their weights `(Q, K)`."""
        logit_factors = ops.ones((1, 1), queries.dtype)
        if training and self.attention_dropout > 0:
            # Each logit is dropped to 0 or divided by the rate that is kept.
            logit_factors = keras.random.dropout(
                ops.ones(ops.shape(neighbors), queries.dtype),
                self.attention_dropout,
                seed=self.seed_generator,
            )
        attend = attentions.compiled_attend(self.attention, self.negative_slope)
        if keras_internals.exports_to_onnx():
            attend = functools.partial(
                attentions.attend,
                attention=self.attention,
                negative_slope=self.negative_slope,
            )
        return attend(
            queries,
            keys,
            neighbors,
            logit_factors,
            *map(
                ops.convert_to_tensor,
                (self.query_kernel, self.key_kernel, self.bias),
            ),
        )
