import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from peernets_tf import nearest_neighbors
from peernets_tf.layers import chunk_size


def brute_force(queries, keys, k, epsilon=1e-6):
    """The definition, in float64: a stable sort of all cosines."""
    queries, keys = queries.astype("float64"), keys.astype("float64")
    queries /= np.maximum(np.linalg.norm(queries, axis=1), epsilon)[:, None]
    keys /= np.maximum(np.linalg.norm(keys, axis=1), epsilon)[:, None]
    # float32, as the search, so that equal vectors tie there and here.
    similarity = np.float32(queries @ keys.T)
    return np.argsort(-similarity, axis=1, kind="stable")[:, :k]


@pytest.mark.parametrize("compiled", [False, "graph", "xla"])
@pytest.mark.parametrize(
    ("num_queries", "num_keys", "channels", "k"),
    [
        (1, 1, 3, 1),
        (5, 10, 4, 10),
        (33, 31, 6, 7),
        (100, 320, 8, 10),
        (300, 777, 16, 20),
        (70, 4096, 64, 10),
    ],
)
def test_equals_brute_force(rng, num_queries, num_keys, channels, k, compiled):
    queries = rng.normal(size=(num_queries, channels)).astype("float32")
    keys = rng.normal(size=(num_keys, channels)).astype("float32")
    search = nearest_neighbors
    if compiled:
        search = tf.function(search, jit_compile=compiled == "xla")
    indices = keras.ops.convert_to_numpy(search(queries, keys, k))
    assert indices.dtype == np.int32
    np.testing.assert_array_equal(indices, brute_force(queries, keys, k))


def test_compares_angles_by_hand():
    keys = np.array([[0, 9], [1, 1], [5, 0], [-1, 0]], "float32")
    queries = np.array([[2, 0.1], [0, 1]], "float32")
    indices = nearest_neighbors(queries, keys, 4)
    np.testing.assert_array_equal(indices, [[2, 1, 0, 3], [0, 1, 2, 3]])


@pytest.mark.parametrize("compiled", [False, True])
def test_ties_go_to_the_lower_index(rng, compiled):
    # Three values only, so that every query has ties across many blocks.
    keys = rng.integers(0, 3, (500, 1)).astype("float32") - 1
    keys = np.concatenate([keys, np.ones_like(keys)], axis=1)
    queries = keys[:40]
    search = tf.function(nearest_neighbors, jit_compile=compiled)
    np.testing.assert_array_equal(
        search(queries, keys, 10), brute_force(queries, keys, 10)
    )


def test_zero_vectors_are_no_nan(rng):
    keys = np.array([[-1, 0], [0, 0], [1, 0]], "float32")
    indices = nearest_neighbors(np.array([[1, 0], [0, 0]], "float32"), keys, 3)
    np.testing.assert_array_equal(indices, [[2, 1, 0], [0, 1, 2]])


def test_unknown_sizes(rng):
    spec = tf.TensorSpec((None, 5), tf.float32)
    search = tf.function(
        lambda queries, keys: nearest_neighbors(queries, keys, 9),
        input_signature=(spec, spec),
    )
    for num_queries, num_keys in [(7, 9), (200, 40), (3, 1000)]:
        queries = rng.normal(size=(num_queries, 5)).astype("float32")
        keys = rng.normal(size=(num_keys, 5)).astype("float32")
        np.testing.assert_array_equal(
            search(queries, keys), brute_force(queries, keys, 9)
        )


def test_one_query_alone_and_among_others(rng):
    queries = rng.normal(size=(50, 6)).astype("float32")
    keys = rng.normal(size=(400, 6)).astype("float32")
    together = nearest_neighbors(queries, keys, 10)
    alone = [nearest_neighbors(query[None], keys, 10)[0] for query in queries]
    np.testing.assert_array_equal(together, alone)


def test_half_precision_is_searched_in_float32(rng):
    keys = rng.normal(size=(64, 4)).astype("float16")
    np.testing.assert_array_equal(
        nearest_neighbors(keys, keys, 3),
        brute_force(keys.astype("float32"), keys.astype("float32"), 3),
    )


@pytest.mark.parametrize("k", [0, 11])
def test_refuses_k_outside_the_keys(k):
    keys = np.ones((10, 3), "float32")
    with pytest.raises(ValueError, match=f"k={k}"):
        nearest_neighbors(keys, keys, k)


def test_refuses_other_shapes():
    with pytest.raises(ValueError, match=r"\(Q, C\) and \(N, C\)"):
        nearest_neighbors(np.ones((4, 3)), np.ones((4, 2)), 1)


@pytest.mark.parametrize(
    ("num_keys", "num_channels", "expected"),
    [
        # 4 MiB of similarities.
        (1024, 6, 1024),
        (16_384, 32, 64),
        # Two queries for each channel.
        (25_600, 32, 64),
        # 16 MiB of similarities.
        (128_000, 32, 32),
        (128_000, 64, 32),
        # The shortest and the longest chunk.
        (128_000, 6, 16),
        (10**7, 512, 16),
        (10, 6, 4096),
    ],
)
def test_chunk_size(num_keys, num_channels, expected, monkeypatch):
    monkeypatch.setattr(
        sys.modules[chunk_size.__module__], "has_gpu", lambda: False
    )
    assert chunk_size(num_keys, num_channels) == expected
    # The same where TensorFlow knows the number only at run time.
    assert int(chunk_size(tf.constant(num_keys), num_channels)) == expected


def test_never_holds_the_whole_matrix():
    """The largest array of the graph is one chunk of similarities."""
    spec = tf.TensorSpec((25088, 6), tf.float32)
    graph = (
        tf.function(nearest_neighbors)
        .get_concrete_function(spec, spec, k=10)
        .graph.as_graph_def(add_shapes=True)
    )
    # The search and its loop are functions of the graph's library.
    nodes = [*graph.node]
    for function in graph.library.function:
        nodes += function.node_def
    assert "TopKV2" in {node.op for node in nodes}
    sizes = [
        np.prod([dimension.size for dimension in shape.dim])
        for node in nodes
        for shape in node.attr["_output_shapes"].list.shape
    ]
    assert 25088 * 6 <= max(sizes) <= 2**20 + 25088 * 64
