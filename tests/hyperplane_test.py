"""Projections onto hyperplanes in a box, against hand and brute force."""

import box_hyperplane
import numpy as np
import pytest
from keras import ops

from peernets_tf.attacks import hyperplane, norms


def shortest_change(points, gradients, values, norm):
    """The change of points `(B, n)`, as float64."""
    shape = (len(points), 1, 1, -1)
    change = hyperplane.shortest_change(
        points.reshape(shape).astype("float32"),
        gradients.reshape(shape).astype("float32"),
        values.astype("float32"),
        norm,
    )
    return np.float64(ops.convert_to_numpy(change)).reshape(points.shape)


@pytest.mark.parametrize(
    ("norm", "expected"),
    [
        # Along the gradient (3, -4): 0.1 = 0.02 * |(3, -4)|.
        ("l2", [-0.06, 0.08, 0]),
        # Both by 1 / 14, because the slopes are 3 and 4.
        ("linf", [-1 / 14, 1 / 14, 0]),
    ],
)
def test_by_hand_inside_the_box(norm, expected):
    points, gradient = np.full((1, 3), 0.5), np.array([[3.0, -4.0, 0.0]])
    values = np.array([0.5])
    found = shortest_change(points, gradient, values, norm)
    np.testing.assert_allclose(found, [expected], atol=1e-6)
    # From the other side of the hyperplane it is the way back.
    found = shortest_change(points, gradient, -values, norm)
    np.testing.assert_allclose(found, [np.negative(expected)], atol=1e-6)


@pytest.mark.parametrize(
    ("norm", "expected"),
    [
        # The first value stops at its border, 0.1 away: the others carry on.
        ("linf", [-0.1, 0.3, 0.3]),
        # 0.7 - 3 * 0.1 is left for slopes 1 and 1: 0.2 along each.
        ("l2", [-0.1, 0.2, 0.2]),
    ],
)
def test_by_hand_at_the_border(norm, expected):
    points = np.array([[0.1, 0.5, 0.5]])
    slope = {"linf": -2 / 3, "l2": -1}[norm]
    gradient = np.array([[3, slope, slope]])
    found = shortest_change(points, gradient, np.array([0.7]), norm)
    np.testing.assert_allclose(found, [expected], atol=1e-6)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_against_bisection(norm, rng):
    points = rng.uniform(0, 1, (200, 20))
    points[:40] = rng.integers(0, 2, (40, 20))
    gradients = rng.standard_normal((200, 20)) * rng.uniform(0, 1, (200, 20))
    gradients[rng.uniform(0, 1, gradients.shape) < 0.2] = 0
    # About half of them cannot be reached: too far away.
    values = rng.uniform(-6, 6, 200)
    found = shortest_change(points, gradients, values, norm)
    expected = np.array(
        [
            box_hyperplane.shortest_change(*row, norm)
            for row in zip(points, gradients, values, strict=True)
        ]
    )
    np.testing.assert_allclose(found, expected, atol=1e-4)
    left = values + np.sum(gradients * found, axis=1)
    is_reached = np.abs(left) < 1e-4
    assert 50 < np.sum(is_reached) < 150
    # The others are as near to zero as the box allows.
    assert np.all(np.sign(left[~is_reached]) == np.sign(values[~is_reached]))
    moved = points + found
    at_border = (moved < 1e-6) | (moved > 1 - 1e-6) | (gradients == 0)
    assert np.all(at_border[~is_reached])


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_no_random_change_is_shorter(norm, rng):
    points = rng.uniform(0, 1, (1, 3))
    gradient, value = np.array([[1.0, -2.0, 0.5]]), np.array([0.3])
    found = shortest_change(points, gradient, value, norm)
    size = float(ops.convert_to_numpy(norms.norms(found, norm))[0])
    others = rng.uniform(-1, 1, (200_000, 3))
    others = np.clip(points + others, 0, 1) - points
    crosses = value + others @ gradient[0] <= 0
    order = np.inf if norm == "linf" else 2
    sizes = np.linalg.norm(others[crosses], ord=order, axis=1)
    assert size - 1e-6 <= sizes.min() <= 1.1 * size


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20])
def test_the_scale_of_the_function_does_not_matter(norm, scale, rng):
    points = rng.uniform(0, 1, (5, 8))
    gradients, values = rng.standard_normal((5, 8)), rng.uniform(-1, 1, 5)
    np.testing.assert_allclose(
        shortest_change(points, scale * gradients, scale * values, norm),
        shortest_change(points, gradients, values, norm),
        rtol=1e-4,
        atol=1e-6,
    )


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_nothing_moves_without_a_gradient_or_a_gap(norm):
    points = np.array([[0.0, 0.5, 1.0]] * 2)
    gradients = np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]])
    found = shortest_change(points, gradients, np.array([1.0, 0.0]), norm)
    np.testing.assert_array_equal(found, np.zeros((2, 3)))
