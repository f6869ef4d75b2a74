"""The shortlist is long enough, and its first survivors are taken in order."""

import fractions
import math

import keras
import numpy as np
import pytest

from peernets_tf.layers import choose_neighbors, neighbor_choice

# Directions at 0, 10, 30 and 70 degrees.
KEYS = np.array(
    [[math.cos(a), math.sin(a)] for a in np.radians([0, 10, 30, 70])],
    "float32",
)


def test_neighbors_by_hand():
    found = choose_neighbors(KEYS, KEYS, 2, epsilon=1e-6)
    np.testing.assert_array_equal(found, [[0, 1], [1, 0], [2, 1], [3, 2]])
    found = choose_neighbors(KEYS, KEYS, 2, epsilon=1e-6, exclude_self=True)
    np.testing.assert_array_equal(found, [[1, 2], [0, 2], [1, 0], [2, 1]])


def test_every_key_but_the_pixel_itself_may_be_dropped():
    """With a rate of 1/2, each of 3 candidates is first or not as it falls."""
    found = [
        choose_neighbors(
            KEYS,
            KEYS,
            1,
            epsilon=1e-6,
            exclude_self=True,
            dropout=0.5,
            generator=keras.random.SeedGenerator(seed),
        )
        for seed in range(200)
    ]
    firsts = np.concatenate(found, axis=1)[0]
    counts = np.bincount(firsts, minlength=4)
    assert counts[0] == 0
    # Of 200: 1/2, 1/4, 1/8, and all dropped 1/8, which the nearest stands for.
    np.testing.assert_allclose(counts[1:], [125, 50, 25], atol=25)


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
