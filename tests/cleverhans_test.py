"""Ours and cleverhans's adversarial images are the same."""

import random

import keras
import numpy as np
import pytest

from peernets_tf import datasets, models
from peernets_tf.attacks import ATTACKS, FGSM, PGD, Classifier
from peernets_tf.errors import UserError

pytest.importorskip("cleverhans", reason="pip install cleverhans")
pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="cleverhans needs TensorFlow",
)
METHODS = ["fgsm", "pgd", "bim", "mim"]


@pytest.fixture(scope="module")
def problem():
    model = models.load_pretrained("mnist_lenet5")
    split = datasets.load("mnist5k").test
    # Every twentieth image of each class; the classes take turns.
    chosen = np.arange(len(split)).reshape(-1, 10)[::20].ravel()
    # With less contrast, because cleverhans shortens L2 steps where the
    # network is so sure that the gradient is below 1e-6.
    images = 0.3 * split.images[chosen] + 0.35
    classifier = Classifier(lambda x: model(x, training=False))
    return classifier, images, split.labels[chosen]


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.1), ("l2", 1.0)])
@pytest.mark.parametrize("method", ["fgsm", "pgd"])
def test_same_adversarial_images(method, norm, epsilon, targeted, problem):
    options = {"epsilon": epsilon, "norm": norm, "targeted": targeted}
    if method == "fgsm":
        ours = FGSM(**options)
    else:
        options |= {"steps": 10, "random_start": False}
        ours = PGD(keep_best=False, **options)
    theirs = ATTACKS[f"cleverhans.{method}"](**options)
    before = problem[0].queries
    expected = theirs(*problem)
    after = problem[0].queries
    assert np.abs(expected - problem[1]).max() > epsilon / 20
    np.testing.assert_allclose(ours(*problem), expected, atol=1e-5)
    assert after - before == problem[0].queries - after


@pytest.mark.parametrize("method", METHODS)
def test_every_method_fools(method, problem):
    classifier, images, labels = problem
    options = {} if method == "fgsm" else {"steps": 10}
    attack = ATTACKS[f"cleverhans.{method}"](epsilon=0.15, **options)
    assert attack.name == f"cleverhans.{method}"

    def correct(images):
        return np.sum(classifier.predict(images) == labels)

    adversarial = attack(*problem, seed=1)
    assert correct(adversarial) < correct(images)
    np.testing.assert_array_equal(adversarial, attack(*problem, seed=1))
    assert np.abs(adversarial - images).max() <= 0.15 + 1e-6


def test_leaves_the_global_random_numbers_alone(problem):
    import tensorflow as tf

    def draw():
        return [
            random.random(),
            np.random.random(),
            float(tf.random.uniform(())),
        ]

    keras.utils.set_random_seed(7)
    expected = [draw(), draw()]
    keras.utils.set_random_seed(7)
    found = [draw()]
    ATTACKS["cleverhans.pgd"](steps=1)(*problem, seed=3)
    found.append(draw())
    assert found == expected


def test_seeds_differ(problem):
    attack = ATTACKS["cleverhans.pgd"](steps=1)
    first, second = (attack(*problem, seed=seed) for seed in (0, 1))
    assert np.any(first != second)


def test_another_backend_is_refused_when_the_attack_runs(problem, monkeypatch):
    attack = ATTACKS["cleverhans.bim"]()
    attack.check_available()
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    for run in (attack.check_available, lambda: attack(*problem)):
        with pytest.raises(UserError, match="KERAS_BACKEND=tensorflow"):
            run()


def test_refuses_a_step_above_epsilon():
    with pytest.raises(UserError, match="step_size=0.2, epsilon=0.1"):
        ATTACKS["cleverhans.bim"](epsilon=0.1, step_size=0.2)
