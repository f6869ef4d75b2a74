"""The autoencoders of MagNet (Meng and Chen 2017)."""

from collections.abc import Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from peernets_tf.errors import UserError
from peernets_tf.models.network import DATA_FORMAT

# Filters of each convolution but the last.
_WIDTH = 32


def autoencoder(
    input_shape: Sequence[int], *, pooled: bool = False, seed: int = 0
) -> keras.Model:
    """Builds an autoencoder of 3 x 3 convolutions with random weights.

    Three convolutions, as in Meng and Chen (2017) where nothing is pooled. The
    pooled one has two convolutions less than theirs, and the number of filters
    is ours.

    Args:
        input_shape: tuple `(H, W, C)` of the images.
        pooled: bool, whether the code has half the height and width of the
            images, which must then be even.
        seed: int, the seed of the initial weights.

    Returns:
        A `keras.Model` from images `(B, H, W, C)` in [0, 1] to images of the
        same shape and range.

    Raises:
        UserError: if the code is to be pooled, and the height or width is odd.
    """
    height, width, channels = input_shape
    if pooled and (height % 2 or width % 2):
        raise UserError(
            "a pooled autoencoder takes images of even height and width. "
            f"Received: input_shape={tuple(input_shape)}"
        )
    seeds = iter(range(seed, seed + 5))

    def convolve(
        x: keras.KerasTensor, filters: int, activation: str
    ) -> keras.KerasTensor:
        return keras.layers.Conv2D(
            filters,
            3,
            padding="same",
            data_format=DATA_FORMAT,
            activation=activation,
            kernel_initializer=keras.initializers.GlorotUniform(next(seeds)),
        )(x)

    inputs = keras.Input(tuple(input_shape), name="images")
    x = convolve(inputs, _WIDTH, "relu")
    if pooled:
        x = keras.layers.AveragePooling2D(2, data_format=DATA_FORMAT)(x)
    x = convolve(x, _WIDTH, "relu")
    if pooled:
        x = keras.layers.UpSampling2D(2, data_format=DATA_FORMAT)(x)
    outputs = convolve(x, channels, "sigmoid")
    name = "pooled_autoencoder" if pooled else "autoencoder"
    return keras.Model(inputs, outputs, name=name)


def fit_autoencoder(
    model: keras.Model,
    images: NDArray[np.float32],
    *,
    noise_std: float,
    epochs: int,
    batch_size: int = 256,
    seed: int = 0,
    verbose: int | str = "auto",
) -> None:
    """Trains an autoencoder to remove Gaussian noise from clean images.

    The loss is the mean squared error, the optimizer Adam with a learning rate
    of 0.001, as in Meng and Chen (2017).

    Args:
        model: an autoencoder, changed in place.
        images: float array of shape `(B, H, W, C)` in [0, 1].
        noise_std: float, the standard deviation of the noise.
        epochs: int, passes over the images.
        batch_size: int, images per step.
        seed: int, the seed of the noise and of the order, which is the same in
            each epoch.
        verbose: the verbosity of `keras.Model.fit`.
    """
    images = np.random.default_rng(seed).permutation(images)
    inputs = keras.Input(images.shape[1:])
    noisy = keras.layers.GaussianNoise(noise_std, seed=seed)(inputs)
    # The sum is clipped to [0, 1].
    noisy = keras.layers.ReLU(max_value=1.0)(noisy)
    denoiser = keras.Model(inputs, model(noisy))
    denoiser.compile(keras.optimizers.Adam(1e-3), "mse")
    denoiser.fit(
        images,
        images,
        batch_size=batch_size,
        epochs=epochs,
        shuffle=False,
        verbose=verbose,
    )
