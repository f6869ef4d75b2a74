"""What all networks here have in common."""

import dataclasses
from collections.abc import Sequence

import keras

from peernets_tf.layers import PeerRegularization

# All networks take images in this format, whatever Keras's default is.
DATA_FORMAT = "channels_last"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network:
    """The shape and the options of a network; see `peernets_tf.models.build`.

    Attributes:
        name: str, the name of the model.
        input_shape: tuple `(H, W, C)` of the images.
        num_classes: int, the number of logits.
        mean: float or one float per channel, subtracted from the images.
        variance: float or one float per channel; the images are divided by its
            square root.
        l2: float, the weight of half the sum of squares of each kernel in the
            loss.
        peer_regularization: bool, whether it is a PeerNet.
        relu_ceiling: float or None, the largest output of a ReLU (bounded
            ReLU); None for no bound.
        seed: int, the seed of the dropouts of PeerRegularization layers.
    """

    name: str
    input_shape: Sequence[int]
    num_classes: int
    mean: float | Sequence[float]
    variance: float | Sequence[float]
    l2: float
    peer_regularization: bool
    relu_ceiling: float | None = None
    seed: int

    def normalized_inputs(
        self,
    ) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        """Returns the model's input, and the output of its first layer."""
        inputs = keras.Input(self.input_shape, name="images")
        normalization = keras.layers.Normalization(
            mean=self.mean, variance=self.variance, name="normalization"
        )
        return inputs, normalization(inputs)

    def kernel_regularizer(self) -> keras.Regularizer | None:
        """Returns a new L2 regularizer, or None where `l2` is 0."""
        return keras.regularizers.L2(self.l2 / 2) if self.l2 else None

    def logits(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Returns the logits, in the weights' precision in mixed precision."""
        return keras.layers.Dense(
            self.num_classes,
            kernel_regularizer=self.kernel_regularizer(),
            dtype=keras.config.dtype_policy().variable_dtype,
            name="logits",
        )(x)

    def regularize_peers(
        self, x: keras.KerasTensor, seed: int, name: str
    ) -> keras.KerasTensor:
        """Applies PeerRegularization if the network is a PeerNet.

        Args:
            x: the feature maps.
            seed: int, which is added to the network's seed, so that no two
                layers draw the same numbers.
            name: str, the name of the layer.
        """
        if not self.peer_regularization:
            return x
        return PeerRegularization(
            seed=self.seed + seed, data_format=DATA_FORMAT, name=name
        )(x)
