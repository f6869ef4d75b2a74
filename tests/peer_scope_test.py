"""What reaches the layers during one call, and only then."""

import threading

import numpy as np
import pytest
from bank_test import make_model
from keras import ops

from peernets_tf import encode_peers, set_peers
from peernets_tf.layers import BATCH, current_scope, peer_scope
from peernets_tf.peers import peer_layers


@pytest.fixture
def model(rng):
    model = make_model()
    set_peers(model, rng.random((3, 4, 8, 8, 3)).astype("float32"))
    return model


@pytest.fixture
def images(rng):
    return rng.random((2, 8, 8, 3)).astype("float32")


def test_scopes_nest_and_end():
    with peer_scope(graph=1):
        with pytest.raises(KeyError), peer_scope(recorder=print) as inner:
            assert inner is current_scope()
            assert (inner.graph, inner.recorder) == (1, print)
            raise KeyError
        assert current_scope().recorder is None
        with peer_scope(graph=2):
            assert current_scope().graph == 2
        assert current_scope().graph == 1
    assert current_scope().graph == 0


def test_a_scope_belongs_to_one_thread():
    seen = []
    with peer_scope(graph=1):
        thread = threading.Thread(
            target=lambda: seen.append(current_scope().graph)
        )
        thread.start()
        thread.join()
    assert seen == [0]


def test_the_recorder_sees_how_each_pixel_was_made(model, images):
    calls = []
    with peer_scope(recorder=calls.append):
        logits = model(images, training=False)
    assert [call.layer for call in calls] == peer_layers(model)
    for call in calls:
        values = np.array(call.keys)[np.array(call.neighbors)]
        rebuilt = np.einsum("qk,qkc->qc", call.weights, values)
        np.testing.assert_allclose(
            rebuilt.reshape(call.outputs.shape), call.outputs, atol=1e-5
        )
        np.testing.assert_allclose(np.sum(call.weights, axis=1), 1.0, atol=1e-5)
    np.testing.assert_array_equal(model(images, training=False), logits)


def test_graph_and_bank_choose_the_peers(model, images, rng):
    graphs = rng.random((2, 4, 8, 8, 3)).astype("float32")
    bank = encode_peers(model, graphs)
    features = dict(zip(peer_layers(model), bank.features, strict=True))
    with peer_scope(bank=features, graph=1):
        found = model(images, training=False)
    set_peers(model, graphs[1])
    np.testing.assert_allclose(found, model(images, training=False), atol=1e-6)
    with peer_scope(graph=BATCH):
        alone = model(images, training=False)
    assert np.abs(alone - found).max() > 1e-3


def test_an_ablation_needs_no_change_of_the_layer(model, images):
    """Here the second layer is switched off, and the first attends equally."""
    first, second = peer_layers(model)

    def ablated(call):
        if call.layer is second:
            return call.inputs
        mean = ops.mean(ops.take(call.keys, call.neighbors, axis=0), axis=1)
        return ops.reshape(mean, ops.shape(call.outputs))

    calls = []
    with peer_scope(backward=ablated, recorder=calls.append):
        logits = model(images, training=False)
    x = ops.reshape(
        ops.mean(ops.take(calls[0].keys, calls[0].neighbors, axis=0), axis=1),
        calls[0].inputs.shape,
    )
    for layer in model.layers[4:]:
        if layer is not second:
            x = layer(x)
    np.testing.assert_allclose(logits, x, atol=1e-6)
