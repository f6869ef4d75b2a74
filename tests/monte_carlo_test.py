"""The mean over graphs: logits, gradients, saving, and which peers it uses."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from bank_test import Subclassed, make_model

from peernets_tf import encode_peers, monte_carlo, set_peers
from peernets_tf.adaptive import bpda, random_graphs
from peernets_tf.errors import UserError
from peernets_tf.peers import peer_layers


@pytest.fixture
def images(rng):
    return rng.random((6, 8, 8, 3)).astype("float32")


@pytest.fixture
def graphs(rng):
    return rng.random((3, 4, 8, 8, 3)).astype("float32")


@pytest.mark.parametrize("jit_compile", [None, False, True])
def test_monte_carlo_is_the_mean_over_graphs(graphs, images, jit_compile):
    model = make_model()
    expected = 0
    for graph in graphs:
        set_peers(model, graph)
        expected += model(images, training=False) / len(graphs)
    set_peers(model, graphs)
    average = monte_carlo(model)
    if jit_compile is not None:
        average = tf.function(average, jit_compile=jit_compile)
    np.testing.assert_allclose(average(images), expected, atol=1e-5)
    np.testing.assert_allclose(
        monte_carlo(model).predict(images, batch_size=4, verbose=0),
        expected,
        atol=1e-5,
    )


def test_several_outputs_are_averaged_apart(graphs, images):
    model = make_model()
    set_peers(model, graphs)
    expected = monte_carlo(model)(images)
    double = keras.Model(
        model.input, {"one": model.output, "other": 1 - model.output}
    )
    found = monte_carlo(double)(images)
    np.testing.assert_allclose(found["one"], expected, atol=1e-5)
    np.testing.assert_allclose(found["other"], 1 - expected, atol=1e-5)


def test_a_list_of_one_output_is_averaged_as_the_output(graphs, images):
    """As `keras.Model(base.inputs, base.outputs)` has it."""
    model = make_model()
    set_peers(model, graphs)
    listed = keras.Model(model.inputs, model.outputs)
    np.testing.assert_array_equal(
        monte_carlo(listed)(images), monte_carlo(model)(images)
    )


def test_monte_carlo_has_the_mean_gradient(graphs, images):
    model = make_model()
    set_peers(model, graphs)

    @tf.function
    def gradient(network, x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(network(x, training=False)[:, 0])
        return tape.gradient(loss, x)

    x = tf.constant(images)
    expected = 0
    for graph in graphs:
        single = make_model()
        set_peers(single, graph)
        expected += gradient(single, x) / len(graphs)
    largest = np.abs(expected).max()
    assert largest > 0
    np.testing.assert_allclose(
        gradient(monte_carlo(model), x), expected, atol=1e-4 * largest
    )


def test_monte_carlo_follows_set_peers(graphs, images):
    model = make_model()
    set_peers(model, graphs)
    average = monte_carlo(model)
    first = average.predict(images, verbose=0)
    for peers in (graphs[:2], graphs[0], graphs):
        set_peers(model, peers)
        last = average.predict(images, verbose=0)
        np.testing.assert_allclose(last, monte_carlo(model)(images), atol=1e-5)
    np.testing.assert_allclose(last, first, atol=1e-5)


def test_set_peers_through_monte_carlo(graphs, images):
    model = make_model()
    set_peers(model, graphs)
    average = monte_carlo(model)
    expected = average(images)
    with_bank = monte_carlo(model, encode_peers(model, graphs))
    with pytest.raises(ValueError, match="uses its own bank"):
        set_peers(with_bank, graphs)
    with pytest.raises(ValueError, match="uses its own bank"):
        set_peers(random_graphs(model, with_bank.bank), graphs)
    set_peers(average, graphs[:1])
    np.testing.assert_allclose(average(images), model(images), atol=1e-6)
    set_peers(average, graphs)
    np.testing.assert_allclose(average(images), expected, atol=1e-6)


def test_monte_carlo_of_a_model_without_peers(images):
    plain = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()])
    np.testing.assert_allclose(monte_carlo(plain)(images), plain(images))


def test_a_bank_replaces_the_stored_peers(graphs, images):
    """One model with several banks, none of which is stored in it."""
    model = make_model()
    set_peers(model, graphs[0])
    stored = model(images, training=False)
    bank = encode_peers(model, graphs[1:])
    with_bank = monte_carlo(model, bank)
    expected = 0
    for graph in graphs[1:]:
        single = make_model()
        set_peers(single, graph)
        expected += single(images, training=False) / 2
    np.testing.assert_allclose(with_bank(images), expected, atol=1e-5)
    np.testing.assert_allclose(
        with_bank.predict(images, verbose=0), expected, atol=1e-5
    )
    np.testing.assert_array_equal(model(images, training=False), stored)
    np.testing.assert_allclose(
        monte_carlo(model, bank.first(1))(images),
        monte_carlo(model, encode_peers(model, graphs[1]))(images),
        atol=1e-6,
    )
    # Neither later weights nor later peers change which features a bank holds.
    before = [np.array(f) for f in bank.features]
    set_peers(model, graphs)
    for layer in peer_layers(model):
        layer.bias.assign(3.0)
    for features, old in zip(bank.features, before, strict=True):
        np.testing.assert_array_equal(features, old)


def test_a_model_around_it_names_the_graphs(graphs, images):
    """As an evaluation with graphs of its own, of a model that averages."""
    model = make_model()
    set_peers(model, graphs[0])
    average = monte_carlo(model)
    np.testing.assert_allclose(
        monte_carlo(average, encode_peers(average, graphs[1:]))(images),
        monte_carlo(model, encode_peers(model, graphs[1:]))(images),
        atol=1e-6,
    )


def test_does_not_round_the_images_of_a_float32_model(graphs, images):
    model = make_model()
    set_peers(model, graphs[:1])
    expected = model(images)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        averages = [monte_carlo(model), bpda(model, "identity")]
    finally:
        keras.config.set_dtype_policy("float32")
    for average in averages:
        np.testing.assert_allclose(average(images), expected, atol=1e-5)


def test_a_model_with_a_bank_is_not_saved(graphs, tmp_path):
    model = make_model()
    with_bank = monte_carlo(model, encode_peers(model, graphs))
    with pytest.raises(ValueError, match="set_peers"):
        with_bank.save(tmp_path / "model.keras")


def test_a_bank_of_another_model_is_refused(graphs):
    inputs = keras.Input((8, 8, 3))
    one_layer = keras.Model(
        inputs, peer_layers(make_model())[0].__class__()(inputs)
    )
    bank = encode_peers(one_layer, graphs)
    with pytest.raises(ValueError, match="2 PeerRegularization layers"):
        monte_carlo(make_model(), bank)


def test_a_bank_with_other_channels_is_refused(graphs):
    bank = encode_peers(make_model(), graphs)
    turned = dataclasses.replace(bank, features=bank.features[::-1])
    with pytest.raises(ValueError, match="6 channels at layer"):
        monte_carlo(make_model(), turned)


@pytest.mark.parametrize("kind", ["sequential", "functional"])
def test_a_model_around_it_is_saved_and_loaded(graphs, images, tmp_path, kind):
    model = make_model()
    inputs = keras.Input((8, 8, 3))
    parts = [monte_carlo(model), keras.layers.Softmax()]
    if kind == "sequential":
        outer = keras.Sequential([inputs, *parts])
    else:
        outer = keras.Model(inputs, parts[1](parts[0](inputs)))
    set_peers(model, graphs)
    expected = outer.predict(images, verbose=0)
    outer.save(tmp_path / "outer.keras")
    loaded = keras.saving.load_model(tmp_path / "outer.keras")
    np.testing.assert_allclose(
        loaded.predict(images, verbose=0), expected, atol=1e-6
    )


@pytest.mark.parametrize("with_bank", [False, True])
def test_exports_to_a_saved_model(graphs, images, tmp_path, with_bank):
    model = make_model()
    bank = encode_peers(model, graphs) if with_bank else None
    set_peers(model, graphs)
    average = monte_carlo(model, bank)
    average.export(tmp_path / "saved", verbose=False)
    restored = tf.saved_model.load(str(tmp_path / "saved"))
    np.testing.assert_allclose(
        restored.serve(images), average(images), atol=1e-5
    )


def test_exports_a_subclassed_model_with_a_signature(graphs, images, tmp_path):
    model = Subclassed()
    model(images, training=True)
    set_peers(model, graphs)
    average = monte_carlo(model)
    with pytest.raises(UserError, match="input_signature="):
        average.export(tmp_path / "saved", verbose=False)
    signature = [keras.InputSpec(shape=(None, 8, 8, 3), dtype="float32")]
    average.export(tmp_path / "saved", verbose=False, input_signature=signature)
    restored = tf.saved_model.load(str(tmp_path / "saved"))
    np.testing.assert_allclose(
        restored.serve(images), average(images), atol=1e-5
    )


def test_refuses_training(graphs, images):
    model = make_model()
    set_peers(model, graphs)
    average = monte_carlo(model)
    outer = keras.Sequential([keras.Input((8, 8, 3)), average])
    for network in (average, outer):
        network.compile("sgd", "mse")
        with pytest.raises(UserError, match="inference mode: train `model`"):
            network.fit(images, np.zeros((6, 3)), verbose=0)
    # A head on top of it may be trained.
    average.trainable = False
    outer.add(keras.layers.Dense(2))
    outer.compile("sgd", "mse")
    outer.fit(images, np.zeros((6, 2)), verbose=0)
