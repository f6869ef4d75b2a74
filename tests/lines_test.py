"""Lines carry the intervals of their counts, and their names never overlap."""

import drawn_lines
import numpy as np
import pytest
from matplotlib.figure import Figure

from peernets_tf import pictures
from peernets_tf.pictures import lines
from peernets_tf.records import statistics


def test_a_counted_point_has_its_interval():
    point = lines.Point.counted(8, 646, 1000)
    low, high = statistics.wilson_interval(646, 1000)
    assert (point.x, point.y) == (8, pytest.approx(64.6))
    assert (point.low, point.high) == (100 * low, 100 * high)


def test_spread_keeps_what_is_far_apart():
    assert lines.spread([0, 10, 30], 5) == [0, 10, 30]
    assert lines.spread([], 5) == []


@pytest.mark.parametrize("seed", range(5))
def test_spread_keeps_order_gaps_and_the_mean_of_a_block(seed):
    positions = np.sort(np.random.default_rng(seed).uniform(0, 40, 9))
    moved = lines.spread(list(positions), 5)
    assert np.diff(moved).min() >= 5 - 1e-9
    # All nine need 40 of the 40 there are, so they form few blocks; each keeps
    # the mean of its positions, and so do all together.
    assert np.mean(moved) == pytest.approx(positions.mean())


def test_spread_is_the_nearest():
    """Two equal positions move apart by half of the gap each."""
    assert lines.spread([3, 3], 2) == [2, 4]


def test_merge_keeps_the_strongest_of_equal_x():
    points = [
        ("a", lines.Point.bare(8, 60)),
        ("a", lines.Point.bare(2, 70)),
        ("a", lines.Point.bare(8, 50)),
        ("b", lines.Point.bare(8, 1)),
    ]
    low = lines.merge(points, lowest=True)
    assert [(p.x, p.y) for p in low["a"]] == [(2, 70), (8, 50)]
    high = lines.merge(points, lowest=False)
    assert [(p.x, p.y) for p in high["a"]] == [(2, 70), (8, 60)]
    assert [(p.x, p.y) for p in high["b"]] == [(8, 1)]


def test_every_line_is_drawn_and_named_as_it_is():
    shown = [
        lines.Line(
            label=label,
            model="resnet32",
            kind="exact",
            points=(lines.Point.bare(0, 90), lines.Point.bare(end, 10)),
        )
        # A formula would be an error: \frac has no arguments.
        for label, end in (("ends early", 2), (r"$\frac$ a", 8), ("b", 8))
    ]
    with pictures.styled(pictures.LIGHT):
        figure = Figure()
        axes = figure.subplots()
        axes.set_ylim(0, 100)
        axes.set_xlim(0, 8)
        lines.draw_lines(axes, shown, pictures.LIGHT, gap=6)
        figure.canvas.draw()
    assert sorted(drawn_lines.texts(axes)) == sorted(
        ["ends early", r"\$\frac\$ a", "b"]
    )
    assert drawn_lines.lines(axes)[0] == [(0, 90), (2, 10)]


def test_a_single_measurement_beside_others_stays_a_marker():
    zero, one, two = (lines.Point.bare(x, 90 - x) for x in (0, 1, 2))
    found = lines.from_zero({"a": (one, two), "b": (two,)}, lambda key: zero)
    assert found == {"a": (zero, one, two), "b": (two,)}
    found = lines.from_zero({"a": (one,), "b": (two,)}, lambda key: zero)
    assert found == {"a": (zero, one), "b": (zero, two)}


@pytest.mark.parametrize(
    ("end", "other", "is_below"),
    [(50, 20, False), (50, 58, True), (97, 20, True), (3, 8, False)],
)
def test_a_name_stands_where_there_is_room(end, other, is_below):
    """At (4, end), beside a line through (4, other)."""
    early, long = (
        lines.Line(
            label=str(x),
            model="resnet32",
            kind="exact",
            points=(lines.Point.bare(0, y), lines.Point.bare(x, y)),
        )
        for x, y in ((4, end), (16, other))
    )
    with pictures.styled(pictures.LIGHT):
        axes = Figure().subplots()
        axes.set_ylim(0, 100)
        axes.set_xlim(0, 16)
        lines.draw_lines(axes, [early, long], pictures.LIGHT, gap=6)
    name, _ = axes.texts
    assert (name.get_position()[1] < 0) == is_below
