"""Perturbations that are made once, and read."""

import dataclasses

import numpy as np
import pytest
from keras import ops

from peernets_tf import perturbations
from peernets_tf.attacks import UniversalGradient, guards

MAKER = UniversalGradient(epsilon=0.5, passes=2, batch_size=4)


def logits_fn(images):
    flat = ops.reshape(images, (-1, 4))
    return ops.stack([flat[:, 0], ops.sum(flat[:, 1:], axis=1)], axis=1)


@pytest.fixture
def images(rng):
    return rng.uniform(0, 1, (10, 2, 2, 1)).astype("float32")


def make(path, images, maker=MAKER, **changes):
    options = {"seed": 0, "identity": "a", **changes}
    return perturbations.make(maker, logits_fn, images, path=path, **options)


def test_is_made_once(images, tmp_path):
    path = str(tmp_path / "v")
    first = make(path, images)
    assert repr(MAKER) in repr(first)
    np.testing.assert_array_equal(first.perturbation, MAKER(logits_fn, images))

    def fails(images):
        raise AssertionError

    again = perturbations.make(
        MAKER, fails, images, path=path, seed=0, identity="a"
    )
    np.testing.assert_array_equal(again.perturbation, first.perturbation)
    read = perturbations.read(f"{path}.npy", (2, 2, 1))
    np.testing.assert_array_equal(read.perturbation, first.perturbation)


@pytest.mark.parametrize(
    "changes",
    [
        {"maker": dataclasses.replace(MAKER, epsilon=0.4)},
        {"seed": 1},
        {"identity": "b"},
    ],
)
def test_refuses_the_progress_of_another(changes, images, tmp_path):
    path = str(tmp_path / "v")
    make(path, images)
    with pytest.raises(guards.AttackError, match="another perturbation"):
        make(path, images, **changes)


def test_reading_what_is_none(tmp_path):
    path = tmp_path / "v.npy"
    path.write_text("not an array")
    with pytest.raises(ValueError, match="cannot read"):
        perturbations.read(str(path), (2, 2, 1))
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="cannot read"):
        perturbations.read(str(path), (2, 2, 1))
    with open(path, "wb") as file:
        np.savez(file, np.zeros(3))
    with pytest.raises(ValueError, match="not an .npy array"):
        perturbations.read(str(path), (2, 2, 1))
    np.save(path, np.zeros((3, 2, 1)))
    with pytest.raises(ValueError, match="shape"):
        perturbations.read(str(path), (2, 2, 1))
