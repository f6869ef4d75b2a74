"""What is in front of the first layers with peers is computed once."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from peernets_tf import (
    PeerRegularization,
    encode_peers,
    monte_carlo,
    set_peers,
)
from peernets_tf.adaptive import random_graphs

SHAPE = (8, 8, 3)


@pytest.fixture
def images(rng):
    return rng.random((5, *SHAPE)).astype("float32")


@pytest.fixture
def graphs(rng):
    return rng.random((3, 4, *SHAPE)).astype("float32")


class Spy(keras.layers.Layer):
    """Counts its calls with numbers."""

    calls = 0

    def call(self, inputs):
        Spy.calls += not isinstance(inputs, keras.KerasTensor)
        return inputs


@pytest.fixture(autouse=True)
def count_from_zero():
    Spy.calls = 0


@pytest.fixture
def in_float64():
    """Cosines that are equal up to float32 rounding have no fixed order."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy(policy)


def convolve(filters, **options):
    return keras.layers.Conv2D(filters, 3, padding="same", **options)


def peers():
    # The default attention may leave no gradient where all logits have a sign.
    return PeerRegularization(num_neighbors=3, attention="softplus")


def make_branches():
    """Two branches with peers, one without, and a skip from the images.

    One layer is in front in one call and behind peers in the other.
    """
    inputs = keras.Input(SHAPE)
    shared = keras.layers.BatchNormalization()
    stem = shared(convolve(4, activation="relu")(Spy()(inputs)))
    left = peers()(convolve(4)(stem))
    right = ops.tanh(peers()(stem)) + 0.5 * stem
    plain = keras.layers.ReLU()(convolve(4)(stem))
    x = shared(keras.layers.Add()([left, right, plain]))
    x = keras.layers.Concatenate()([x, inputs])
    x = peers()(convolve(4)(x))
    x = keras.layers.Add()([x, stem])
    x = keras.layers.Dense(3)(keras.layers.Flatten()(x))
    return keras.Model(inputs, x)


def make_inner():
    """A model with peers inside another one, behind a layer without."""
    inputs = keras.Input(SHAPE)
    inner = keras.Sequential(
        [keras.Input((8, 8, 4)), convolve(4), peers(), keras.layers.Flatten()]
    )
    x = inner(convolve(4)(Spy()(inputs)))
    return keras.Model(inputs, keras.layers.Dense(3)(x))


def make_sequential():
    parts = [Spy(), convolve(4), peers(), keras.layers.Flatten()]
    return keras.Sequential([keras.Input(SHAPE), *parts])


def make_without_a_front():
    inputs = keras.Input(SHAPE)
    x = Spy()(peers()(inputs))
    return keras.Model(inputs, keras.layers.Flatten()(x))


class Doubled(keras.Model):
    """A functional model that computes something else than its graph."""

    def call(self, inputs, training=None):
        return 2 * super().call(inputs, training=training)


def make_doubled():
    model = make_sequential()
    return Doubled(model.inputs[0], model.outputs[0])


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.parts = [Spy(), convolve(4), peers(), keras.layers.Flatten()]

    def call(self, inputs, training=None):
        for part in self.parts:
            inputs = part(inputs)
        return inputs


def make_subclassed():
    model = Subclassed()
    model(np.zeros((4, *SHAPE), "float32"), training=True)
    return model


# Whether the spy of each model is in front.
MODELS = {
    make_branches: True,
    make_inner: True,
    make_sequential: True,
    make_without_a_front: False,
    make_doubled: False,
    make_subclassed: False,
}


def randomize(model, rng):
    """Makes batch normalization change something in inference mode."""
    for variable in model.weights:
        if "moving" in variable.path:
            variable.assign(rng.uniform(0.5, 2, variable.shape))


def all_of_random_graphs(model, bank):
    return random_graphs(model, bank, bank.num_graphs)


def logits_and_gradient(model, images):
    x = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(x)
        logits = model(x, training=False)
        loss = tf.reduce_sum(logits[:, 0] ** 2)
    return logits, tape.gradient(loss, x)


@pytest.mark.parametrize("average_of", [monte_carlo, all_of_random_graphs])
@pytest.mark.parametrize(
    ("make", "compiled"),
    [(make, False) for make in MODELS] + [(make_branches, True)],
)
def test_mean_and_gradient_over_graphs(
    make, compiled, average_of, graphs, images, rng, in_float64
):
    model = make()
    randomize(model, rng)

    def mean_of_passes(x, training):
        logits = 0
        for graph in graphs:
            set_peers(model, graph)
            logits += model(x, training=training) / len(graphs)
        return logits

    expected, expected_gradient = logits_and_gradient(mean_of_passes, images)
    average = average_of(model, encode_peers(model, graphs))
    if compiled:
        average = tf.function(average)
    logits, gradient = logits_and_gradient(average, images)
    assert logits.dtype == tf.float64
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    largest = np.abs(expected_gradient).max()
    assert largest > 0
    np.testing.assert_allclose(gradient, expected_gradient, atol=1e-4 * largest)


@pytest.mark.parametrize("average_of", [monte_carlo, all_of_random_graphs])
@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_the_front_is_computed_once(make, average_of, graphs, images):
    model = make()
    average = average_of(model, encode_peers(model, graphs))
    Spy.calls = 0
    average(images)
    assert Spy.calls == 1 if MODELS[make] else Spy.calls >= len(graphs)


def test_the_model_does_not_change(graphs, images):
    """A layer that was called once more would have no single output."""
    model = make_inner()
    set_peers(model, graphs)
    outputs = [layer.output for layer in model.layers]
    average = monte_carlo(model)
    names = [weight.path for weight in average.weights]
    average(images)
    assert [layer.output for layer in model.layers] == outputs
    assert [weight.path for weight in average.weights] == names


def test_the_mode_is_inference_whatever_runs_around_it(graphs, images, rng):
    model = make_branches()
    randomize(model, rng)
    set_peers(model, graphs)
    average = monte_carlo(model)
    expected = average(images)
    average.trainable = False
    outer = keras.Sequential([keras.Input(SHAPE), average])
    np.testing.assert_allclose(
        outer(images, training=True), expected, atol=1e-6
    )


def test_wrong_images_are_refused_as_by_the_model(graphs):
    model = make_branches()
    set_peers(model, graphs)
    with pytest.raises(ValueError, match="incompatible"):
        monte_carlo(model)(np.zeros((2, 9, 9, 3), "float32"))
