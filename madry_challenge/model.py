"""The challenge's networks: residual networks w32-10 and thin (He et al. 2016).

Their layers are named by the original's scopes, `/` written as a dot.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

# The maps of the first convolution and of the three stages.
FILTERS = {"w32-10": (16, 160, 320, 640), "thin": (16, 16, 32, 64)}
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

    Each image is standardised; a stage has five blocks of batch normalization,
    leaky ReLU and 3 x 3 convolution, twice; a shortcut that changes size is an
    average pooling with zeros for the new maps.

    Args:
        name: str, `"w32-10"` or `"thin"`.
        input_shape: tuple `(H, W, C)` of the images.
        num_classes: int, the number of logits.
        weight_decay: float, the weight of half the sum of squares of all
            kernels in the loss.
        blocks: int, blocks a stage.

    Returns:
        A `keras.Model` from float images `(B, H, W, C)` in [0, 1] to logits
        `(B, num_classes)`.

    Raises:
        ValueError: if there is no such network.
    """
    if name not in FILTERS:
        raise ValueError(
            f"Unknown network. Choose one of {', '.join(FILTERS)}. "
            f"Received: {name}"
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
                # The first block normalizes its shortcut, too.
                shared=stage == 1 and i == 0,
                regularizer=regularizer,
                prefix=f"unit_{stage}_{i}",
            )
    x = _normalized(x, "unit_last.final_bn")
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
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
            strides, strides, name=f"{prefix}.pool"
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
    """Images in [0, 1] to images of mean 0 and variance 1, each by itself.

    The deviation, of 255, is at least 1 / sqrt(H W C), as in
    `tf.image.per_image_standardization` of the original's images in [0, 255].
    """

    def call(self, inputs: Any) -> Any:
        inputs = inputs * 255.0
        axes = (1, 2, 3)
        size = inputs.shape[1] * inputs.shape[2] * inputs.shape[3]
        mean = ops.mean(inputs, axis=axes, keepdims=True)
        deviation = ops.std(inputs, axis=axes, keepdims=True)
        return (inputs - mean) / ops.maximum(deviation, size**-0.5)


@keras.saving.register_keras_serializable(package="madry_challenge")
class PadMaps(keras.layers.Layer):
    """Adds as many maps of zeros before as after those of the input.

    Args:
        filters: int, the maps of the output.
    """

    def __init__(self, filters: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = filters

    def call(self, inputs: Any) -> Any:
        padding = (self.filters - inputs.shape[-1]) // 2
        return ops.pad(inputs, ((0, 0), (0, 0), (0, 0), (padding, padding)))

    def compute_output_shape(
        self, input_shape: Sequence[int]
    ) -> tuple[int, ...]:
        return (*input_shape[:-1], self.filters)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": self.filters}
