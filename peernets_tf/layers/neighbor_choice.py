"""The neighbours of each pixel, with dropout on distances.

Dropping each candidate independently and taking the K nearest of those that
are left has the same distribution as drawing on a sorted shortlist and taking
its first K survivors, as long as the shortlist holds K survivors.
"""

import math
from collections.abc import Sequence

import keras
from keras import ops

from peernets_tf.layers.nearest_neighbors import nearest_neighbors
from peernets_tf.types import Tensor

# The largest share of pixels for which fewer than K candidates of the shortlist
# survive; dropped ones fill their places. With K = 10 and a rate of 0.2: 20
# candidates, 6 pixels in 10,000, 7 neighbours in 100,000.
_SHARE_WITHOUT_SURVIVORS = 1e-3


def choose_neighbors(
    queries: Tensor,
    keys: Tensor,
    k: int,
    *,
    epsilon: float,
    exclude_self: bool = False,
    dropout: float = 0.0,
    generator: keras.random.SeedGenerator | None = None,
) -> Tensor:
    """Returns the neighbours of each query among the keys.

    Args:
        queries: float tensor of shape `(Q, C)`.
        keys: float tensor of shape `(P, C)`.
        k: int, K, the number of neighbours.
        epsilon: float, see `nearest_neighbors`.
        exclude_self: bool, whether the keys are the queries, and none may be
            its own neighbour.
        dropout: float in [0, 1), the probability that a key is no candidate for
            a query.
        generator: `keras.random.SeedGenerator` for `dropout`; may be None
            without it.

    Returns:
        Int32 tensor of shape `(Q, K)`, rows of `keys`, best first.
    """
    num_keys = keys.shape[0]
    size = exclude_self + shortlist_size(k, dropout, num_keys)
    if num_keys is not None:
        size = min(size, num_keys)
    shortlist = nearest_neighbors(queries, keys, size, epsilon)
    if size == k:
        return shortlist
    blocked = []
    if dropout > 0:
        draws = keras.random.uniform(ops.shape(shortlist), seed=generator)
        blocked.append(draws < dropout)
    if exclude_self:
        own = ops.arange(ops.shape(shortlist)[0], dtype=shortlist.dtype)
        blocked.append(shortlist == own[:, None])
    if num_keys is None:
        # Places that no key fills, where there are fewer keys than `size`.
        blocked.append(shortlist >= ops.shape(keys)[0])
    return first_survivors(shortlist, k, blocked)


def shortlist_size(
    num_neighbors: int, rate: float, num_keys: int | None = None
) -> int:
    """Returns how many candidates are searched for, of which some are dropped.

    It is the smallest number of which at least K survive for 999 of 1,000
    pixels.

    Args:
        num_neighbors: int, K.
        rate: float in [0, 1), the probability that a candidate is dropped.
        num_keys: int or None, the number of all candidates, if it is known.
    """
    if rate == 0:
        return num_neighbors
    # The place of the K-th survivor has a negative binomial distribution. Its
    # probabilities are too small for a float where K is large, their logarithms
    # are not.
    size, probability = num_neighbors - 1, 0.0
    while probability < 1 - _SHARE_WITHOUT_SURVIVORS and size != num_keys:
        size += 1
        num_dropped = size - num_neighbors
        probability += math.exp(
            math.lgamma(size)
            - math.lgamma(num_neighbors)
            - math.lgamma(num_dropped + 1)
            + num_neighbors * math.log1p(-rate)
            + num_dropped * math.log(rate)
        )
    return size


def first_survivors(
    shortlist: Tensor, num_neighbors: int, blocked: Sequence[Tensor]
) -> Tensor:
    """Returns the first entries of each row that are not blocked.

    Args:
        shortlist: int tensor of shape `(Q, S)`, best first.
        num_neighbors: int, K, at most S.
        blocked: bool tensors of shape `(Q, S)`. Where fewer than K entries are
            free, those of the first mask stand in before those of the second,
            and so on.

    Returns:
        Int tensor of shape `(Q, K)`.
    """
    size = shortlist.shape[1]
    rank = ops.arange(size, dtype="float32")[None, :]
    for i, mask in enumerate(blocked):
        rank = rank + size * 2**i * ops.cast(mask, "float32")
    _, places = ops.top_k(-rank, num_neighbors)
    return ops.take_along_axis(shortlist, places, axis=1)
