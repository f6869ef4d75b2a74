import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from peernets_tf import PeerRegularization, set_peers
from peernets_tf.layers import attention as attentions

NUM_QUERIES, NUM_KEYS, CHANNELS, NUM_NEIGHBORS = 60, 40, 8, 5


@pytest.fixture
def arguments(rng):
    """Random arguments of `attend`."""
    shape = (NUM_QUERIES, NUM_NEIGHBORS)
    values = {
        "queries": rng.normal(size=(NUM_QUERIES, CHANNELS)),
        "keys": rng.normal(size=(NUM_KEYS, CHANNELS)),
        "neighbors": rng.integers(0, NUM_KEYS, shape),
        "logit_factors": 2.0 * rng.integers(0, 2, shape),
        "query_kernel": rng.normal(size=CHANNELS),
        "key_kernel": rng.normal(size=CHANNELS),
        "bias": rng.normal(),
    }
    return [
        tf.constant(value, "int32" if name == "neighbors" else "float32")
        for name, value in values.items()
    ]


def results_and_gradients(function, arguments):
    """What a function returns, and the gradient of each floating argument."""
    floating = [x for x in arguments if x.dtype.is_floating]
    with tf.GradientTape() as tape:
        tape.watch(floating)
        outputs, weights = function(*arguments)
        loss = tf.reduce_sum(outputs**2) + tf.reduce_sum(weights**3)
    return [outputs, weights, *tape.gradient(loss, floating)]


@pytest.mark.parametrize("attention", attentions.ATTENTIONS)
@pytest.mark.parametrize("in_graph", [False, True])
def test_compiled_equals_plain(arguments, attention, in_graph):
    settings = {"attention": attention, "negative_slope": 0.2}
    plain = functools.partial(attentions.attend, **settings)
    compiled = attentions.compiled_attend(**settings)
    run = results_and_gradients
    if in_graph:
        run = tf.function(run)
    expected = results_and_gradients(plain, arguments)
    for ours, value in zip(run(compiled, arguments), expected, strict=True):
        largest = max(1.0, float(tf.reduce_max(tf.abs(value))))
        np.testing.assert_allclose(ours, value, atol=1e-5 * largest)


def test_weights_are_dropped_and_sum_to_one(arguments):
    compiled = attentions.compiled_attend("gat", 0.2)
    _, weights = compiled(*arguments)
    np.testing.assert_allclose(tf.reduce_sum(weights, axis=1), 1, rtol=1e-5)
    arguments[3] = tf.zeros_like(arguments[3])
    _, weights = compiled(*arguments)
    np.testing.assert_allclose(weights, 1 / NUM_NEIGHBORS, rtol=1e-5)


def test_only_the_attention_is_compiled_with_xla(rng):
    inputs = keras.Input((6, 6, 3))
    x = keras.layers.Conv2D(4, 3)(inputs)
    model = keras.Model(inputs, PeerRegularization()(x))
    set_peers(model, rng.random((5, 6, 6, 3), dtype="float32"))

    @tf.function
    def loss_gradient(images):
        with tf.GradientTape() as tape:
            tape.watch(images)
            loss = tf.reduce_sum(model(images, training=False) ** 2)
        return tape.gradient(loss, images)

    spec = tf.TensorSpec((None, 6, 6, 3))
    graph = loss_gradient.get_concrete_function(spec).graph.as_graph_def()
    functions = {f.signature.name: f for f in graph.library.function}
    is_compiled = {
        name: f.attr["_XlaMustCompile"].b for name, f in functions.items()
    }
    called = [
        node.attr["f"].func.name for node in graph.node if "f" in node.attr
    ]
    # The attention, forward and backward, and the search in between.
    assert sorted(is_compiled[name] for name in called) == [False, True, True]
    operations = {
        name: {node.op for node in f.node_def} for name, f in functions.items()
    }
    for name, compiled in is_compiled.items():
        assert ("Softmax" in operations[name]) == compiled
        assert not (compiled and "TopKV2" in operations[name])
    assert any("TopKV2" in found for found in operations.values())
    assert "Conv2D" in {node.op for node in graph.node}
