"""PGD against numbers worked out by hand, and its own rules."""

import numpy as np
import pytest
from keras import ops
from linear_model import DIRECTION, IMAGES, change, linear

from peernets_tf.attacks import PGD, Classifier


def test_reaches_the_best_point_of_the_ball():
    # The third value has no gradient and stays where it started.
    np.testing.assert_allclose(
        change(PGD(epsilon=0.1, steps=20))[[0, 1, 3]],
        0.1 * np.array([1, -1, 1]),
        atol=1e-6,
    )
    unit = DIRECTION / np.linalg.norm(DIRECTION)
    pgd = PGD(epsilon=0.1, steps=50, norm="l2", random_start=False)
    np.testing.assert_allclose(change(pgd), 0.1 * unit, atol=1e-5)


@pytest.mark.parametrize("step_size", [None, 8 / 255])
def test_every_image_may_have_its_own_epsilon(step_size):
    images = np.repeat(IMAGES, 3, axis=0)
    radius = np.array([0.0, 0.1, 0.3], "float32")
    # The step size scales with the radius.
    adversarial = PGD(steps=3, step_size=step_size).perturb_within(
        Classifier(linear), images, np.zeros(3, "int32"), radius, seed=0
    )
    sizes = np.abs(adversarial - images).max(axis=(1, 2, 3))
    np.testing.assert_allclose(sizes, radius, atol=1e-6)


@pytest.mark.parametrize("step_size", [0.01, 8 / 255, 0.1])
def test_at_its_own_radius_the_step_size_is_exact(step_size):
    pgd = PGD(epsilon=0.3, steps=1, step_size=step_size, random_start=False)
    step = np.float32(step_size)
    expected = IMAGES.reshape(4) + step * np.array([1, -1, 0, 1], "float32")
    np.testing.assert_array_equal(change(pgd), expected - IMAGES.reshape(4))


def bumpy(images):
    """A loss with many local maxima."""
    x = ops.reshape(images, (-1, 4))
    wave = ops.sum(ops.sin(20 * x) * x, axis=1, keepdims=True)
    return ops.concatenate([ops.zeros_like(wave), wave], axis=1)


def test_the_best_iterate_is_kept(rng):
    images = rng.uniform(0, 1, (20, 2, 2, 1)).astype("float32")
    labels = np.zeros(20, "int32")
    classifier = Classifier(bumpy)

    def losses(**options):
        attack = PGD(epsilon=0.3, step_size=0.1, loss="margin", **options)
        adversarial = attack(classifier, images, labels, seed=1)
        return ops.convert_to_numpy(bumpy(adversarial))[:, 1]

    last = losses(steps=8, keep_best=False)
    best = losses(steps=8)
    assert np.all(best >= last - 1e-6)
    assert np.any(best > last + 1e-3)
    assert np.all(losses(steps=16) >= best - 1e-6)
    more = losses(steps=8, restarts=4)
    assert np.all(more >= best - 1e-6)
    assert np.any(more > best + 1e-3)


def test_targeted_reaches_its_class(rng):
    weights = rng.standard_normal((4, 5)).astype("float32")

    def logits_fn(images):
        return ops.matmul(ops.reshape(images, (-1, 4)) - 0.5, weights)

    images = rng.uniform(0.3, 0.7, (10, 2, 2, 1)).astype("float32")
    predictions = np.argmax(logits_fn(images), axis=1)
    target_labels = ((predictions + 1) % 5).astype("int32")

    def reached(attack):
        adversarial = attack(logits_fn, images, target_labels)
        return np.sum(
            np.argmax(logits_fn(adversarial), axis=1) == target_labels
        )

    targeted = reached(PGD(epsilon=0.5, targeted=True, loss="margin"))
    assert targeted > reached(PGD(epsilon=0.5))
    assert targeted >= 5


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_stopping_fools_as_many_with_smaller_losses(norm, rng):
    images = rng.uniform(0, 1, (40, 2, 2, 1)).astype("float32")
    before = images.copy()
    labels = np.zeros(40, "int32")

    def logits_fn(images):
        return bumpy(images) + np.array([1.5, 0], "float32")

    def gaps(stop):
        attack = PGD(
            epsilon=0.1, norm=norm, steps=17, restarts=2, stop_when_fooled=stop
        )
        adversarial = attack(logits_fn, images, labels, seed=1)
        assert np.abs(adversarial - images).max() <= 0.1 + 1e-6
        logits = ops.convert_to_numpy(logits_fn(adversarial))
        return logits[:, 1] - logits[:, 0]

    stopped, whole = gaps(True), gaps(False)
    np.testing.assert_array_equal(stopped > 0, whole > 0)
    assert 5 < np.sum(stopped > 0) < 35
    assert np.all(stopped <= whole + 1e-5)
    assert np.any(stopped < whole - 0.01)
    np.testing.assert_array_equal(images, before)
