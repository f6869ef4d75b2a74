"""The search for the smallest epsilon against distances known exactly."""

import numpy as np
import pytest
from keras import ops
from linear_model import DIRECTION, WEIGHTS

from peernets_tf.attacks import (
    FGSM,
    PGD,
    DeepFool,
    FixedPerturbation,
    GradientDescent,
    SmallestEpsilon,
)
from peernets_tf.errors import UserError


@pytest.mark.parametrize(
    ("attack", "dual_norm"),
    [
        (FGSM(), 1),
        (PGD(steps=5), 1),
        (GradientDescent(), 2),
        (PGD(steps=20, norm="l2", random_start=False), 2),
    ],
    ids=repr,
)
def test_finds_the_distance_to_a_plane(attack, dual_norm, rng):
    images = rng.uniform(0.4, 0.6, (6, 2, 2, 1)).astype("float32")
    # How far class 1 is behind for each image; it is ahead for the last.
    behind = np.array([0.05, 0.1, 0.2, 0.3, 0.5, -0.1], "float32")
    offsets = images.reshape(-1, 4) @ DIRECTION + behind
    distances = behind / np.linalg.norm(DIRECTION, dual_norm)
    for image, offset, distance in zip(images, offsets, distances, strict=True):

        def logits_fn(x, offset=offset):
            logits = ops.matmul(ops.reshape(x, (-1, 4)), WEIGHTS)
            return logits - np.array([0, offset], "float32")

        search = SmallestEpsilon(attack=attack, halvings=6)
        adversarial = search(logits_fn, image[None], np.zeros(1, "int32"))
        change = (adversarial[0] - image).reshape(4)
        norm = np.inf if dual_norm == 1 else 2
        if distance < 0:
            # Wrong anyway: nothing to do.
            assert not change.any()
            continue
        assert np.argmax(logits_fn(adversarial)[0]) == 1
        found = np.linalg.norm(change, norm)
        assert distance - 1e-6 <= found <= distance * 1.04 + 1e-3


def test_returns_the_image_where_nothing_fools(rng):
    def constant(images):
        scores = 0 * ops.sum(images, axis=(1, 2, 3))
        return ops.stack([scores + 1, scores], axis=1)

    images = rng.uniform(0, 1, (3, 2, 2, 1)).astype("float32")
    found = SmallestEpsilon(attack=FGSM())(constant, images, np.zeros(3, "i4"))
    np.testing.assert_array_equal(found, images)


def test_takes_the_attributes_of_its_attack():
    search = SmallestEpsilon(attack=PGD(norm="l2", loss="margin"))
    assert (search.norm, search.loss, search.targeted) == (
        "l2",
        "margin",
        False,
    )
    assert SmallestEpsilon(attack=FGSM(targeted=True)).targeted


def test_refuses_an_attack_without_epsilons():
    with pytest.raises(UserError, match="must be one with a search"):
        SmallestEpsilon(attack=DeepFool())


@pytest.mark.parametrize(
    "argument",
    [
        {"epsilon": 0.1},
        {"step_size": 0.01},
        {"keep_best": False},
        {"stop_when_fooled": False},
    ],
    ids=str,
)
def test_a_search_refuses_what_it_sets(argument):
    with pytest.raises(UserError, match=f"sets `{next(iter(argument))}`"):
        SmallestEpsilon.over(PGD, image_shape=(2, 2, 1), **argument)


@pytest.mark.parametrize("attack_type", [DeepFool, FixedPerturbation])
def test_refuses_to_search_without_epsilons(attack_type):
    with pytest.raises(UserError, match="must be one with a search"):
        SmallestEpsilon.over(attack_type, image_shape=(4, 4, 3))


@pytest.mark.parametrize(
    ("options", "largest"),
    [
        ({}, 1.0),
        ({"norm": "l2"}, np.sqrt(48)),
        ({"largest_epsilon": 0.3}, 0.3),
    ],
)
def test_a_search_ends_where_all_images_are_in_the_ball(options, largest):
    search = SmallestEpsilon.over(
        PGD, image_shape=(4, 4, 3), steps=7, **options
    )
    assert search.largest_epsilon == pytest.approx(largest)
    assert isinstance(search.attack, PGD)
    assert search.attack.steps == 7
    assert search.attack.stop_when_fooled
