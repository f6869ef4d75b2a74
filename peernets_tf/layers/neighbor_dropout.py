"""Dropout on distances, drawn on a short list instead of on all pairs.

Dropping each candidate independently and taking the K nearest of those that
are left has the same distribution as drawing on a sorted shortlist and taking
its first K survivors, as long as the shortlist holds K survivors.
"""

import math
from collections.abc import Sequence

from keras import ops

from peernets_tf.types import Tensor

# The largest share of pixels that may find fewer than K survivors. There,
# dropped neighbours stand in for the missing ones. With K = 10 and a rate of
# 0.2 the shortlist holds 20 candidates: 6 pixels in 10,000 lack survivors, and
# 68 of 1,000,000 neighbours should have been dropped. From batch to batch,
# chance changes the dropped share by more than that. With 24 candidates a
# training step of PR-ResNet-32 took 5 % longer on two CPU cores.
_SHARE_WITHOUT_SURVIVORS = 1e-3


def shortlist_size(num_neighbors: int, rate: float) -> int:
    """Returns how many candidates hold `num_neighbors` survivors.

    They do for at least 999 pixels of 1,000.

    Args:
        num_neighbors: int, K.
        rate: float in [0, 1), the probability that a candidate is dropped.
    """
    if rate == 0:
        return num_neighbors
    # The place of the K-th survivor has a negative binomial distribution.
    size, probability = num_neighbors - 1, 0.0
    while probability < 1 - _SHARE_WITHOUT_SURVIVORS:
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
