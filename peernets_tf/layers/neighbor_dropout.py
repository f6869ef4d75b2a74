"""Dropout on distances, drawn on a short list instead of on all pairs.

Dropping each candidate independently and taking the K nearest of those that
are left has the same distribution as drawing on a sorted shortlist and taking
its first K survivors, as long as the shortlist holds K survivors.
"""

import math
from collections.abc import Sequence

from keras import ops

from peernets_tf.types import Tensor

# The largest share of pixels for which fewer than K candidates of the shortlist
# survive; dropped ones fill their places. With K = 10 and a rate of 0.2: 20
# candidates, 6 pixels in 10,000, 7 neighbours in 100,000.
_SHARE_WITHOUT_SURVIVORS = 1e-3


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
