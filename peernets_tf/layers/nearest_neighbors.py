"""Exact K nearest neighbours by cosine similarity, without the whole matrix.

The K best keys of a query lie in the at most K blocks of keys whose maxima are
largest. So each chunk of queries is compared with all keys, the similarities
are cut into contiguous blocks, and `top_k` looks first at the maxima of the
blocks and then only inside the K best of them. The similarities of one chunk
stay in cache and are the only large array that is ever held.
"""

import functools
from collections.abc import Callable

import keras
from keras import ops

from peernets_tf.devices import has_gpu
from peernets_tf.layers.compiled import compiled
from peernets_tf.types import Tensor

# Keys in one block. The two `top_k` calls see N / 32 and 32 K values per query.
# Measured on a CPU, 32 is within 15 % of the best size for every N that the
# paper's networks have.
_BLOCK_SIZE = 32
# Similarities of one chunk of queries. 2**20 float32 values, 4 MiB, stay in the
# caches of a CPU; a GPU needs longer kernels.
_CHUNK_VALUES = {"cpu": 2**20, "gpu": 2**27}
# With many keys a chunk of few queries spends its time on reading keys. So a
# chunk has two queries for each channel, if these have at most so many
# similarities (16 MiB). Measured on a CPU: 1.2 times as fast with 25,600 keys
# of 32 channels, 1.4 times with 128,000.
_LONG_CHUNK_VALUES = 2**22
# Lower than any cosine.
_UNREACHABLE = -3.0


def nearest_neighbors(
    queries: Tensor, keys: Tensor, k: int, epsilon: float = 1e-6
) -> Tensor:
    """Finds the `k` keys with the largest cosine similarity to each query.

    The search is exact up to the rounding of float32 (float64 for float64
    inputs), and ties go to the key with the lower index. No gradient flows
    through the choice. Source: Sections 3 and 4.1 of the PeerNets paper.

    Args:
        queries: float tensor of shape `(Q, C)`.
        keys: float tensor of shape `(N, C)`.
        k: int, the number of neighbours of each query, `1 <= k <= N`.
        epsilon: float, the smallest norm that a vector is divided by, so that
            the cosine of an all-zero vector is 0 and not NaN.

    Returns:
        int32 tensor of shape `(Q, k)`: row indices into `keys`, best first.
        If N is known only at run time and is smaller than `k`, the last
        `k - N` indices are N or larger and belong to no key.

    Raises:
        ValueError: if `k` is not between 1 and N, or the shapes do not match.
    """
    queries = ops.convert_to_tensor(queries)
    keys = ops.convert_to_tensor(keys)
    if (
        len(queries.shape) != 2
        or len(keys.shape) != 2
        or (queries.shape[1] != keys.shape[1])
    ):
        raise ValueError(
            "`queries` and `keys` must have shapes (Q, C) and (N, C). "
            f"Received: queries.shape={queries.shape}, keys.shape={keys.shape}"
        )
    if k < 1 or (keys.shape[0] is not None and k > keys.shape[0]):
        raise ValueError(
            "`k` must be between 1 and the number of keys (the pixels of all "
            f"peers). Received: k={k}, keys.shape={keys.shape}"
        )
    return _compiled_search()(queries, keys, k=int(k), epsilon=float(epsilon))


def chunk_size(num_keys: int | Tensor, num_channels: int) -> int | Tensor:
    """Returns the number of queries that are compared with all keys at once.

    Args:
        num_keys: int or int tensor, the number of keys.
        num_channels: int, the channels of a key.
    """
    size = _CHUNK_VALUES[_device_kind()] // num_keys
    long_size = _at_most(_LONG_CHUNK_VALUES // num_keys, 2 * num_channels)
    if isinstance(size, int):
        return min(max(size, long_size, 16), 4096)
    return ops.clip(ops.maximum(size, long_size), 16, 4096)


@functools.cache
def _compiled_search() -> Callable[..., Tensor]:
    """Returns the search, compiled so that eager callers are fast too."""
    return compiled(_search, static=("k", "epsilon"))


def _search(queries: Tensor, keys: Tensor, *, k: int, epsilon: float) -> Tensor:
    num_queries = ops.shape(queries)[0]
    queries, keys = _pad_keys(
        _normalize(queries, epsilon), _normalize(keys, epsilon), k
    )
    # All chunks have one size, so that the rounding of one query's
    # similarities does not depend on the number of the others.
    num_channels = queries.shape[1]
    size = chunk_size(ops.shape(keys)[0], num_channels)
    # Not `-num_queries % size`: the modulo of ONNX is negative there.
    num_padding = (num_queries + size - 1) // size * size - num_queries
    padding = ops.zeros((num_padding, num_channels), queries.dtype)
    chunks = ops.reshape(
        ops.concatenate([queries, padding], axis=0), (-1, size, num_channels)
    )
    transposed_keys = ops.transpose(keys)
    indices = ops.map(
        lambda chunk: _search_chunk(chunk, transposed_keys, k), chunks
    )
    return ops.reshape(indices, (-1, k))[:num_queries]


def _pad_keys(queries: Tensor, keys: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Pads the keys to at least `k` whole blocks with keys that never win."""
    num_keys = ops.shape(keys)[0]
    num_blocks = (num_keys + _BLOCK_SIZE - 1) // _BLOCK_SIZE
    num_padding = _BLOCK_SIZE * _at_least(num_blocks, k) - num_keys
    if isinstance(num_padding, int) and num_padding == 0:
        return queries, keys
    # One more coordinate, which is zero for all keys but the padding.
    queries = ops.pad(queries, [[0, 0], [0, 1]], constant_values=1.0)
    keys = ops.pad(keys, [[0, 0], [0, 1]], constant_values=0.0)
    num_channels = keys.shape[1]
    far = ops.one_hot(num_channels - 1, num_channels, dtype=keys.dtype)
    padding = ops.ones((num_padding, 1), keys.dtype) * far * _UNREACHABLE
    return queries, ops.concatenate([keys, padding], axis=0)


def _search_chunk(queries: Tensor, transposed_keys: Tensor, k: int) -> Tensor:
    """Searches for queries `(q, C)` in keys `(C, N)`; returns `(q, k)`."""
    num_queries = ops.shape(queries)[0]
    similarity = ops.reshape(
        ops.matmul(queries, transposed_keys), (num_queries, -1, _BLOCK_SIZE)
    )
    _, blocks = ops.top_k(ops.max(similarity, axis=2), k, sorted=False)
    # Sorted by index, so that ties go to the lower index.
    blocks = ops.sort(blocks, axis=1)
    candidates = ops.reshape(
        _take_from_rows(similarity, blocks), (num_queries, k * _BLOCK_SIZE)
    )
    _, places = ops.top_k(candidates, k)
    best_blocks = _take_from_rows(blocks, places // _BLOCK_SIZE)
    return best_blocks * _BLOCK_SIZE + places % _BLOCK_SIZE


def _take_from_rows(values: Tensor, columns: Tensor) -> Tensor:
    """Returns `values[i, columns[i, j]]` for `(q, n, ...)` and `(q, j)`."""
    num_rows, row_length = ops.shape(values)[:2]
    starts = ops.arange(num_rows, dtype="int32")[:, None] * row_length
    flat = ops.reshape(values, (-1, *values.shape[2:]))
    return ops.take(flat, starts + columns, axis=0)


def _normalize(vectors: Tensor, epsilon: float) -> Tensor:
    if keras.backend.standardize_dtype(vectors.dtype) != "float64":
        vectors = ops.cast(vectors, "float32")
    vectors = ops.stop_gradient(vectors)
    norms = ops.sqrt(ops.sum(ops.square(vectors), axis=1, keepdims=True))
    return vectors / ops.maximum(norms, epsilon)


def _at_least(value: int | Tensor, minimum: int) -> int | Tensor:
    if isinstance(value, int):
        return max(value, minimum)
    return ops.maximum(value, minimum)


def _at_most(value: int | Tensor, maximum: int) -> int | Tensor:
    if isinstance(value, int):
        return min(value, maximum)
    return ops.minimum(value, maximum)


def _device_kind() -> str:
    return "gpu" if has_gpu() else "cpu"
