"""What strengths of attacks are called."""

import pytest

from peernets_tf.evaluation import Strength


@pytest.mark.parametrize(
    ("strength", "name"),
    [
        (Strength(norm="l2", epsilon=2.9, rho=0.1), "rho_0.1"),
        (Strength(norm="linf", epsilon=8 / 255), "linf_0.0313725"),
        (Strength(norm="linf"), "linf_smallest"),
        (Strength(norm="linf", epsilon=0.5, steps=9), "linf_0.5_9_steps"),
    ],
)
def test_names_of_strengths(strength, name):
    assert strength.name == name
