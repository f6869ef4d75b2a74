"""Ours, Foolbox's and ART's attacks fool the same share of images.

Optional: pip install -e ".[benchmark]".
"""

import keras
import numpy as np
import pytest

from benchmarks import rivals
from peernets_tf import datasets, models
from peernets_tf.attacks import FGSM, PGD, Classifier, FiniteDifference

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="needs TensorFlow"
)
STEPS = 10


@pytest.fixture(scope="module")
def problem():
    split = datasets.load("mnist5k").test
    return models.load_pretrained("mnist_lenet5"), split.images, split.labels


@pytest.fixture(params=[("linf", 0.1), ("l2", 1.5)], ids=["linf", "l2"])
def ball(request):
    return request.param


def fooling_rate(model, adversarial, labels):
    return np.mean(
        np.argmax(model.predict(adversarial, verbose=0), axis=1) != labels
    )


def ours(problem, ball):
    """The fooling rates of FGSM and PGD."""
    model, images, labels = problem
    norm, epsilon = ball
    attacks = (
        FGSM(epsilon=epsilon, norm=norm),
        PGD(
            epsilon=epsilon,
            norm=norm,
            steps=STEPS,
            step_size=epsilon / 5,
            random_start=False,
            keep_best=False,
        ),
    )
    classifier = Classifier(lambda x: model(x, training=False))
    return [
        fooling_rate(model, attack(classifier, images, labels), labels)
        for attack in attacks
    ]


def test_one_query_at_a_time_finds_the_same_images(problem):
    """The benchmark compares the times of equal attacks."""
    model, images, labels = problem
    test = datasets.Split(images=images[:2], labels=labels[:2])
    classifier = Classifier(lambda x: model(x, training=False))
    options = {"num_groups": 784, "delta": 0.01}
    before = classifier.queries
    found = rivals.finite_differences_one_by_one(
        classifier.logits, test, 0.1, **options
    )
    between = classifier.queries
    expected = FiniteDifference(epsilon=0.1, **options)(
        classifier, test.images, test.labels
    )
    assert classifier.queries - between == between - before
    assert np.mean(np.abs(found - expected) < 1e-6) > 0.95


def check(rates, expected):
    assert expected[1] > expected[0] > 0.05
    np.testing.assert_allclose(rates, expected, atol=0.01)


def test_foolbox(problem, ball, monkeypatch):
    pytest.importorskip("foolbox", reason="pip install foolbox")
    import tensorflow as tf

    if not hasattr(np, "find_common_type"):
        # Foolbox 3.3 calls it; NumPy 2 removed it.
        monkeypatch.setattr(
            np,
            "find_common_type",
            lambda arrays, scalars: np.result_type(*arrays, *scalars),
            raising=False,
        )
    import foolbox

    model, images, labels = problem
    norm, epsilon = ball
    options = {
        "steps": STEPS,
        "abs_stepsize": epsilon / 5,
        "random_start": False,
    }
    attacks = {
        "linf": (
            foolbox.attacks.LinfFastGradientAttack(),
            foolbox.attacks.LinfPGD(**options),
        ),
        "l2": (
            foolbox.attacks.L2FastGradientAttack(),
            foolbox.attacks.L2PGD(**options),
        ),
    }[norm]
    wrapped = foolbox.TensorFlowModel(
        lambda x: model(x, training=False), bounds=(0, 1)
    )
    expected = [
        fooling_rate(
            model,
            attack(
                wrapped,
                tf.constant(images),
                tf.constant(labels),
                epsilons=epsilon,
            )[1].numpy(),
            labels,
        )
        for attack in attacks
    ]
    check(ours(problem, ball), expected)


@pytest.mark.filterwarnings("ignore:PyTorch not found")
def test_art(problem, ball):
    pytest.importorskip(
        "art.attacks.evasion",
        reason="pip install adversarial-robustness-toolbox",
    )
    import tensorflow as tf
    from art.attacks.evasion import (
        FastGradientMethod,
        ProjectedGradientDescent,
    )
    from art.estimators.classification import TensorFlowV2Classifier

    model, images, labels = problem
    norm, epsilon = ball
    classifier = TensorFlowV2Classifier(
        model,
        nb_classes=10,
        input_shape=images.shape[1:],
        loss_object=tf.keras.losses.SparseCategoricalCrossentropy(
            from_logits=True
        ),
        clip_values=(0, 1),
    )
    options = {
        "norm": {"linf": np.inf, "l2": 2}[norm],
        "eps": epsilon,
        "batch_size": 100,
    }
    attacks = (
        FastGradientMethod(classifier, **options),
        ProjectedGradientDescent(
            classifier,
            eps_step=epsilon / 5,
            max_iter=STEPS,
            num_random_init=0,
            verbose=False,
            **options,
        ),
    )
    expected = [
        fooling_rate(model, attack.generate(images, labels), labels)
        for attack in attacks
    ]
    check(ours(problem, ball), expected)
