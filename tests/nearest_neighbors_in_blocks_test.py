"""Blocks of keys, in memory and from elsewhere: what the plain search finds."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from commands import run_python

from peernets_tf import nearest_neighbors, nearest_neighbors_in_blocks
from peernets_tf.layers import block_search

MODULE = sys.modules[nearest_neighbors.__module__]


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 64 keys, and at most 256 keys at once."""
    monkeypatch.setattr(block_search, "_KEYS_PER_BLOCK", {"cpu": 64, "gpu": 64})


@pytest.fixture
def plain(monkeypatch):
    """Returns the search without blocks."""

    def search(queries, keys, k):
        with monkeypatch.context() as patch:
            patch.setattr(block_search, "_BLOCKS_AT_ONCE", 10**6)
            return np.asarray(nearest_neighbors(queries, keys, k))

    return search


def vectors(rng, count, ties):
    """Random vectors; with `ties`, each query has equal keys in all blocks."""
    if ties:
        found = rng.integers(0, 3, (count, 2)).astype("float32")
        return np.concatenate([found, np.ones_like(found[:, :1])], axis=1)
    return rng.normal(size=(count, 3)).astype("float32")


def cut(keys, *sizes):
    """Yields arrays with these numbers of keys, in turns."""
    start, i = 0, 0
    while start < len(keys):
        yield keys[start : start + sizes[i % len(sizes)]]
        start, i = start + sizes[i % len(sizes)], i + 1


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("num_keys", "k"), [(257, 10), (320, 24), (500, 100)])
def test_many_keys_in_memory(small_blocks, plain, rng, num_keys, k, ties):
    """The number of keys is a multiple of a block's, or not; k is larger."""
    queries, keys = vectors(rng, 30, ties), vectors(rng, num_keys, ties)
    expected = plain(queries, keys, k)
    found = nearest_neighbors(queries, keys, k)
    assert found.dtype == tf.int32
    np.testing.assert_array_equal(found, expected)


def test_many_keys_in_memory_with_xla(small_blocks, plain, rng):
    queries, keys = vectors(rng, 30, True), vectors(rng, 500, True)
    found = tf.function(nearest_neighbors, jit_compile=True)(queries, keys, 10)
    np.testing.assert_array_equal(found, plain(queries, keys, 10))


def test_many_keys_and_an_unknown_number_of_queries(small_blocks, plain, rng):
    keys = vectors(rng, 500, False)
    search = tf.function(
        lambda queries: nearest_neighbors(queries, keys, 10),
        input_signature=[tf.TensorSpec((None, 3), tf.float32)],
    )
    for count in (7, 40):
        queries = vectors(rng, count, False)
        np.testing.assert_array_equal(search(queries), plain(queries, keys, 10))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("num_keys", "k"), [(10, 10), (192, 10), (500, 100)])
def test_keys_from_elsewhere(
    small_blocks, plain, rng, tmp_path, num_keys, k, ties
):
    """A memmap, and arrays of any sizes, also empty and larger than a block."""
    queries, keys = vectors(rng, 30, ties), vectors(rng, num_keys, ties)
    expected = plain(queries, keys, k)
    np.save(tmp_path / "keys.npy", keys)
    on_disk = np.load(tmp_path / "keys.npy", mmap_mode="r")
    for source in (
        on_disk,
        cut(keys, 64),
        cut(keys, 7, 0, 150),
        [tf.constant(keys)],
    ):
        found = nearest_neighbors_in_blocks(queries, source, k)
        assert keras.backend.standardize_dtype(found.dtype) == "int32"
        np.testing.assert_array_equal(found, expected)


def test_negative_similarities_beat_the_padding(small_blocks):
    """The last block's zeros would be nearer than the only keys."""
    keys = np.array([[-1, 0], [-1, -1]], "float32")
    found = nearest_neighbors_in_blocks(np.array([[1, 0.5]]), [keys], 2)
    np.testing.assert_array_equal(found, [[0, 1]])


def test_float64_stays_float64(small_blocks):
    """Keys that are equal in float32, the nearer one in the later block."""
    keys = np.array([[1, 1e-6], [1, 1e-5]] + [[-1, 0]] * 70 + [[1, 0]])
    queries = np.array([[1.0, 0]])
    for dtype, expected in (("float64", [72, 0, 1]), ("float32", [0, 1, 72])):
        found = nearest_neighbors_in_blocks(
            queries.astype(dtype), [keys.astype(dtype)], 3
        )
        np.testing.assert_array_equal(found, [expected])


def test_compiles_once_for_whole_blocks_and_once_for_the_last(
    small_blocks, rng
):
    MODULE._compiled_merge.cache_clear()
    queries = vectors(rng, 30, False)
    for num_keys in (64, 500, 501, 777):
        keys = vectors(rng, num_keys, False)
        nearest_neighbors_in_blocks(queries, cut(keys, 100), 10)
    merge = MODULE._compiled_merge()
    assert merge.experimental_get_tracing_count() == 2


def test_makes_no_array_as_long_as_the_keys(small_blocks, monkeypatch):
    """The graph passes many keys on, and computes only with blocks of them."""

    def operations():
        """Returns the operations with an output of as many rows or columns."""
        # A new function: it is traced anew.
        graph = (
            tf.function(lambda q, keys: nearest_neighbors(q, keys, 10))
            .get_concrete_function(
                tf.TensorSpec((16, 3), tf.float32),
                tf.TensorSpec((777, 3), tf.float32),
            )
            .graph.as_graph_def(add_shapes=True)
        )
        return {
            node.op
            for function in graph.library.function
            for node in function.node_def
            for shape in node.attr["_output_shapes"].list.shape
            if 777 in [dimension.size for dimension in shape.dim]
        }

    passed_on = {"Identity", "StatelessWhile", "While"}
    assert operations() <= passed_on
    monkeypatch.setattr(block_search, "_BLOCKS_AT_ONCE", 10**6)
    assert operations() - passed_on


def test_reads_one_block_at_a_time(small_blocks, rng):
    """A block is searched before the next one is asked for."""
    queries, keys = vectors(rng, 5, False), vectors(rng, 192, False)
    merge, events = MODULE._compiled_merge(), []

    def source():
        for block in cut(keys, 64):
            events.append("read")
            yield block

    def searched(*arguments, **settings):
        events.append("searched")
        return merge(*arguments, **settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MODULE, "_compiled_merge", lambda: searched)
        nearest_neighbors_in_blocks(queries, source(), 10)
    assert events == ["read", "searched"] * 3


@pytest.mark.parametrize(
    ("queries", "keys", "k", "message"),
    [
        (np.ones((4, 3)), [np.ones((5, 3))], 6, "k=6, number of keys: 5"),
        (np.ones((4, 3)), [], 1, "k=1, number of keys: 0"),
        (np.ones((4, 3)), [np.ones((5, 3))], 0, "k=0"),
        (np.ones((4, 3)), np.ones((5, 2)), 1, r"the C=3 channels.*\(5, 2\)"),
        (np.ones((4, 3)), [np.ones(3)], 1, r"the C=3 channels.*\(3,\)"),
        (np.ones(3), [np.ones((5, 3))], 1, r"\(Q, C\)"),
    ],
)
def test_refuses(queries, keys, k, message):
    with pytest.raises(ValueError, match=message):
        nearest_neighbors_in_blocks(queries, keys, k)


def test_refuses_more_rows_than_an_index_can_name(small_blocks, monkeypatch):
    monkeypatch.setattr(MODULE, "_MOST_ROWS", 100)
    with pytest.raises(ValueError, match="at most 100 rows"):
        nearest_neighbors_in_blocks(np.ones((1, 3)), np.ones((101, 3)), 1)


def test_on_jax():
    """In memory and from elsewhere, with ties; k is larger than a block."""
    pytest.importorskip("jax")
    run_python(
        """
import numpy as np
from peernets_tf import nearest_neighbors, nearest_neighbors_in_blocks
from peernets_tf.layers import block_search

rng = np.random.default_rng(0)
queries, keys = (
    np.pad(rng.integers(0, 3, (n, 2)), ((0, 0), (0, 1)), constant_values=1)
    for n in (30, 1000)
)
queries, keys = queries.astype("float32"), keys.astype("float32")
expected = [np.asarray(nearest_neighbors(queries, keys, k)) for k in (10, 100)]
block_search._KEYS_PER_BLOCK = {"cpu": 64, "gpu": 64}
for k, best in zip((10, 100), expected, strict=True):
    for found in (
        nearest_neighbors(queries, keys, k),
        nearest_neighbors_in_blocks(queries, keys, k),
        nearest_neighbors_in_blocks(queries, iter([keys[:90], keys[90:]]), k),
    ):
        assert found.dtype == "int32"
        np.testing.assert_array_equal(found, best)
""",
        KERAS_BACKEND="jax",
    )
