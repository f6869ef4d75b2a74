"""A model of 3 classes with many local maxima, and its gradients in NumPy."""

import numpy as np
from keras import ops

SHAPE = (4, 3, 2)
WEIGHTS = np.random.default_rng(0).standard_normal((24, 3))
_FREQUENCY = 5.0


def waves(images):
    """The logits `(B, 3)`, as Keras computes them."""
    flat = ops.reshape(images, (-1, 24))
    weights = WEIGHTS.astype("float32")
    return ops.matmul(ops.sin(_FREQUENCY * flat), weights)


def logits_of(image):
    """The logits of one image `(24,)`, in float64."""
    return np.sin(_FREQUENCY * image) @ WEIGHTS


def gradient_of(image, weights):
    """The gradient of the weighted sum of the logits of one image `(24,)`."""
    return (WEIGHTS @ weights) * _FREQUENCY * np.cos(_FREQUENCY * image)
