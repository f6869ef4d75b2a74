"""The K best of very many keys: the K best of each block of them, merged."""

from typing import Any

from keras import ops

from peernets_tf.devices import has_gpu
from peernets_tf.layers.chunk_search import (
    UNREACHABLE,
    search_dtype,
    search_keys,
    take_from_rows,
)
from peernets_tf.types import Tensor

# Keys in one block. Together with 64 queries they fill the longest chunk.
_KEYS_PER_BLOCK = {"cpu": 2**16, "gpu": 2**21}
# More keys are searched in blocks. Even the shortest chunk, of 16 queries,
# would have more similarities with them than the longest chunk should have.
_BLOCKS_AT_ONCE = 4


def block_size() -> int:
    """Returns the number of keys in one block."""
    return _KEYS_PER_BLOCK["gpu" if has_gpu() else "cpu"]


def keys_at_once() -> int:
    """Returns the largest number of keys that is searched without blocks."""
    return _BLOCKS_AT_ONCE * block_size()


def search_in_blocks(
    queries: Tensor, keys: Tensor, size: int, *, k: int, epsilon: float
) -> Tensor:
    """Searches for queries `(Q, C)` in keys `(N, C)`, N known.

    Args:
        queries: float tensor of shape `(Q, C)`.
        keys: float tensor of shape `(N, C)`, `N >= k`.
        size: int, the number of keys in one block.
        k: int, the number of neighbours of each query.
        epsilon: float, the smallest norm that a vector is divided by.

    Returns:
        int32 tensor of shape `(Q, k)`, best first.
    """
    num_keys, num_channels = keys.shape

    def search_next(i: Tensor, best: tuple[Tensor, Tensor]) -> Any:
        block = ops.slice(keys, (i * size, 0), (size, num_channels))
        return merge_block(best, queries, block, i * size, k=k, epsilon=epsilon)

    num_whole = num_keys // size
    best = ops.fori_loop(0, num_whole, search_next, no_neighbors(queries, k))
    first = num_whole * size
    if first < num_keys:
        rest = keys[first:]
        best = merge_block(best, queries, rest, first, k=k, epsilon=epsilon)
    return best[1]


def no_neighbors(queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Returns what `merge_block` takes as the best before the first block."""
    # Of the queries' shape, which may be known only at run time.
    zeros = ops.zeros_like(queries[:, :1], dtype=search_dtype(queries))
    zeros = ops.tile(zeros, (1, k))
    return zeros + (UNREACHABLE - 1), ops.cast(zeros, "int32")


def merge_block(
    best: tuple[Tensor, Tensor],
    queries: Tensor,
    block: Tensor,
    first: int | Tensor,
    count: Tensor | None = None,
    *,
    k: int,
    epsilon: float,
) -> tuple[Tensor, Tensor]:
    """Merges the best keys of earlier blocks with those of the next one.

    Args:
        best: the similarities and the int32 indices of the best keys so far,
            both of shape `(Q, k)`, best first.
        queries: float tensor of shape `(Q, C)`.
        block: float tensor of shape `(B, C)`, the keys of the block.
        first: int, the index of the block's first key.
        count: int tensor of shape `()`, how many keys of the block are real.
            The others are zeros and are never chosen. None if all are real.
        k: int, the number of neighbours of each query.
        epsilon: float, the smallest norm that a vector is divided by.

    Returns:
        The new `best`.
    """
    similarities, indices = search_keys(queries, block, k, epsilon, count)
    # Of equal values `top_k` takes the first, which has the lower index.
    similarities, places = ops.top_k(
        ops.concatenate([best[0], similarities], axis=1), k
    )
    indices = ops.concatenate([best[1], indices + first], axis=1)
    return similarities, take_from_rows(indices, places)
