"""The shortlist is long enough, and its first survivors are taken in order."""

import fractions
import math

import numpy as np
import pytest

from peernets_tf.layers import neighbor_choice


def test_first_survivors_by_hand():
    shortlist = np.array([[7, 3, 9, 1, 5]])
    dropped = np.array([[True, False, True, False, False]])
    found = neighbor_choice.first_survivors(shortlist, 2, [dropped])
    np.testing.assert_array_equal(found, [[3, 1]])
    # Too few survive: dropped ones stand in, and after them forbidden ones.
    forbidden = np.array([[False, False, False, False, True]])
    found = neighbor_choice.first_survivors(shortlist, 5, [dropped, forbidden])
    np.testing.assert_array_equal(found, [[3, 1, 7, 9, 5]])


def test_nothing_blocked_keeps_the_order():
    shortlist = np.array([[4, 2, 8]])
    found = neighbor_choice.first_survivors(shortlist, 2, [])
    np.testing.assert_array_equal(found, [[4, 2]])


@pytest.mark.parametrize(
    ("num_neighbors", "rate", "expected"), [(10, 0.2, 20), (10, 0.0, 10)]
)
def test_size_of_the_shortlist(num_neighbors, rate, expected):
    assert neighbor_choice.shortlist_size(num_neighbors, rate) == expected


@pytest.mark.parametrize(
    ("num_neighbors", "rate"), [(1, 0.2), (10, 0.2), (10, 0.5), (500, 0.8)]
)
def test_the_shortlist_is_just_long_enough(num_neighbors, rate):
    """At most 1 pixel in 1,000 lacks survivors; with one less, more would."""
    size = neighbor_choice.shortlist_size(num_neighbors, rate)
    assert _share_without_survivors(size, num_neighbors, rate) <= 1e-3
    assert _share_without_survivors(size - 1, num_neighbors, rate) > 1e-3


def test_the_shortlist_ends_with_the_keys():
    assert neighbor_choice.shortlist_size(10, 1 - 1e-9, num_keys=300) == 300


def _share_without_survivors(size, num_neighbors, rate):
    """Returns the exact binomial probability of too few survivors."""
    rate = fractions.Fraction(rate).limit_denominator(1000)
    keep = 1 - rate
    probability = sum(
        math.comb(size, k) * keep**k * rate ** (size - k)
        for k in range(num_neighbors)
    )
    return float(probability)
