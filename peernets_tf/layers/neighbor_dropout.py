"""Dropout on distances, drawn on a short list instead of on all pairs.

Dropping each candidate independently and taking the K nearest of those that
are left has the same distribution as drawing on a sorted shortlist and taking
its first K survivors, as long as the shortlist holds K survivors.
"""

from collections.abc import Sequence

from keras import ops

from peernets_tf.types import Tensor

# Standard deviations of the number of candidates that K survivors take. With
# K = 10 and a rate of 0.2 the shortlist holds 24 candidates, and 7 in a million
# pixels find fewer than 10 survivors.
_DEVIATIONS = 6.3


def shortlist_size(num_neighbors: int, rate: float) -> int:
    """Returns how many candidates hold `num_neighbors` survivors.

    Args:
        num_neighbors: int, K.
        rate: float in [0, 1), the probability that a candidate is dropped.
    """
    if rate == 0:
        return num_neighbors
    # The number of candidates is negative binomial.
    keep = 1 - rate
    mean = num_neighbors / keep
    deviation = (num_neighbors * rate) ** 0.5 / keep
    return num_neighbors + int(
        mean - num_neighbors + _DEVIATIONS * deviation + 0.5
    )


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
