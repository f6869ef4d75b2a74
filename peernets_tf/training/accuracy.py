"""Counts the images that a trained model classifies correctly."""

import keras
import numpy as np
from numpy.typing import NDArray

from peernets_tf import datasets
from peernets_tf.errors import TrainingError
from peernets_tf.progress import keras_verbosity
from peernets_tf.training.distribution import shared_batch_size


def count_correct(
    model: keras.Model,
    split: datasets.Split,
    batch_size: int = 100,
    verbose: int | str = "auto",
    num_devices: int = 1,
) -> int:
    """Returns how many images of a split a model classifies correctly.

    Raises:
        TrainingError: if a logit is not finite.
    """
    classes = predict_classes(
        model, split.images, batch_size, verbose, num_devices
    )
    return int(np.sum(classes == split.labels))


def predict_classes(
    model: keras.Model,
    images: NDArray[np.floating],
    batch_size: int = 100,
    verbose: int | str = "auto",
    num_devices: int = 1,
) -> NDArray[np.int_]:
    """Returns the class that a model gives each image.

    Args:
        model: a Keras model from images to logits.
        images: float array of shape `(N, H, W, C)` in [0, 1].
        batch_size: int, the most images per batch.
        verbose: the verbosity of `keras.Model.predict`; `"auto"`: a progress
            bar in a terminal, otherwise nothing.
        num_devices: int, the devices that share each batch.

    Raises:
        TrainingError: if a logit is not finite.
    """
    num_images = len(images)
    if num_images % num_devices:
        # JAX shares only what can be shared equally.
        padding = images[:1].repeat(-num_images % num_devices, axis=0)
        images = np.concatenate([images, padding])
    logits = model.predict(
        images,
        batch_size=shared_batch_size(batch_size, num_devices),
        verbose=keras_verbosity(verbose, 0),
    )[:num_images]
    if not np.isfinite(logits).all():
        raise TrainingError(
            f"the logits of {model.name} must be finite. Received: NaN or "
            "infinity, as after a training that diverged; give another model, "
            "or train again with a smaller learning rate"
        )
    return np.argmax(logits, axis=-1)
