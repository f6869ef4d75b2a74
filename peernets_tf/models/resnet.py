"""ResNet-32, ResNet-110 and their PeerNets (Section 4.2, Figure 2, Table 4)."""

from collections.abc import Sequence

import keras

from peernets_tf.models.network import DATA_FORMAT, Network

# Added to the network's seed. Every trained PeerNet depends on these values.
_PEERS_SEED = {"b": 98, "c": 99}


def resnet(
    network: Network, *, depth: int, widths: Sequence[int]
) -> keras.Model:
    """Builds the ResNet of He et al. for 32 x 32 images, or its PeerNet.

    Three stages A, B and C of `(depth - 2) / 6` blocks each. A block is
    Conv + BatchNorm + ReLU + Conv + BatchNorm, a skip connection and a ReLU;
    where the size changes, the skip is a 1 x 1 convolution with batch
    normalization. In a PeerNet, PeerRegularization follows stage B and stage C.
    With `network.relu_ceiling` every ReLU is bounded (Zantedeschi et al. 2017).

    Args:
        network: the `Network`.
        depth: int, 6 n + 2 layers.
        widths: three ints, the feature maps of stages A, B and C.
    """
    inputs, x = network.normalized_inputs()
    x = _relu(_convolution(x, network, 16, 3, 1, "stem"), network, "stem")
    for stage, filters in zip("abc", widths, strict=True):
        for i in range((depth - 2) // 6):
            strides = 2 if i == 0 and stage != "a" else 1
            x = _block(x, network, filters, strides, f"{stage}{i + 1}")
        if stage in _PEERS_SEED:
            x = network.regularize_peers(
                x, seed=_PEERS_SEED[stage], name=f"{stage}_peers"
            )
    x = keras.layers.GlobalAveragePooling2D(
        data_format=DATA_FORMAT, name="pool"
    )(x)
    return keras.Model(inputs, network.logits(x), name=network.name)


def _block(
    x: keras.KerasTensor,
    network: Network,
    filters: int,
    strides: int,
    prefix: str,
) -> keras.KerasTensor:
    skip = x
    if strides != 1 or x.shape[-1] != filters:
        skip = _convolution(x, network, filters, 1, strides, f"{prefix}_skip")
    x = _convolution(x, network, filters, 3, strides, f"{prefix}_1")
    x = _relu(x, network, f"{prefix}_1")
    x = _convolution(x, network, filters, 3, 1, f"{prefix}_2")
    x = keras.layers.Add(name=f"{prefix}_add")([x, skip])
    return _relu(x, network, prefix)


def _convolution(
    x: keras.KerasTensor,
    network: Network,
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
        data_format=DATA_FORMAT,
        use_bias=False,
        kernel_initializer="he_normal",
        kernel_regularizer=network.kernel_regularizer(),
        name=f"{prefix}_conv",
    )(x)
    return keras.layers.BatchNormalization(name=f"{prefix}_norm")(x)


def _relu(
    x: keras.KerasTensor, network: Network, prefix: str
) -> keras.KerasTensor:
    return keras.layers.ReLU(
        max_value=network.relu_ceiling, name=f"{prefix}_relu"
    )(x)
