"""Properties that every attack has, on a small network."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import layers, ops

from peernets_tf import attacks
from peernets_tf.attacks import guards, projections

SHAPE = (6, 6, 2)
EPSILON = 0.1
BALLS = [
    attacks.FGSM(epsilon=EPSILON),
    attacks.FGSM(epsilon=EPSILON, norm="l2", loss="margin"),
    attacks.GradientDescent(epsilon=EPSILON),
    attacks.PGD(epsilon=EPSILON, steps=5),
    attacks.PGD(epsilon=EPSILON, steps=5, norm="l2", loss="margin", restarts=2),
    attacks.PGD(epsilon=EPSILON, steps=5, keep_best=False, step_size=0.03),
    attacks.PGD(epsilon=EPSILON, steps=7, stop_when_fooled=True),
    attacks.RandomNoise(epsilon=EPSILON),
    attacks.RandomNoise(epsilon=EPSILON, norm="l2"),
]
ALL = [
    *BALLS,
    attacks.DeepFool(max_steps=5),
    attacks.SmallestEpsilon(attack=attacks.FGSM()),
    attacks.SmallestEpsilon(attack=attacks.PGD(steps=3), halvings=2),
]


@pytest.fixture
def logits_fn():
    model = keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.Conv2D(8, 3, activation="tanh"),
            layers.Flatten(),
            layers.Dense(4),
        ]
    )
    return lambda images: model(images, training=False)


@pytest.fixture
def batch(rng, logits_fn):
    images = rng.uniform(0, 1, (7, *SHAPE)).astype("float32")
    # Values at the border of [0, 1] are the ones that clipping moves.
    images[0], images[1] = 0.0, 1.0
    predictions = ops.convert_to_numpy(logits_fn(images)).argmax(axis=1)
    return images, predictions.astype("int32")


@pytest.mark.parametrize("attack", ALL, ids=repr)
def test_images_stay_in_range(attack, logits_fn, batch):
    images, labels = batch
    adversarial = attack(logits_fn, images, labels, seed=3)
    assert adversarial.shape == images.shape
    assert adversarial.dtype == np.float32
    assert adversarial.min() >= 0
    assert adversarial.max() <= 1
    assert np.any(adversarial != images)


@pytest.mark.parametrize("attack", BALLS, ids=repr)
def test_perturbations_stay_in_the_ball(attack, logits_fn, batch):
    images, labels = batch
    change = attack(logits_fn, images, labels, seed=3) - images
    sizes = ops.convert_to_numpy(projections.norms(change, attack.norm))
    assert sizes.max() <= EPSILON + 1e-6
    # No image is forgotten.
    assert sizes.min() > EPSILON / 10


@pytest.mark.parametrize("attack", BALLS, ids=repr)
def test_epsilon_zero_returns_the_images(attack, logits_fn, batch):
    images, labels = batch
    still = dataclasses.replace(attack, epsilon=0.0)
    adversarial = still(logits_fn, images, labels, seed=3)
    np.testing.assert_allclose(adversarial, images, atol=1e-7)


@pytest.mark.parametrize("attack", ALL, ids=repr)
def test_one_seed_one_result(attack, logits_fn, batch):
    first, second = (attack(logits_fn, *batch, seed=5) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("attack", ALL, ids=repr)
def test_images_do_not_depend_on_each_other(attack, logits_fn, batch):
    if isinstance(attack, attacks.RandomNoise):
        pytest.skip("draws noise for each place in the batch")
    if isinstance(attack, attacks.SmallestEpsilon):
        attack = attack.attack
    if isinstance(attack, attacks.PGD):
        attack = dataclasses.replace(attack, random_start=False)
    images, labels = batch
    whole = attack(logits_fn, images, labels)
    alone = attack(logits_fn, images[2:3], labels[2:3])
    np.testing.assert_allclose(alone, whole[2:3], atol=1e-5)


@pytest.mark.parametrize(
    "attack",
    [a for a in BALLS if not isinstance(a, attacks.RandomNoise)],
    ids=repr,
)
def test_beats_noise_of_the_same_norm(attack, logits_fn, batch):
    images, labels = batch
    noise = attacks.RandomNoise(epsilon=EPSILON, norm=attack.norm)

    def mean_loss(adversarial):
        return np.mean(
            ops.sparse_categorical_crossentropy(
                labels, logits_fn(adversarial), from_logits=True
            )
        )

    attacked = mean_loss(attack(logits_fn, images, labels, seed=1))
    assert attacked > mean_loss(noise(logits_fn, images, labels, seed=1))
    assert attacked > mean_loss(images)


@pytest.mark.parametrize(
    "attack",
    [
        *ALL,
        attacks.UniversalDeepFool(epsilon=1.0),
        attacks.UniversalGradient(epsilon=1.0),
    ],
    ids=repr,
)
def test_images_out_of_range_are_refused(attack, logits_fn, batch):
    images, labels = batch
    arguments = (255 * images, labels)
    if "Universal" in repr(attack):
        arguments = (255 * images,)
    with pytest.raises(guards.AttackError, match=r"\[0, 1\]"):
        attack(logits_fn, *arguments)


def test_seeds_differ(logits_fn, batch):
    for attack in (
        attacks.PGD(steps=1, keep_best=False),
        attacks.RandomNoise(),
    ):
        first, second = (attack(logits_fn, *batch, seed=s) for s in (0, 1))
        assert np.any(first != second)


def test_a_large_epsilon_fools_everywhere(logits_fn, batch):
    images, _ = batch
    labels = np.argmax(logits_fn(images), axis=1)
    adversarial = attacks.PGD(epsilon=1.0, steps=20)(logits_fn, images, labels)
    assert not np.any(np.argmax(logits_fn(adversarial), axis=1) == labels)


@pytest.mark.parametrize(
    "make",
    [
        lambda: attacks.FGSM(norm="l1"),
        lambda: attacks.FGSM(loss="hinge"),
        lambda: attacks.FGSM(epsilon=-1),
        lambda: attacks.GradientDescent(norm="linf"),
        lambda: attacks.PGD(steps=0),
        lambda: attacks.PGD(restarts=0),
        lambda: attacks.PGD(step_size=-0.1),
        lambda: attacks.PGD(restarts=2, keep_best=False),
        lambda: attacks.RandomNoise(epsilon=-1),
        lambda: attacks.DeepFool(max_steps=0),
        lambda: attacks.DeepFool(num_classes=1),
        lambda: attacks.UniversalGradient(epsilon=1, loss="hinge"),
        lambda: attacks.UniversalDeepFool(epsilon=-1),
        lambda: attacks.RandomNoise(norm="l1"),
        lambda: attacks.CleverHans(method="spsa"),
        lambda: attacks.UniversalGradient(epsilon=1, passes=0),
        lambda: attacks.UniversalDeepFool(epsilon=1, batch_size=0),
    ],
)
def test_bad_arguments_are_refused(make):
    with pytest.raises(
        ValueError,
        match="norm|loss|epsilon|steps|restarts|classes|step_size|method|passes",
    ):
        make()
