"""Universal perturbations that are fitted once, resumed, and read."""

import numpy as np
import pytest
from keras import ops

from peernets_tf.attacks import Classifier, UniversalGradient
from peernets_tf.errors import UserError
from peernets_tf.evaluation import universal

ATTACK = UniversalGradient(epsilon=0.5, passes=2, batch_size=4)


def logits_fn(images):
    flat = ops.reshape(images, (-1, 4))
    return ops.stack([flat[:, 0], ops.sum(flat[:, 1:], axis=1)], axis=1)


@pytest.fixture(scope="module")
def classifier():
    return Classifier(logits_fn)


@pytest.fixture
def images(rng):
    return rng.uniform(0, 1, (10, 2, 2, 1)).astype("float32")


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "v")


def test_is_fitted_once(classifier, images, path):
    first = universal.fit(ATTACK, classifier, images, path=path, seed=0)
    expected = ATTACK.fit(classifier, images, seed=0)
    np.testing.assert_array_equal(first.perturbation, expected.perturbation)
    assert repr(first) == repr(expected)
    assert repr(ATTACK) in repr(first)

    def fails(images):
        raise AssertionError

    again = universal.fit(ATTACK, Classifier(fails), images, path=path, seed=0)
    np.testing.assert_array_equal(again.perturbation, first.perturbation)
    read = universal.read(f"{path}.npy", (2, 2, 1), "l2")
    np.testing.assert_array_equal(read.perturbation, first.perturbation)
    assert read.epsilon == pytest.approx(first.epsilon)


def test_interrupted_equals_uninterrupted(classifier, images, path):
    steps = ATTACK.iterate(classifier, images, seed=0)
    for _ in range(4):
        progress = next(steps)
    progress.save(f"{path}.npz")
    resumed = universal.fit(ATTACK, classifier, images, path=path, seed=0)
    whole = ATTACK.fit(classifier, images, seed=0)
    np.testing.assert_array_equal(resumed.perturbation, whole.perturbation)
    assert repr(resumed) == repr(whole)


def test_damaged_progress_says_what_to_do(classifier, images, path):
    with open(f"{path}.npz", "wb") as file:
        file.write(b"not an archive")
    with pytest.raises(UserError, match=r"v\.npz.*Remove"):
        universal.fit(ATTACK, classifier, images, path=path, seed=0)


def test_reading_a_file_that_is_no_perturbation(tmp_path):
    path = tmp_path / "v.npy"

    def refuses(message):
        with pytest.raises(UserError, match=message):
            universal.read(str(path), (2, 2, 1), "l2")

    refuses("cannot read")
    path.write_text("not an array")
    refuses("cannot read")
    path.write_bytes(b"")
    refuses("cannot read")
    with open(path, "wb") as file:
        np.savez(file, np.zeros(3))
    refuses("give an .npy array")
    np.save(path, np.zeros((3, 2, 1)))
    refuses(r"shape, \(2, 2, 1\)\. Received: float64 of shape \(3, 2, 1\)")
    np.save(path, np.full((2, 2, 1), "a"))
    refuses("real numbers")
