"""The shortlist is long enough, and its first survivors are taken in order."""

import math

import numpy as np
import pytest

from peernets_tf.layers import neighbor_dropout


def test_first_survivors_by_hand():
    shortlist = np.array([[7, 3, 9, 1, 5]])
    dropped = np.array([[True, False, True, False, False]])
    found = neighbor_dropout.first_survivors(shortlist, 2, [dropped])
    np.testing.assert_array_equal(found, [[3, 1]])
    # Too few survive: dropped ones stand in, and after them forbidden ones.
    forbidden = np.array([[False, False, False, False, True]])
    found = neighbor_dropout.first_survivors(shortlist, 5, [dropped, forbidden])
    np.testing.assert_array_equal(found, [[3, 1, 7, 9, 5]])


def test_nothing_blocked_keeps_the_order():
    shortlist = np.array([[4, 2, 8]])
    found = neighbor_dropout.first_survivors(shortlist, 2, [])
    np.testing.assert_array_equal(found, [[4, 2]])


@pytest.mark.parametrize(
    ("num_neighbors", "rate", "expected"), [(10, 0.2, 24), (10, 0.0, 10)]
)
def test_size_of_the_shortlist(num_neighbors, rate, expected):
    assert neighbor_dropout.shortlist_size(num_neighbors, rate) == expected


@pytest.mark.parametrize(("num_neighbors", "rate"), [(10, 0.2), (10, 0.5)])
def test_the_shortlist_holds_enough_survivors(num_neighbors, rate):
    """The exact binomial probability of too few is below 1 in 100,000."""
    size = neighbor_dropout.shortlist_size(num_neighbors, rate)
    too_few = sum(
        math.comb(size, k) * (1 - rate) ** k * rate ** (size - k)
        for k in range(num_neighbors)
    )
    assert too_few < 1e-5
