"""Peers that pass through a model in chunks are those of one batch."""

import keras
import numpy as np
import pytest
from keras import ops

from peernets_tf import PeerRegularization, encode_peers, peers
from peernets_tf.layers import BATCH, peer_scope
from peernets_tf.peers import encoding

SHAPE = (8, 8, 3)


def make_model(exclude_self=False):
    inputs = keras.Input(SHAPE)
    x = keras.layers.Conv2D(6, 3, padding="same")(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = PeerRegularization(num_neighbors=5, exclude_self=exclude_self)(x)
    x = keras.layers.Conv2D(4, 3, strides=2, activation="relu")(x)
    x = PeerRegularization(num_neighbors=3)(x)
    x = keras.layers.Conv2D(4, 2)(x)
    x = PeerRegularization(num_neighbors=2)(x)
    return keras.Model(inputs, keras.layers.Flatten()(x))


def reached_in_one_batch(model, images):
    """What reaches the layers when all images go through as one batch."""
    reached = {}
    with peer_scope(
        graph=BATCH,
        recorder=lambda call: reached.update({call.layer: call.inputs}),
    ):
        model(images, training=False)
    return [reached[layer] for layer in peers.peer_layers(model)]


@pytest.fixture
def images(rng):
    return rng.random((2, 7, *SHAPE)).astype("float32")


@pytest.mark.parametrize("exclude_self", [False, True])
@pytest.mark.parametrize("images_in_chunk", [1, 3, 7])
def test_chunked_equals_unchunked(
    images, exclude_self, images_in_chunk, monkeypatch
):
    model = make_model(exclude_self)
    monkeypatch.setattr(encoding, "_CHUNK_PIXELS", 64 * images_in_chunk)
    bank = encode_peers(model, images)
    for graph, peers_of_graph in enumerate(images):
        expected = reached_in_one_batch(model, peers_of_graph)
        for features, inputs in zip(bank.features, expected, strict=True):
            if images_in_chunk == 7:
                np.testing.assert_array_equal(features[graph], inputs)
            np.testing.assert_allclose(features[graph], inputs, atol=1e-5)


def test_no_pass_holds_more_than_a_chunk(images, monkeypatch):
    """And what lies in front of all layers takes part in one pass only."""
    sizes = {"front": [], "between": []}

    class Spy(keras.layers.Layer):
        def call(self, inputs):
            sizes[self.name].append(inputs.shape[0])
            return inputs

    inputs = keras.Input(SHAPE)
    x = PeerRegularization(num_neighbors=2)(Spy(name="front")(inputs))
    x = PeerRegularization(num_neighbors=2)(Spy(name="between")(x))
    model = keras.Model(inputs, x)
    for seen in sizes.values():
        seen.clear()
    monkeypatch.setattr(encoding, "_CHUNK_PIXELS", 64 * 3)
    encode_peers(model, images[0])
    # First, one image passes through the whole model.
    assert sizes == {"front": [1, 3, 3, 1], "between": [1, *2 * [3, 3, 1]]}


def test_layers_in_another_order_than_they_are_called(images, monkeypatch):
    class Reversed(keras.Model):
        def __init__(self):
            super().__init__()
            self.second = PeerRegularization(num_neighbors=2)
            self.first = PeerRegularization(num_neighbors=3)

        def call(self, inputs, training=None):
            x = self.first(inputs, training=training)
            return self.second(x[:, ::2] * 2.0, training=training)

    model = Reversed()
    model(images[0], training=True)
    monkeypatch.setattr(encoding, "_CHUNK_PIXELS", 64 * 3)
    second, first = encode_peers(model, images[0]).features
    expected = reached_in_one_batch(model, images[0])
    np.testing.assert_allclose(second[0], expected[0], atol=1e-5)
    np.testing.assert_allclose(first[0], expected[1], atol=1e-5)


def test_a_bar_only_where_a_person_waits(images, monkeypatch, capsys):
    model = make_model()
    monkeypatch.setattr(encoding, "_CHUNK_PIXELS", 64 * 3)
    encode_peers(model, images)
    assert capsys.readouterr().out == ""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    encode_peers(model, images)
    assert "30/30" in capsys.readouterr().out
    monkeypatch.setattr(encoding, "_CHUNK_PIXELS", 64 * 7)
    encode_peers(model, images)
    assert capsys.readouterr().out == ""


def test_channels_first_layers_get_the_same_peers(rng):
    images = rng.random((6, 5, 5, 3), dtype="float32")

    def features(data_format):
        inputs = keras.Input((5, 5, 3))
        x = inputs
        if data_format == "channels_first":
            x = keras.layers.Permute((3, 1, 2))(x)
        x = PeerRegularization(3, data_format=data_format)(x)
        x = PeerRegularization(3, data_format=data_format)(x)
        model = keras.Model(inputs, x)
        for layer in model.layers:
            if isinstance(layer, PeerRegularization):
                for weight in layer.trainable_weights:
                    weight.assign(ops.ones(weight.shape))
        return encode_peers(model, images).features

    for first, last in zip(
        features("channels_first"), features("channels_last"), strict=True
    ):
        np.testing.assert_allclose(first, last, atol=1e-6)
