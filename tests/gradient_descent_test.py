"""Gradient descent against numbers worked out by hand."""

import numpy as np
import pytest
from linear_model import DIRECTION, change

from peernets_tf.attacks import GradientDescent


@pytest.mark.parametrize("loss", ["cross_entropy", "margin"])
def test_steps_along_the_gradient(loss):
    unit = DIRECTION / np.linalg.norm(DIRECTION)
    np.testing.assert_allclose(
        change(GradientDescent(epsilon=0.2, loss=loss)), 0.2 * unit, atol=1e-6
    )
