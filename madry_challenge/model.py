"""The challenge's networks: the residual networks w32-10 and thin.

Source: He et al. (2016), *Identity Mappings in Deep Residual Networks*, as in
the challenge's model.py. A layer has the name of its scope there, with dots in
place of slashes.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from madry_challenge.options import FILTERS
from peernets_tf.errors import UserError
from peernets_tf.models.network import DATA_FORMAT
from peernets_tf.types import Tensor

_BLOCKS = 5


def build(
    name: str,
    *,
    input_shape: Sequence[int] = (32, 32, 3),
    num_classes: int = 10,
    weight_decay: float = 0.0,
    blocks: int = _BLOCKS,
) -> keras.Model:
    """Builds one of the challenge's networks.

    The network standardises each image. A block is batch normalization, leaky
    ReLU and a 3 x 3 convolution, twice. Where a block changes the size, its
    shortcut is an average pooling, with zeros for the new maps.

    Args:
        name: str, `"w32-10"` or `"thin"`.
        input_shape: tuple `(H, W, C)` of the images.
        num_classes: int, the number of logits.
        weight_decay: float, the factor of half the sum of squares of all
            kernels in the loss.
        blocks: int, the blocks of each stage.

    Returns:
        A `keras.Model` from float images `(B, H, W, C)` in [0, 1] to logits
        `(B, num_classes)`.

    Raises:
        UserError: if there is no such network.
    """
    if name not in FILTERS:
        raise UserError(
            f"`name` must be one of {', '.join(FILTERS)}. Received: {name}"
        )
    regularizer = keras.regularizers.L2(weight_decay / 2)
    filters = FILTERS[name]
    inputs = keras.Input(input_shape, name="images")
    x = PerImageStandardization(name="standardization")(inputs)
    x = _convolution(x, filters[0], 1, regularizer, "input.init_conv")
    for stage in (1, 2, 3):
        for i in range(blocks):
            x = _block(
                x,
                filters[stage],
                strides=2 if stage > 1 and i == 0 else 1,
                # In the first block the shortcut is normalized, too.
                shared=stage == 1 and i == 0,
                regularizer=regularizer,
                prefix=f"unit_{stage}_{i}",
            )
    x = _normalized(x, "unit_last.final_bn")
    x = keras.layers.GlobalAveragePooling2D(
        data_format=DATA_FORMAT, name="pool"
    )(x)
    logits = keras.layers.Dense(
        num_classes,
        kernel_initializer=keras.initializers.VarianceScaling(
            scale=1.0, mode="fan_in", distribution="uniform"
        ),
        kernel_regularizer=regularizer,
        name="logit",
    )(x)
    return keras.Model(inputs, logits, name=name)


def _block(
    x: keras.KerasTensor,
    filters: int,
    *,
    strides: int,
    shared: bool,
    regularizer: keras.Regularizer,
    prefix: str,
) -> keras.KerasTensor:
    shortcut = x
    scope = "shared_activation" if shared else "residual_only_activation"
    x = _normalized(x, f"{prefix}.{scope}.init_bn")
    if shared:
        shortcut = x
    x = _convolution(x, filters, strides, regularizer, f"{prefix}.sub1.conv1")
    x = _normalized(x, f"{prefix}.sub2.bn2")
    x = _convolution(x, filters, 1, regularizer, f"{prefix}.sub2.conv2")
    if shortcut.shape[-1] != filters:
        shortcut = keras.layers.AveragePooling2D(
            strides,
            strides,
            data_format=DATA_FORMAT,
            name=f"{prefix}.pool",
        )(shortcut)
        shortcut = PadMaps(filters, name=f"{prefix}.pad")(shortcut)
    return keras.layers.Add(name=f"{prefix}.add")([x, shortcut])


def _convolution(
    x: keras.KerasTensor,
    filters: int,
    strides: int,
    regularizer: keras.Regularizer,
    name: str,
) -> keras.KerasTensor:
    return keras.layers.Conv2D(
        filters,
        3,
        strides=strides,
        padding="same",
        data_format=DATA_FORMAT,
        use_bias=False,
        kernel_initializer=keras.initializers.RandomNormal(
            stddev=(2 / (9 * filters)) ** 0.5
        ),
        kernel_regularizer=regularizer,
        name=name,
    )(x)


def _normalized(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    x = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-3, name=name)(
        x
    )
    return keras.layers.LeakyReLU(negative_slope=0.1, name=f"{name}.relu")(x)


@keras.saving.register_keras_serializable(package="madry_challenge")
class PerImageStandardization(keras.layers.Layer):
    """Scales each image to mean 0 and variance 1, as TensorFlow 1 did.

    The original applies `tf.image.per_image_standardization` to images in
    [0, 255], so the smallest deviation that divides, 1 / sqrt(H W C), is on the
    0-255 pixel scale. The inputs here are in [0, 1].
    """

    def call(self, inputs: Tensor) -> Tensor:
        inputs = inputs * 255.0
        axes = (1, 2, 3)
        size = inputs.shape[1] * inputs.shape[2] * inputs.shape[3]
        mean = ops.mean(inputs, axis=axes, keepdims=True)
        variance = ops.var(inputs, axis=axes, keepdims=True)
        # The larger of the two first: the root has no gradient at 0.
        return (inputs - mean) / ops.sqrt(ops.maximum(variance, 1 / size))


@keras.saving.register_keras_serializable(package="madry_challenge")
class PadMaps(keras.layers.Layer):
    """Adds maps of zeros, half of them before and half after the input's maps.

    Args:
        filters: int, the number of maps of the output.
    """

    def __init__(self, filters: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = filters

    def call(self, inputs: Tensor) -> Tensor:
        padding = (self.filters - inputs.shape[-1]) // 2
        return ops.pad(inputs, ((0, 0), (0, 0), (0, 0), (padding, padding)))

    def compute_output_shape(
        self, input_shape: Sequence[int]
    ) -> tuple[int, ...]:
        return (*input_shape[:-1], self.filters)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": self.filters}
