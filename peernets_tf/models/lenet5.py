"""LeNet-5 and PR-LeNet-5 (Section 4.2 and Figure 2, top)."""

from collections.abc import Sequence

import keras

from peernets_tf.layers.peer_regularization import PeerRegularization


def lenet5(
    input_shape: Sequence[int],
    num_classes: int,
    *,
    mean: float | Sequence[float],
    variance: float | Sequence[float],
    l2: float,
    peer_regularization: bool,
    seed: int,
) -> keras.Model:
    """Builds LeNet-5 with widths 6, 16, 120 and 84, or its PeerNet.

    PeerRegularization stands after each convolution and its ReLU, before each
    max-pooling. See `peernets_tf.models.build` for the arguments.
    """
    if min(input_shape[:2]) < 12:
        raise ValueError(
            "LeNet-5 takes images of at least 12 x 12 pixels. Received: "
            f"input_shape={input_shape}"
        )

    def regularizer() -> keras.Regularizer | None:
        return keras.regularizers.L2(l2 / 2) if l2 else None

    def convolution(
        x: keras.KerasTensor, filters: int, padding: str, block: int
    ) -> keras.KerasTensor:
        x = keras.layers.Conv2D(
            filters,
            5,
            padding=padding,
            activation="relu",
            kernel_regularizer=regularizer(),
            name=f"conv{block}",
        )(x)
        if peer_regularization:
            x = PeerRegularization(seed=seed + block, name=f"peers{block}")(x)
        return keras.layers.MaxPooling2D(2, name=f"pool{block}")(x)

    def dense(
        x: keras.KerasTensor, units: int, activation: str | None, name: str
    ) -> keras.KerasTensor:
        return keras.layers.Dense(
            units,
            activation=activation,
            kernel_regularizer=regularizer(),
            name=name,
        )(x)

    inputs = keras.Input(input_shape, name="images")
    x = keras.layers.Normalization(
        mean=mean, variance=variance, name="normalization"
    )(inputs)
    x = convolution(x, 6, "same", 1)
    x = convolution(x, 16, "valid", 2)
    x = keras.layers.Flatten(name="flatten")(x)
    x = dense(x, 120, "relu", "dense1")
    x = dense(x, 84, "relu", "dense2")
    logits = dense(x, num_classes, None, "logits")
    name = "pr_lenet5" if peer_regularization else "lenet5"
    return keras.Model(inputs, logits, name=name)
