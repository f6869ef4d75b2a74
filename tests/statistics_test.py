"""Wilson intervals, against values worked out by hand and a coverage count."""

import math

import numpy as np
import pytest

from peernets_tf.errors import UserError
from peernets_tf.records import statistics


def test_half_of_ten():
    # Wilson (1927): (p + z^2/2n -+ z sqrt(p q / n + z^2/4n^2)) / (1 + z^2/n).
    low, high = statistics.wilson_interval(5, 10)
    z2 = 3.8414588
    half = math.sqrt(z2 * (0.25 / 10 + z2 / 400)) / (1 + z2 / 10)
    assert (low, high) == pytest.approx((0.5 - half, 0.5 + half), abs=1e-7)


@pytest.mark.parametrize(
    ("count", "low", "high"),
    # Of 100 images, as published for Table 7 of the paper in our notes.
    [(14, 0.085, 0.221), (34, 0.255, 0.437), (45, 0.356, 0.548)],
)
def test_published_intervals(count, low, high):
    interval = statistics.wilson_interval(count, 100)
    assert interval == pytest.approx((low, high), abs=5e-4)


@pytest.mark.parametrize("count", [0, 1000])
def test_an_extreme_rate_has_an_interval_too(count):
    low, high = statistics.wilson_interval(count, 1000)
    assert 0 <= low <= count / 1000 <= high <= 1
    assert statistics.margin(count, 1000) == pytest.approx(0.00383, abs=1e-5)


def test_the_interval_covers_the_rate_in_about_95_percent_of_draws():
    counts = np.random.default_rng(0).binomial(200, 0.3, 2000)
    bounds = [statistics.wilson_interval(int(c), 200) for c in counts]
    covered = np.mean([low <= 0.3 <= high for low, high in bounds])
    assert 0.93 < covered < 0.97


def test_a_paired_difference_by_hand():
    # Of 100 images, 10 are right for the first network only, 14 for the other.
    first = np.r_[np.ones(10), np.zeros(14), np.ones(76)]
    second = np.r_[np.zeros(10), np.ones(14), np.ones(76)]
    difference, margin = statistics.paired_difference(first, second)
    assert difference == pytest.approx(-0.04)
    # Agresti and Min (2005): half an image more in each of the four cells. The
    # centre -4/102 is nearer to 0 than the difference.
    half = 1.959964 * math.sqrt(10.5 + 14.5 - 4**2 / 102) / 102
    assert margin == pytest.approx(-4 / 102 + half + 0.04)


def test_three_images_of_ten_show_no_difference():
    first = np.arange(10) < 3
    difference, margin = statistics.paired_difference(first, np.zeros(10))
    assert difference == pytest.approx(0.3)
    assert margin > difference


def test_images_on_which_networks_agree_narrow_the_margin():
    same = np.arange(1000) < 400
    assert statistics.paired_difference(same, same)[1] < 0.002
    _, paired = statistics.paired_difference(same, np.roll(same, 10))
    assert paired < statistics.margin(400, 1000)


def test_the_paired_interval_covers_in_about_95_percent_of_draws(rng):
    right = rng.random((2000, 200, 3)) < [0.5, 0.8, 0.6]
    # Each network fails on the images of the first column, and on its own.
    first, second = (right[..., 0] & right[..., i] for i in (1, 2))
    covered = []
    for one, other in zip(first, second, strict=True):
        difference, margin = statistics.paired_difference(one, other)
        covered.append(abs(difference - 0.5 * (0.8 - 0.6)) <= margin)
    assert 0.93 < np.mean(covered) < 0.97


@pytest.mark.parametrize("second", [[True], []])
def test_a_paired_difference_needs_the_same_images(second):
    first = [True, False] if second else []
    with pytest.raises(UserError, match="the same images twice"):
        statistics.paired_difference(first, second)
