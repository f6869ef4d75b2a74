"""FGSM against numbers worked out by hand."""

import numpy as np
import pytest
from linear_model import IMAGES, LABELS, change, linear

from peernets_tf.attacks import FGSM, Classifier


@pytest.mark.parametrize("loss", ["cross_entropy", "margin"])
def test_is_exact_on_a_linear_model(loss):
    signs = np.array([1, -1, 0, 1])
    np.testing.assert_allclose(
        change(FGSM(epsilon=0.1, loss=loss)), 0.1 * signs, atol=1e-6
    )
    np.testing.assert_allclose(
        change(FGSM(epsilon=0.1, loss=loss, targeted=True)),
        -0.1 * signs,
        atol=1e-6,
    )


def test_the_l2_step_has_its_length_for_a_tiny_gradient():
    def saturated(images):
        return 30 + 1e-9 * linear(images)

    adversarial = FGSM(epsilon=0.1, norm="l2", loss="margin")(
        saturated, IMAGES, LABELS
    )
    assert np.linalg.norm(adversarial - IMAGES) == pytest.approx(0.1, rel=1e-4)


def test_every_image_may_have_its_own_epsilon():
    images = np.repeat(IMAGES, 3, axis=0)
    radius = np.array([0.0, 0.1, 0.3], "float32")
    adversarial = FGSM().perturb_within(
        Classifier(linear), images, np.zeros(3, "int32"), radius, seed=0
    )
    sizes = np.abs(adversarial - images).max(axis=(1, 2, 3))
    np.testing.assert_allclose(sizes, radius, atol=1e-6)
