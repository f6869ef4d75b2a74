"""Peer Regularization in models that Keras users have already."""

import keras
import numpy as np
import pytest

from peernets_tf import (
    PeerRegularization,
    insert_peer_regularization,
    load_pretrained,
    set_peers,
)
from peernets_tf.errors import UserError
from peernets_tf.peers import peer_layers


def make_model(**options):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="conv", **options)(inputs)
    x = keras.layers.BatchNormalization(name="norm")(x)
    skip = x
    x = keras.layers.Conv2D(4, 3, padding="same", name="conv2")(x)
    x = keras.layers.Add(name="add")([x, skip])
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, keras.layers.Dense(3, name="logits")(x))


def peers_of(rng, shape=(8, 8, 3), count=4):
    return rng.random((count, *shape)).astype("float32")


def test_the_layer_stands_behind_the_named_one(rng):
    """The skip connection takes what the new layer returns, too."""
    model = make_model()
    new = insert_peer_regularization(model, "norm", num_neighbors=3)
    (layer,) = peer_layers(new)
    assert (layer.name, layer.num_neighbors) == ("norm_peers", 3)
    images = peers_of(rng)
    set_peers(new, images)
    x = images
    for name in ("conv", "norm"):
        x = model.get_layer(name)(x, training=False)
    x = layer(x, training=False)
    x = model.get_layer("conv2")(x) + x
    expected = model.get_layer("logits")(keras.ops.mean(x, axis=(1, 2)))
    np.testing.assert_allclose(
        new.predict(images, verbose=0), expected, atol=1e-5
    )


def test_training_the_copy_leaves_the_original(rng):
    model = make_model(trainable=False)
    before = model.get_weights()
    new = insert_peer_regularization(model, ["norm", "add"], num_neighbors=3)
    assert not new.get_layer("conv").trainable
    for old, weight in zip(
        before,
        [w for w in new.weights if "peers" not in w.path],
        strict=True,
    ):
        np.testing.assert_array_equal(old, weight)
    new.compile("sgd", "mse")
    new.fit(peers_of(rng), np.ones((4, 3)), verbose=0)
    for old, weight in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, weight)
    assert np.abs(new.get_weights()[-1]).max() > 0


def test_the_copy_is_not_compiled():
    """A loss that Keras cannot serialize is no hindrance."""
    model = make_model()
    model.compile(loss=lambda labels, logits: logits[:, 0])
    assert not insert_peer_regularization(model, "norm").compiled
    assert model.compiled


@pytest.mark.parametrize("after", ["conv", "relu"])
def test_the_layer_takes_the_axes_of_the_others(after):
    """A ReLU itself reads no order of axes."""
    images = keras.Input((8, 8, 8))
    x = keras.layers.Conv2D(4, 3, data_format="channels_first", name="conv")(
        images
    )
    x = keras.layers.ReLU(name="relu")(x)
    model = keras.Model(images, x)
    (layer,) = peer_layers(insert_peer_regularization(model, after))
    assert layer.data_format == "channels_first"
    other = keras.layers.Conv2D(4, 3, data_format="channels_last")
    mixed = keras.Model(images, other(x))
    with pytest.raises(UserError, match="give data_format="):
        insert_peer_regularization(mixed, "relu")


def test_the_copy_normalises_its_images(rng):
    images = peers_of(rng, count=8)
    normalization = keras.layers.Normalization(name="images")
    normalization.adapt(7 * images + 3)
    conv = keras.layers.Conv2D(4, 3, padding="same", name="conv")
    model = keras.Sequential([keras.Input((8, 8, 3)), normalization, conv])
    new = insert_peer_regularization(model, "conv", num_neighbors=3)
    (before,) = (x.input for x in new.layers if x.name == "conv_peers")
    np.testing.assert_allclose(
        keras.Model(new.inputs, before).predict(images, verbose=0),
        model.predict(images, verbose=0),
        atol=1e-5,
    )


def test_new_layers_draw_other_numbers():
    new = insert_peer_regularization(make_model(), ["norm", "add"], seed=7)
    names = ("norm_peers", "add_peers")
    assert [new.get_layer(name).seed for name in names] == [7, 8]


def test_sequential_and_stored_peers(rng):
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3, name="conv"),
            PeerRegularization(num_neighbors=2, name="first"),
            keras.layers.Conv2D(4, 3, name="conv2"),
            keras.layers.Flatten(),
        ]
    )
    set_peers(model, peers_of(rng))
    new = insert_peer_regularization(model, "conv2", num_neighbors=2)
    assert [layer.name for layer in peer_layers(new)] == [
        "first",
        "conv2_peers",
    ]
    assert all(layer.peers is None for layer in peer_layers(new))
    set_peers(new, peers_of(rng))
    assert new.predict(peers_of(rng), verbose=0).shape == (4, 64)


@pytest.mark.slow
@pytest.mark.parametrize(
    "application, after",
    [
        ("MobileNetV2", ["block_6_expand_relu", "block_13_expand_relu"]),
        ("ResNet50", "conv4_block6_out"),
    ],
)
def test_keras_applications(application, after, rng, tmp_path):
    base = getattr(keras.applications, application)(
        weights=None, input_shape=(64, 64, 3), classes=4
    )
    model = insert_peer_regularization(base, after)
    images = peers_of(rng, (64, 64, 3), 5)
    labels = np.arange(5) % 4
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=False)
    model.fit(images, labels, batch_size=5, verbose=0)
    set_peers(model, images)
    probabilities = model.predict(images, verbose=0)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-4)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        loaded.predict(images, verbose=0), probabilities, atol=1e-5
    )


def test_a_preset_takes_the_layer():
    model = insert_peer_regularization(
        load_pretrained("mnist_lenet5"), after="conv1"
    )
    assert len(peer_layers(model)) == 1


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


def shared_layer():
    inputs = keras.Input((8, 8, 3))
    layer = keras.layers.Conv2D(3, 3, padding="same", name="conv")
    return keras.Model(inputs, layer(layer(inputs)))


def nested():
    inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, make_model()(inputs), name="outer")


@pytest.mark.parametrize(
    "make, after, message",
    [
        (make_model, "cnov2", "did you mean 'conv2'"),
        (make_model, "zzz", r"model.summary\(\)"),
        (make_model, "logits", r"output has shape \(None, 3\)"),
        (make_model, [], "one or more layers"),
        (make_model, ["conv", "conv"], "each once"),
        (Subclassed, "conv", "Received: Subclassed"),
        (keras.Sequential, "conv", "not built"),
        (shared_layer, "conv", "several places"),
        (nested, "conv2", "inside the layer"),
    ],
)
def test_refuses(make, after, message):
    with pytest.raises(ValueError, match=message):
        insert_peer_regularization(make(), after)


def test_refuses_inputs_names_and_a_second_time():
    model = make_model()
    with pytest.raises(ValueError, match="an input of the model"):
        insert_peer_regularization(model, model.layers[0].name)
    with pytest.raises(ValueError, match="leave it out"):
        insert_peer_regularization(model, "conv", name="mine")
    new = insert_peer_regularization(model, "conv")
    with pytest.raises(ValueError, match="'conv_peers' follows"):
        insert_peer_regularization(new, "conv")
    with pytest.raises(ValueError, match="num_neighbors=0"):
        insert_peer_regularization(model, "conv", num_neighbors=0)
