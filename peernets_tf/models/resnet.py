"""ResNet-32, ResNet-110 and their PeerNets (Section 4.2, Figure 2, Table 4)."""

from collections.abc import Sequence

import keras

from peernets_tf.layers.peer_regularization import PeerRegularization


def resnet(
    input_shape: Sequence[int],
    num_classes: int,
    *,
    depth: int,
    widths: Sequence[int],
    mean: float | Sequence[float],
    variance: float | Sequence[float],
    l2: float,
    peer_regularization: bool,
    seed: int,
    name: str,
) -> keras.Model:
    """Builds the ResNet of He et al. for 32 x 32 images, or its PeerNet.

    Three stages A, B and C of `(depth - 2) / 6` blocks each, a block being
    Conv + BatchNorm + ReLU + Conv + BatchNorm, a skip and a ReLU; where the
    size changes, the skip is a 1 x 1 convolution with batch normalization.
    PeerRegularization stands after stage B and after stage C. See
    `peernets_tf.models.build` for the other arguments.

    Args:
        depth: int, 6 n + 2 layers.
        widths: three ints, the feature maps of stages A, B and C.
        name: str, the name of the model.
    """

    def convolution(
        x: keras.KerasTensor,
        filters: int,
        kernel_size: int,
        strides: int,
        prefix: str,
    ) -> keras.KerasTensor:
        x = keras.layers.Conv2D(
            filters,
            kernel_size,
            strides=strides,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            kernel_regularizer=keras.regularizers.L2(l2 / 2) if l2 else None,
            name=f"{prefix}_conv",
        )(x)
        return keras.layers.BatchNormalization(name=f"{prefix}_norm")(x)

    def relu(x: keras.KerasTensor, prefix: str) -> keras.KerasTensor:
        return keras.layers.ReLU(name=f"{prefix}_relu")(x)

    def block(
        x: keras.KerasTensor, filters: int, strides: int, prefix: str
    ) -> keras.KerasTensor:
        skip = x
        if strides != 1 or x.shape[-1] != filters:
            skip = convolution(x, filters, 1, strides, f"{prefix}_skip")
        x = convolution(x, filters, 3, strides, f"{prefix}_1")
        x = relu(x, f"{prefix}_1")
        x = convolution(x, filters, 3, 1, f"{prefix}_2")
        x = keras.layers.Add(name=f"{prefix}_add")([x, skip])
        return relu(x, prefix)

    inputs = keras.Input(input_shape, name="images")
    x = keras.layers.Normalization(
        mean=mean, variance=variance, name="normalization"
    )(inputs)
    x = relu(convolution(x, 16, 3, 1, "stem"), "stem")
    for stage, filters in zip("abc", widths, strict=True):
        for i in range((depth - 2) // 6):
            strides = 2 if i == 0 and stage != "a" else 1
            x = block(x, filters, strides, f"{stage}{i + 1}")
        if peer_regularization and stage != "a":
            x = PeerRegularization(
                seed=seed + ord(stage), name=f"{stage}_peers"
            )(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    logits = keras.layers.Dense(
        num_classes,
        kernel_regularizer=keras.regularizers.L2(l2 / 2) if l2 else None,
        name="logits",
    )(x)
    return keras.Model(inputs, logits, name=name)
