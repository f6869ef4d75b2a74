"""The axis of radii has zero, and doublings at equal distances."""

import numpy as np
from matplotlib.figure import Figure

from peernets_tf.pictures.radius_axis import radius_axis


def ticks(radii):
    """Returns the ticks, and their places as shares of the axis."""
    axes = Figure().subplots()
    radius_axis(axes, radii, "linf")
    found = axes.xaxis.get_majorticklocs()
    places = axes.transData.transform([(x, 0) for x in found])[:, 0]
    left, right = axes.transData.transform([(0, 0), (max(radii), 0)])[:, 0]
    return list(found), (places - left) / (right - left)


def test_doublings_are_equally_far_apart():
    found, places = ticks([0, 16, 0.5, 1, 2, 4, 8])
    assert found == [0, 0.5, 1, 2, 4, 8, 16]
    np.testing.assert_allclose(np.diff(places), 1 / 6)


def test_one_radius_is_linear():
    assert ticks([8, 8])[0] == [0, 8]


def test_labels_do_not_overlap():
    found, places = ticks([0.5, *np.linspace(7, 8, 20)])
    assert found[-1] == 8
    assert np.diff(places).min() > 0.07


def test_the_label_names_the_norm_and_the_scale():
    axes = Figure().subplots()
    radius_axis(axes, [8], "l2")
    assert axes.get_xlabel() == "L2 radius (0-255 pixel scale, log)"
