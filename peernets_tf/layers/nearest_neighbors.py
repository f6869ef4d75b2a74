"""Exact K nearest neighbours by cosine similarity, without the whole matrix."""

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from peernets_tf.layers import block_search
from peernets_tf.layers.chunk_search import search_dtype, search_keys
from peernets_tf.layers.compiled import compiled
from peernets_tf.types import Tensor

# The largest int32: no index of a key is larger.
_MOST_ROWS = 2**31 - 1


def nearest_neighbors(
    queries: Tensor, keys: Tensor, k: int, epsilon: float = 1e-6
) -> Tensor:
    """Finds the `k` keys with the largest cosine similarity to each query.

    The search is exact up to the rounding of float32 (float64 for float64
    inputs; GPUs that round float32 products to TF32 choose by these), and ties
    go to the key with the lower index. No gradient flows through the choice.
    Source: Sections 3 and 4.1 of the PeerNets paper.

    Very many keys (more than 262,144 on a CPU) are searched in blocks, so that
    the memory that the search adds does not grow with N. They are not if N is
    unknown when the search is compiled. For keys that do not fit in memory, see
    `nearest_neighbors_in_blocks`.

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
    num_keys = keys.shape[0]
    _check_k(k, num_keys)
    size = None
    if num_keys is not None and num_keys > block_search.keys_at_once():
        size = block_search.block_size()
    return _compiled_search()(
        queries, keys, k=int(k), epsilon=float(epsilon), keys_per_block=size
    )


def nearest_neighbors_in_blocks(
    queries: Tensor,
    keys: NDArray[Any] | Iterable[Any],
    k: int,
    epsilon: float = 1e-6,
) -> Tensor:
    """Finds nearest neighbours among keys that do not fit in memory.

    Finds what `nearest_neighbors` finds, but reads the keys once, in order, and
    holds one block of them at a time (65,536 keys on a CPU). Call it eagerly,
    not inside of a compiled function.

    Args:
        queries: float array or tensor of shape `(Q, C)`.
        keys: array of shape `(N, C)` that is read by slices, such as a
            `numpy.memmap`. Or an iterable of arrays of shape `(n, C)`, such as
            a generator that reads files; n may differ from array to array.
        k: int, the number of neighbours of each query, `1 <= k <= N`.
        epsilon: float, the smallest norm that a vector is divided by.

    Returns:
        int32 tensor of shape `(Q, k)`: row indices into all `keys`, best first.

    Raises:
        ValueError: if `k` is not between 1 and N, the shapes do not match, or N
            is 2**31 or larger.
    """
    queries = ops.convert_to_tensor(queries)
    if len(queries.shape) != 2:
        raise ValueError(
            "`queries` must have shape (Q, C). Received: "
            f"queries.shape={queries.shape}"
        )
    _check_k(k, None)
    k, size = int(k), block_search.block_size()
    best = block_search.no_neighbors(queries, k)
    num_keys = 0
    for block, count in _whole_blocks(keys, size, queries):
        if num_keys + count > _MOST_ROWS:
            raise ValueError(
                f"`keys` must have at most {_MOST_ROWS} rows, the range of the "
                f"indices. Received: at least {num_keys + count} rows"
            )
        found = _compiled_merge()(
            best,
            queries,
            ops.convert_to_tensor(block),
            # Tensors: the merge would be compiled anew for each Python value.
            ops.convert_to_tensor(num_keys, "int32"),
            None if count == size else ops.convert_to_tensor(count, "int32"),
            k=k,
            epsilon=float(epsilon),
        )
        # Waits for the result: JAX would queue all blocks in memory.
        similarities, indices = map(ops.convert_to_numpy, found)
        best = (similarities, indices)
        num_keys += count
    _check_k(k, num_keys)
    return ops.convert_to_tensor(best[1])


def _check_k(k: int, num_keys: int | None) -> None:
    if k < 1 or (num_keys is not None and k > num_keys):
        raise ValueError(
            "`k` must be between 1 and the number of keys (the pixels of all "
            f"peers). Received: k={k}, number of keys: {num_keys}"
        )


@functools.cache
def _compiled_search() -> Callable[..., Tensor]:
    """Returns the search, compiled so that eager callers are fast too."""
    return compiled(_search, static=("k", "epsilon", "keys_per_block"))


@functools.cache
def _compiled_merge() -> Callable[..., tuple[Tensor, Tensor]]:
    """Returns `merge_block`, compiled for whole blocks and for the last one."""
    return compiled(block_search.merge_block, static=("k", "epsilon"))


def _search(
    queries: Tensor,
    keys: Tensor,
    *,
    k: int,
    epsilon: float,
    keys_per_block: int | None,
) -> Tensor:
    if keys_per_block is None:
        return search_keys(queries, keys, k, epsilon)[1]
    return block_search.search_in_blocks(
        queries, keys, keys_per_block, k=k, epsilon=epsilon
    )


def _whole_blocks(
    keys: NDArray[Any] | Iterable[Any], size: int, queries: Tensor
) -> Iterator[tuple[NDArray[Any], int]]:
    """Yields blocks `(size, C)` and how many of their rows are keys.

    All but the last are full; the other rows of the last are zeros.
    """
    shape, dtype = (size, queries.shape[1]), search_dtype(queries)
    block, filled = np.zeros(shape, dtype), 0
    for part in _parts(keys, size):
        received = tuple(getattr(part, "shape", ()))
        if len(received) != 2 or received[1] != queries.shape[1]:
            raise ValueError(
                "`keys` must be an array of shape (N, C) or arrays of shape "
                f"(n, C), with the C={queries.shape[1]} channels of `queries`. "
                f"Received: {type(part).__name__} of shape {received}"
            )
        part = ops.convert_to_numpy(part)
        while len(part) > 0:
            taken = part[: size - filled]
            block[filled : filled + len(taken)] = taken
            part, filled = part[len(taken) :], filled + len(taken)
            if filled == size:
                yield block, filled
                # A new one: a tensor may share the memory of the last.
                block, filled = np.zeros(shape, dtype), 0
    if filled > 0:
        yield block, filled


def _parts(keys: Any, size: int) -> Iterator[Any]:
    """Yields slices of an array, or what an iterable yields."""
    if not hasattr(keys, "shape"):
        yield from keys
        return
    for start in range(0, keys.shape[0], size):
        yield keys[start : start + size]
