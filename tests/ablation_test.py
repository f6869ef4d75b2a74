"""Ablations, computed again by hand from what reaches the layers."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from peernets_tf import (
    PeerRegularization,
    encode_peers,
    monte_carlo,
    set_peers,
)
from peernets_tf.adaptive import ABLATIONS, Ablation, ablated, bpda
from peernets_tf.attacks import Classifier
from peernets_tf.errors import UserError
from peernets_tf.layers import peer_scope
from peernets_tf.peers import peer_layers


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4, 4, 2))
    x = layers.Conv2D(3, 2)(inputs)
    x = PeerRegularization(num_neighbors=3)(x)
    x = layers.Conv2D(3, 2)(x)
    x = PeerRegularization(num_neighbors=2, attention="softplus")(x)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((5, 4, 4, 2)).astype("float32")


@pytest.fixture(scope="module", autouse=True)
def peers(model):
    graph = np.random.default_rng(1).random((4, 4, 4, 2)).astype("float32")
    set_peers(model, graph)
    return graph


def calls_of(model, images, ablation):
    calls = []
    with ablated(model, ablation), peer_scope(recorder=calls.append):
        logits = model(images, training=False)
    return calls, ops.convert_to_numpy(logits)


def mean_of(call, weights):
    """The weighted mean of a call's neighbours."""
    keys = ops.convert_to_numpy(call.keys)
    values = keys[ops.convert_to_numpy(call.neighbors)]
    return np.einsum("qk,qkc->qc", weights, values).reshape(call.inputs.shape)


def logits_of(call, layer, neighbors):
    """a(x_p, x_q) for the neighbours of each pixel."""
    queries = ops.convert_to_numpy(call.inputs).reshape(-1, 3)
    keys = ops.convert_to_numpy(call.keys)
    query, key, bias = layer.get_weights()
    return (queries @ query)[:, None] + (keys @ key)[neighbors] + bias


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_nothing_changes_without_an_ablation(model, images):
    expected = model(images, training=False)
    assert not Ablation()
    _, logits = calls_of(model, images, Ablation())
    np.testing.assert_array_equal(logits, expected)
    for layer in peer_layers(model)[:1]:
        # The layer's own K and order of operations.
        for ablation in (
            Ablation(num_neighbors=3),
            Ablation(name="attention_gat"),
        ):
            calls, _ = calls_of(model, images, ablation)
            own = layer(calls[0].inputs, training=False)
            np.testing.assert_allclose(calls[0].outputs, own, atol=1e-6)
    # And it ends with its scope.
    calls_of(model, images, Ablation(name="no_layers"))
    np.testing.assert_array_equal(model(images, training=False), expected)


def test_uniform_attention(model, images):
    for call in calls_of(model, images, Ablation(name="uniform_attention"))[0]:
        count = call.layer.num_neighbors
        expected = mean_of(call, np.full(call.neighbors.shape, 1 / count))
        np.testing.assert_allclose(call.outputs, expected, atol=1e-6)
        np.testing.assert_allclose(call.weights, 1 / count, atol=1e-6)


@pytest.mark.parametrize("attention", ["gat", "softplus", "literal"])
def test_each_order_of_operations(attention, model, images):
    activate = {
        "gat": lambda x: np.where(x > 0, x, 0.2 * x),
        "softplus": lambda x: np.log1p(np.exp(x)),
        "literal": lambda x: x,
    }[attention]
    calls, _ = calls_of(model, images, Ablation(name=f"attention_{attention}"))
    for call in calls:
        neighbors = ops.convert_to_numpy(call.neighbors)
        logits = logits_of(call, call.layer, neighbors)
        expected = mean_of(call, softmax(activate(logits)))
        np.testing.assert_allclose(call.outputs, expected, atol=1e-5)


@pytest.mark.parametrize("count", [2, 5])
def test_another_number_of_neighbors(count, model, images):
    calls, _ = calls_of(model, images, Ablation(num_neighbors=count))
    for call in calls:
        pixels = ops.convert_to_numpy(call.inputs).reshape(-1, 3)
        keys = ops.convert_to_numpy(call.keys)
        lengths = np.linalg.norm(pixels, axis=1)[:, None] * np.linalg.norm(
            keys, axis=1
        )
        nearest = np.argsort(-(pixels @ keys.T) / lengths, axis=1)[:, :count]
        np.testing.assert_array_equal(call.neighbors, nearest)
        weights = ops.convert_to_numpy(call.weights)
        np.testing.assert_allclose(
            call.outputs, mean_of(call, weights), atol=1e-6
        )


def test_random_neighbors_are_the_same_at_one_place_of_all_images(
    model, images
):
    first, second = (
        calls_of(model, images, Ablation(name="random_neighbors", seed=seed))
        for seed in (1, 2)
    )
    for call, other in zip(first[0], second[0], strict=True):
        rows = ops.convert_to_numpy(call.neighbors).reshape(len(images), -1)
        assert np.all(rows == rows[0])
        assert len(set(rows[0].tolist())) > 3
        assert 0 <= rows.min() < rows.max() < len(call.keys)
        assert np.any(
            rows != ops.convert_to_numpy(other.neighbors).reshape(rows.shape)
        )
        weights = ops.convert_to_numpy(call.weights)
        np.testing.assert_allclose(
            call.outputs, mean_of(call, weights), atol=1e-6
        )
    # So an image's logits do not depend on its batch mates.
    _, alone = calls_of(
        model, images[2:3], Ablation(name="random_neighbors", seed=1)
    )
    np.testing.assert_allclose(alone, first[1][2:3], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("first_layer_only", [True, False]),
        ("second_layer_only", [False, True]),
        ("no_layers", [False, False]),
    ],
)
def test_a_layer_that_is_switched_off_returns_its_inputs(
    name, kept, model, images
):
    calls, logits = calls_of(model, images, Ablation(name=name))
    x = ops.convert_to_tensor(images)
    for layer in model.layers[1:]:
        if isinstance(layer, PeerRegularization) and not kept.pop(0):
            continue
        x = layer(x, training=False)
    assert kept == []
    np.testing.assert_allclose(logits, x, atol=1e-6)


@pytest.mark.parametrize("backward", ["exact", "identity", "soft"])
def test_without_layers_every_backward_pass_is_the_networks(
    backward, model, images
):
    labels = np.array([0, 1, 2, 0, 1])

    def plain(images):
        x = images
        for layer in model.layers[1:]:
            if not isinstance(layer, PeerRegularization):
                x = layer(x)
        return x

    expected, _ = Classifier(plain).loss_gradient(images, labels, "margin")
    with ablated(model, Ablation(name="no_layers")):
        attacked = Classifier(bpda(monte_carlo(model), backward))
        found, _ = attacked.loss_gradient(images, labels, "margin")
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_bpda_keeps_the_logits_of_an_ablation(model, images):
    ablation = Ablation(name="uniform_attention", num_neighbors=4)
    _, expected = calls_of(model, images, ablation)
    with ablated(model, ablation):
        found = Classifier(bpda(model, "identity")).logits(images)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_peers_are_encoded_with_the_ablation(model, peers):
    """With the first layer off, the second one's peers never passed it."""
    with ablated(model, Ablation(name="second_layer_only")):
        bank = encode_peers(model, peers)
    first, second = peer_layers(model)
    x = model.layers[3](model.layers[1](peers))
    np.testing.assert_allclose(bank.features[1][0], x, atol=1e-6)
    assert np.abs(bank.features[1][0] - second.peers[0]).max() > 1e-3
    np.testing.assert_allclose(bank.features[0][0], first.peers[0], atol=1e-6)


def test_bad_ablations_are_refused(model, images):
    for options, message in (
        ({"name": "all"}, "`name` must be one of"),
        ({"num_neighbors": 0}, "at least 1"),
        ({"name": "no_layers", "num_neighbors": 3}, "no_layers leaves"),
    ):
        with pytest.raises(UserError, match=message):
            Ablation(**options)
    with pytest.raises(UserError, match="at most 36, the peer pixels"):
        calls_of(model, images, Ablation(num_neighbors=37))
    inputs = keras.Input((4, 4, 2))
    single = keras.Model(inputs, PeerRegularization()(inputs))
    with pytest.raises(UserError, match="2 PeerRegularization layers"):
        ablated(single, Ablation(name="second_layer_only"))
    assert len(set(ABLATIONS)) == len(ABLATIONS) == 8


def test_fewer_neighbors_are_never_the_pixel_itself(images):
    """While peers are encoded, each pixel is among its own candidates."""

    def build(count):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((4, 4, 2))
        x = inputs
        for seed in (1, 2):
            x = PeerRegularization(
                num_neighbors=count, exclude_self=True, seed=seed
            )(x)
        return keras.Model(inputs, x)

    model = build(3)
    with ablated(model, Ablation(num_neighbors=2)):
        found = encode_peers(model, images)
    expected = encode_peers(build(2), images)
    for ours, theirs in zip(found.features, expected.features, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    with (
        ablated(model, Ablation(num_neighbors=80)),
        pytest.raises(UserError, match="at most 79"),
    ):
        encode_peers(model, images)
