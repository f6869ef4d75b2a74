"""Norms, projections, steps and random points of balls."""

import numpy as np
import pytest
from keras import ops

from peernets_tf.attacks import norms

CHANGE = np.array([[3.0, -4.0], [0.3, 0.4]], "float32").reshape(2, 1, 2, 1)


def as_rows(tensor):
    return ops.convert_to_numpy(tensor).reshape(-1, 2)


def test_norms():
    np.testing.assert_allclose(norms.norms(CHANGE, "linf"), [4, 0.4])
    np.testing.assert_allclose(norms.norms(CHANGE, "l2"), [5, 0.5])


def test_projects_each_image_to_its_own_ball():
    epsilon = np.array([2, 1], "float32")
    np.testing.assert_allclose(
        as_rows(norms.project(CHANGE, "linf", epsilon)), [[2, -2], [0.3, 0.4]]
    )
    np.testing.assert_allclose(
        as_rows(norms.project(CHANGE, "l2", epsilon)),
        [[1.2, -1.6], [0.3, 0.4]],
        rtol=1e-6,
    )


def test_the_steepest_direction_has_norm_one():
    np.testing.assert_allclose(
        as_rows(norms.steepest_direction(CHANGE, "linf")), [[1, -1], [1, 1]]
    )
    # Squares of these would vanish in float32.
    tiny = CHANGE * np.float32(1e-30)
    np.testing.assert_allclose(
        as_rows(norms.steepest_direction(tiny, "l2")),
        [[0.6, -0.8], [0.6, 0.8]],
        rtol=1e-5,
    )
    for norm in norms.NORMS:
        direction = norms.steepest_direction(0 * CHANGE, norm)
        np.testing.assert_array_equal(as_rows(direction), np.zeros((2, 2)))


@pytest.mark.parametrize("norm", norms.NORMS)
def test_random_points_fill_the_ball(norm, rng):
    epsilon = np.full(4000, 0.5)
    points = norms.random_points((4000, 1, 2, 1), norm, epsilon, rng)
    sizes = ops.convert_to_numpy(norms.norms(points, norm))
    assert sizes.max() <= 0.5
    # Uniform in the plane: the square of the norm is uniform.
    shares = np.sort((sizes / 0.5) ** 2)
    np.testing.assert_allclose(shares, np.linspace(0, 1, 4000), atol=0.04)
    on_surface = norms.random_points(
        (4000, 1, 2, 1), norm, epsilon, rng, on_surface=True
    )
    np.testing.assert_allclose(norms.norms(on_surface, norm), 0.5, rtol=1e-5)


@pytest.mark.parametrize("norm", norms.NORMS)
def test_random_starts_share_a_direction(norm, rng):
    images = np.full((3, 4, 4, 2), 0.5, "float32")
    images[2] = 0.0
    epsilon = np.array([0.1, 0.2, 0.1], "float32")
    starts = norms.random_start(images, norm, epsilon, rng)
    change = starts - images
    sizes = ops.convert_to_numpy(norms.norms(change[:2], norm))
    np.testing.assert_allclose(sizes, epsilon[:2], rtol=1e-5)
    np.testing.assert_allclose(change[1], 2 * change[0], atol=1e-6)
    np.testing.assert_allclose(change[2], np.maximum(change[0], 0), atol=1e-6)
    assert len(np.unique(change[0])) > 20
