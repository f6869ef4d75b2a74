"""Ours and cleverhans's adversarial images are the same."""

import keras
import numpy as np
import pytest

from peernets_tf import data, load_pretrained
from peernets_tf.attacks import FGSM, PGD, CleverHans

pytest.importorskip("cleverhans", reason="pip install cleverhans")
pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="cleverhans needs TensorFlow",
)


@pytest.fixture(scope="module")
def problem():
    model = load_pretrained("mnist_lenet5")
    split = data.load("mnist5k").test
    # With less contrast, because cleverhans shortens L2 steps where the
    # network is so sure that the gradient is below 1e-6.
    images = 0.3 * split.images[::20] + 0.35
    return lambda x: model(x, training=False), images, split.labels[::20]


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.1), ("l2", 1.0)])
@pytest.mark.parametrize("method", ["fgsm", "pgd"])
def test_same_adversarial_images(method, norm, epsilon, targeted, problem):
    options = {"epsilon": epsilon, "norm": norm, "targeted": targeted}
    if method == "fgsm":
        ours = FGSM(**options)
        theirs = CleverHans(method="fgsm", **options)
    else:
        options |= {"steps": 10, "random_start": False}
        ours = PGD(keep_best=False, **options)
        theirs = CleverHans(method="pgd", **options)
    expected = theirs(*problem)
    assert np.abs(expected - problem[1]).max() > epsilon / 20
    np.testing.assert_allclose(ours(*problem), expected, atol=1e-5)


@pytest.mark.parametrize("method", ["fgsm", "pgd", "bim", "mim"])
def test_every_method_fools(method, problem):
    logits_fn, images, labels = problem
    attack = CleverHans(method=method, epsilon=0.15, steps=10)

    def correct(images):
        return np.sum(np.argmax(logits_fn(images), axis=1) == labels)

    adversarial = attack(*problem, seed=1)
    assert correct(adversarial) < correct(images)
    np.testing.assert_array_equal(adversarial, attack(*problem, seed=1))
    assert np.abs(adversarial - images).max() <= 0.15 + 1e-6
