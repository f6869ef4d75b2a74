"""The K keys most similar to each query, without the whole matrix.

The K best keys of a query lie in the at most K groups of keys whose maxima are
largest. So each chunk of queries is compared with all keys, the similarities
are cut into contiguous groups, and `top_k` looks first at the maxima of the
groups and then only inside the K best of them. The similarities of one chunk
stay in cache and are the only large array that is ever held.
"""

import keras
from keras import ops

from peernets_tf.devices import has_gpu
from peernets_tf.types import Tensor

# Keys in one group. The two `top_k` calls see N / 32 and 32 K values per query.
# Measured on a CPU, 32 is within 15 % of the best size for every N that the
# paper's networks have.
_GROUP_SIZE = 32
# Similarities of one chunk of queries. 2**20 float32 values, 4 MiB, stay in the
# caches of a CPU; a GPU needs longer kernels.
_CHUNK_VALUES = {"cpu": 2**20, "gpu": 2**27}
# With many keys a chunk of few queries spends its time on reading keys. So a
# chunk has two queries for each channel, if these have at most so many
# similarities (16 MiB). Measured on a CPU: 1.2 times as fast with 25,600 keys
# of 32 channels, 1.4 times with 128,000.
_LONG_CHUNK_VALUES = 2**22
# Lower than any cosine.
UNREACHABLE = -3.0


def chunk_size(num_keys: int | Tensor, num_channels: int) -> int | Tensor:
    """Returns the number of queries that are compared with all keys at once.

    Args:
        num_keys: int or int tensor, the number of keys.
        num_channels: int, the channels of a key.
    """
    size = _CHUNK_VALUES["gpu" if has_gpu() else "cpu"] // num_keys
    long_size = _at_most(_LONG_CHUNK_VALUES // num_keys, 2 * num_channels)
    if isinstance(size, int):
        return min(max(size, long_size, 16), 4096)
    return ops.clip(ops.maximum(size, long_size), 16, 4096)


def search_keys(
    queries: Tensor,
    keys: Tensor,
    k: int,
    epsilon: float,
    count: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Finds the `k` keys with the largest cosine similarity to each query.

    Args:
        queries: float tensor of shape `(Q, C)`.
        keys: float tensor of shape `(N, C)`.
        k: int, the number of neighbours of each query. Where there are fewer
            keys, the last indices are N or larger.
        epsilon: float, the smallest norm that a vector is divided by.
        count: int tensor of shape `()`: keys from this index on are zeros that
            are worse than all others. None if there are none.

    Returns:
        Similarities and int32 indices of shape `(Q, k)`, best first.
    """
    num_queries = ops.shape(queries)[0]
    queries, keys = _normalize(queries, epsilon), _normalize(keys, epsilon)
    if count is not None:
        is_padding = ops.arange(keys.shape[0], dtype="int32") >= count
        queries, keys = _add_coordinate(queries, keys, is_padding)
    queries, keys = _pad_keys(queries, keys, k)
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
    found = ops.map(
        lambda chunk: _search_chunk(chunk, transposed_keys, k), chunks
    )
    similarities, indices = (
        ops.reshape(values, (-1, k))[:num_queries] for values in found
    )
    return similarities, indices


def _pad_keys(queries: Tensor, keys: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Pads the keys to at least `k` whole groups with keys that never win."""
    num_keys = ops.shape(keys)[0]
    num_groups = (num_keys + _GROUP_SIZE - 1) // _GROUP_SIZE
    num_padding = _GROUP_SIZE * _at_least(num_groups, k) - num_keys
    if isinstance(num_padding, int) and num_padding == 0:
        return queries, keys
    padding = ops.zeros((num_padding, keys.shape[1]), keys.dtype)
    keys = ops.concatenate([keys, padding], axis=0)
    is_padding = ops.arange(ops.shape(keys)[0], dtype="int32") >= num_keys
    return _add_coordinate(queries, keys, is_padding)


def _add_coordinate(
    queries: Tensor, keys: Tensor, is_padding: Tensor
) -> tuple[Tensor, Tensor]:
    """Adds a coordinate that makes zero keys `(N, C)` the worst of all."""
    queries = ops.pad(queries, [[0, 0], [0, 1]], constant_values=1.0)
    last = ops.cast(is_padding, keys.dtype)[:, None] * UNREACHABLE
    return queries, ops.concatenate([keys, last], axis=1)


def _search_chunk(
    queries: Tensor, transposed_keys: Tensor, k: int
) -> tuple[Tensor, Tensor]:
    """Searches for queries `(q, C)` in keys `(C, N)`.

    Returns similarities and indices `(q, k)`, best first.
    """
    num_queries = ops.shape(queries)[0]
    similarity = ops.reshape(
        ops.matmul(queries, transposed_keys), (num_queries, -1, _GROUP_SIZE)
    )
    _, groups = ops.top_k(ops.max(similarity, axis=2), k, sorted=False)
    # Sorted by index, so that ties go to the lower index.
    groups = ops.sort(groups, axis=1)
    candidates = ops.reshape(
        take_from_rows(similarity, groups), (num_queries, k * _GROUP_SIZE)
    )
    similarities, places = ops.top_k(candidates, k)
    best_groups = take_from_rows(groups, places // _GROUP_SIZE)
    return similarities, best_groups * _GROUP_SIZE + places % _GROUP_SIZE


def take_from_rows(values: Tensor, columns: Tensor) -> Tensor:
    """Returns `values[i, columns[i, j]]` for `(q, n, ...)` and `(q, j)`."""
    num_rows, row_length = ops.shape(values)[:2]
    starts = ops.arange(num_rows, dtype="int32")[:, None] * row_length
    flat = ops.reshape(values, (-1, *values.shape[2:]))
    return ops.take(flat, starts + columns, axis=0)


def _normalize(vectors: Tensor, epsilon: float) -> Tensor:
    vectors = ops.cast(ops.stop_gradient(vectors), search_dtype(vectors))
    norms = ops.sqrt(ops.sum(ops.square(vectors), axis=1, keepdims=True))
    return vectors / ops.maximum(norms, epsilon)


def search_dtype(vectors: Tensor) -> str:
    """Returns the precision of the search: float32, or float64 for float64."""
    is_double = keras.backend.standardize_dtype(vectors.dtype) == "float64"
    return "float64" if is_double else "float32"


def _at_least(value: int | Tensor, minimum: int) -> int | Tensor:
    if isinstance(value, int):
        return max(value, minimum)
    return ops.maximum(value, minimum)


def _at_most(value: int | Tensor, maximum: int) -> int | Tensor:
    if isinstance(value, int):
        return min(value, maximum)
    return ops.minimum(value, maximum)
