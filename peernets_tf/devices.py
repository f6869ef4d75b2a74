"""Which devices Keras runs on."""

import functools

from peernets_tf.lazy import keras


@functools.cache
def has_gpu() -> bool:
    """Whether Keras finds a GPU."""
    # On JAX, list_devices("gpu") fails where there is none. Its GPUs may be
    # called cuda.
    names = keras.distribution.list_devices()
    return any("gpu" in name or "cuda" in name for name in names)
