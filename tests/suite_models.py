"""Small models for suites: a linear one, and the same with planted faults."""

import keras
import numpy as np
from keras import ops

from peernets_tf.attacks import draws

SHAPE = (8, 8, 1)
NUM_CLASSES = 4
_WEIGHTS = np.random.default_rng(5).standard_normal((64, NUM_CLASSES))


def make_images(count=24):
    """Images near 0.5, at many distances from the boundaries, and labels."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % NUM_CLASSES
    direction = np.sign(_WEIGHTS.T)[labels]
    strength = np.linspace(0.01, 0.12, count)[:, None]
    noise = 0.01 * rng.standard_normal((count, 64))
    images = 0.5 + strength * direction + noise
    return images.reshape(-1, *SHAPE).astype("float32"), labels


def make_linear():
    """A model whose logits are weighted sums of the image's values."""
    inputs = keras.Input(SHAPE)
    dense = keras.layers.Dense(NUM_CLASSES, use_bias=False)
    outputs = dense(keras.layers.Flatten()(inputs) - 0.5)
    model = keras.Model(inputs, outputs, name="linear")
    dense.set_weights([_WEIGHTS])
    return model


def robust(images, labels, epsilon, norm, first=0):
    """Whether no image of the ball has another class, for the linear model.

    The balls hold no value outside [0, 1]. The values before `first`, of 64,
    stay as they are.
    """
    logits = (images.reshape(-1, 64) - 0.5) @ _WEIGHTS
    order = 1 if norm == "linf" else 2
    own = np.eye(NUM_CLASSES, dtype=bool)[labels]
    gap = logits[own][:, None] - logits
    differences = _WEIGHTS[:, labels].T[:, :, None] - _WEIGHTS[None]
    differences = differences[:, first:]
    reach = epsilon * np.linalg.norm(differences, order, axis=1)
    return np.all((gap > reach) | own, axis=1)


class StopGradient(keras.layers.Layer):
    def call(self, inputs):
        return ops.stop_gradient(inputs)


class RandomNoise(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.seed = keras.random.SeedGenerator(0)

    def call(self, inputs):
        shape = ops.shape(inputs)
        return inputs + keras.random.normal(shape, stddev=0.5, seed=self.seed)


class KeyedNoise(keras.layers.Layer):
    """The same noise, by the key of each call, which JAX can compile."""

    def call(self, inputs):
        numbers = draws.uniform(draws.current_key(), inputs.shape[-1])
        return inputs + 0.5 * 12**0.5 * (numbers - 0.5)


def plant(fault):
    """The linear model with a fault that its evaluation must show."""
    model = make_linear()
    inputs = keras.Input(SHAPE)
    outputs = {
        "stop_gradient": lambda: model(StopGradient()(inputs)),
        "softmax": lambda: keras.layers.Softmax()(model(inputs)),
        "scaled": lambda: 1e4 * model(inputs),
        "random": lambda: RandomNoise()(model(inputs)),
        "keyed": lambda: KeyedNoise()(model(inputs)),
    }[fault]()
    return keras.Model(inputs, outputs, name=fault)
