"""LeNet-5 and PR-LeNet-5 (Section 4.2 and Figure 2, top)."""

import keras

from peernets_tf.errors import UserError
from peernets_tf.models.network import DATA_FORMAT, Network


def lenet5(network: Network) -> keras.Model:
    """Builds LeNet-5 with widths 6, 16, 120 and 84, or its PeerNet.

    In a PeerNet, PeerRegularization follows each convolution and its ReLU,
    before each max-pooling.

    Raises:
        UserError: if the images are smaller than 12 x 12 pixels.
    """
    if min(network.input_shape[:2]) < 12:
        raise UserError(
            "LeNet-5 takes images of at least 12 x 12 pixels. Received: "
            f"input_shape={network.input_shape}"
        )
    inputs, x = network.normalized_inputs()
    x = _convolution(x, network, 6, "same", block=1)
    x = _convolution(x, network, 16, "valid", block=2)
    x = keras.layers.Flatten(data_format=DATA_FORMAT, name="flatten")(x)
    x = _dense(x, network, 120, name="dense1")
    x = _dense(x, network, 84, name="dense2")
    return keras.Model(inputs, network.logits(x), name=network.name)


def _convolution(
    x: keras.KerasTensor,
    network: Network,
    filters: int,
    padding: str,
    block: int,
) -> keras.KerasTensor:
    x = keras.layers.Conv2D(
        filters,
        5,
        padding=padding,
        data_format=DATA_FORMAT,
        activation="relu",
        kernel_regularizer=network.kernel_regularizer(),
        name=f"conv{block}",
    )(x)
    x = network.regularize_peers(x, seed=block, name=f"peers{block}")
    return keras.layers.MaxPooling2D(
        2, data_format=DATA_FORMAT, name=f"pool{block}"
    )(x)


def _dense(
    x: keras.KerasTensor,
    network: Network,
    units: int,
    name: str,
) -> keras.KerasTensor:
    return keras.layers.Dense(
        units,
        activation="relu",
        kernel_regularizer=network.kernel_regularizer(),
        name=name,
    )(x)
