"""BPDA: the same logits, bit by bit, and the gradient that it promises."""

import sys

import keras
import numpy as np
import pytest
from keras import layers, ops

from peernets_tf import PeerRegularization, monte_carlo, set_peers
from peernets_tf.adaptive import bpda
from peernets_tf.attacks import autodiff
from peernets_tf.layers import chunk_size, peer_scope

SHAPE = (5, 5, 3)


@pytest.fixture
def images(rng):
    return rng.uniform(0.1, 1, (4, *SHAPE)).astype("float32")


@pytest.fixture
def peers(rng):
    return rng.uniform(0.1, 1, (2, 6, *SHAPE)).astype("float32")


def functional():
    inputs = keras.Input(SHAPE)
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    x = PeerRegularization(num_neighbors=4)(x)
    x = layers.Conv2D(4, 3, activation="relu")(x)
    x = PeerRegularization(num_neighbors=3)(x)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


@keras.saving.register_keras_serializable(package="backward_test")
class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.regularize = PeerRegularization(num_neighbors=4)
        self.inner = keras.Sequential(
            [layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(3)]
        )

    def call(self, inputs):
        return self.inner(self.regularize(inputs))


def gradient(logits_fn, images):
    def value(images):
        return ops.sum(ops.square(logits_fn(images)), axis=1), images

    function = autodiff.compiled(
        lambda images: autodiff.value_and_gradient(value, images)[2]
    )
    return ops.convert_to_numpy(function(ops.convert_to_tensor(images)))


@pytest.mark.parametrize("backward", ["exact", "identity", "soft"])
@pytest.mark.parametrize("make", [functional, Subclassed])
def test_keeps_the_forward_pass(backward, make, images, peers):
    model = make()
    model(images, training=True)
    set_peers(model, peers)
    for original in (model, monte_carlo(model)):
        expected = ops.convert_to_numpy(original(images, training=False))
        copy = bpda(original, backward)
        np.testing.assert_array_equal(
            ops.convert_to_numpy(copy(images)), expected
        )
        # It shares the weights, and leaves nothing behind in the layers.
        assert {id(w) for w in copy.weights} == {id(w) for w in model.weights}
        np.testing.assert_array_equal(
            ops.convert_to_numpy(original(images, training=False)), expected
        )


def test_exact_is_the_models_own_gradient(images, peers):
    model = functional()
    set_peers(model, peers)
    own = gradient(lambda x: model(x, training=False), images)
    np.testing.assert_array_equal(gradient(bpda(model, "exact"), images), own)
    assert np.any(gradient(bpda(model, "identity"), images) != own)
    # And again after the other backward pass was used.
    np.testing.assert_array_equal(
        gradient(lambda x: model(x, training=False), images), own
    )


def one_layer(peers, temperature=0.2):
    """A model that is only the layer, and weights for its output pixels."""
    inputs = keras.Input(SHAPE)
    outputs = PeerRegularization(num_neighbors=4)(inputs)
    model = keras.Model(inputs, outputs)
    set_peers(model, peers)
    return model


def weighted_gradient(model, images, weights):
    def value(images):
        return ops.sum(model(images) * weights, axis=(1, 2, 3)), images

    return ops.convert_to_numpy(
        autodiff.compiled(
            lambda images: autodiff.value_and_gradient(value, images)[2]
        )(ops.convert_to_tensor(images))
    )


def test_identity_passes_the_gradient_on(images, peers, rng):
    weights = rng.standard_normal(SHAPE).astype("float32")
    model = bpda(one_layer(peers), "identity")
    found = weighted_gradient(model, images, weights)
    np.testing.assert_array_equal(found, np.broadcast_to(weights, images.shape))


@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_soft_is_the_gradient_of_attention_over_all(
    temperature, images, peers, rng
):
    weights = rng.standard_normal(SHAPE).astype("float32")
    model = bpda(one_layer(peers[0]), "soft", temperature)
    found = weighted_gradient(model, images, weights)

    keys = ops.convert_to_tensor(peers[0].reshape(-1, 3))

    def normalize(x):
        return x / ops.sqrt(ops.sum(ops.square(x), axis=-1, keepdims=True))

    def soft(images):
        queries = normalize(ops.reshape(images, (-1, 3)))
        cosines = ops.matmul(queries, ops.transpose(normalize(keys)))
        attention = ops.softmax(cosines / temperature, axis=-1)
        return ops.reshape(ops.matmul(attention, keys), ops.shape(images))

    expected = weighted_gradient(soft, images, weights)
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-4)


def test_an_all_zero_pixel_has_a_finite_gradient(peers):
    images = np.zeros((1, *SHAPE), "float32")
    for backward in ("identity", "soft"):
        model = bpda(one_layer(peers), backward)
        assert np.isfinite(weighted_gradient(model, images, 1.0)).all()


def largest_tensor(num_peers):
    """The elements of the largest tensor in the graph of a soft gradient.

    It has 8,192 queries, and 256 keys for each peer. Nothing is computed.
    """
    tf = pytest.importorskip("tensorflow")
    inputs = keras.Input((16, 16, 8))
    layer = PeerRegularization(num_neighbors=4)
    model = bpda(keras.Model(inputs, layer(inputs)), "soft")
    peers = {layer: ops.zeros((1, num_peers, 16, 16, 8))}

    def gradient(images):
        with peer_scope(bank=peers), tf.GradientTape() as tape:
            tape.watch(images)
            outputs = model(images)
        return tape.gradient(outputs, images)

    images = tf.TensorSpec((32, 16, 16, 8))
    graph = tf.function(gradient).get_concrete_function(images).graph
    inner = [
        graph._get_function(function.signature.name).graph
        for function in graph.as_graph_def().library.function
    ]
    # Loops are functions of their own: the search, and the gradient.
    assert sum("while_body" in function.name for function in inner) == 2
    return max(
        output.shape.num_elements() or 0
        for function in (graph, *inner)
        for operation in function.get_operations()
        for output in operation.outputs
    )


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="reads TensorFlow's graphs"
)
def test_soft_needs_no_more_memory_for_more_peers(monkeypatch):
    """Queries pass in chunks: never all of them against all keys."""
    monkeypatch.setattr(
        sys.modules[chunk_size.__module__], "has_gpu", lambda: False
    )
    forty = largest_tensor(40)
    assert forty == largest_tensor(80) <= 2**20
    # Beyond 65,536 keys a chunk keeps 16 queries: 64 bytes for each key, which
    # is less than the key itself from 16 channels on.
    many = 400 * 256
    assert largest_tensor(400) == 16 * many


@pytest.mark.parametrize("options", [{"backward": "hard"}, {"temperature": 0}])
def test_bad_arguments_are_refused(options, peers):
    with pytest.raises(ValueError, match="backward|temperature"):
        bpda(one_layer(peers), **options)
