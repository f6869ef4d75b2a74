"""Attacks along estimated gradients: their steps, their queries, who stops."""

import dataclasses

import numpy as np
import pytest
from keras import ops
from linear_model import DIRECTION, LABELS, change, linear

from peernets_tf.attacks import (
    FGSM,
    NES,
    PGD,
    SPSA,
    Classifier,
    draws,
    principal_components,
)
from peernets_tf.attacks import FiniteDifference as FD
from peernets_tf.attacks.directions import Signs
from peernets_tf.errors import AttackError, UserError

EACH = [
    FD(epsilon=0.1, steps=4),
    NES(epsilon=0.1, steps=4, samples=30),
    SPSA(epsilon=0.1, steps=30, samples=30, learning_rate=0.03),
]
WEIGHTS = np.random.default_rng(0).standard_normal((18, 3)).astype("float32")


def bumpy(images):
    flat = ops.reshape(images, (-1, 18))
    return ops.matmul(ops.sin(5 * flat), WEIGHTS)


@pytest.fixture(scope="module")
def classifier():
    return Classifier(bumpy)


@pytest.fixture
def batch(rng, classifier):
    images = rng.uniform(0, 1, (12, 3, 3, 2)).astype("float32")
    return images, classifier.predict(images)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("loss", ["cross_entropy", "margin"])
def test_one_step_on_a_linear_model_is_fgsm(norm, loss):
    options = {"epsilon": 0.1, "norm": norm, "loss": loss}
    # The cross-entropy is not linear, but its gradient is along the margin's.
    np.testing.assert_allclose(
        change(FD(**options)), change(FGSM(**options)), atol=1e-4
    )


@pytest.mark.parametrize("attack", EACH, ids=repr)
def test_reaches_the_best_corner_of_a_linear_model(attack):
    matters = DIRECTION != 0
    np.testing.assert_allclose(
        change(attack)[matters], 0.1 * np.sign(DIRECTION[matters]), atol=1e-6
    )
    short = dataclasses.replace(attack, norm="l2")
    expected = 0.1 * DIRECTION / np.linalg.norm(DIRECTION)
    cosine = change(short) @ expected / 0.01
    assert 0.9 < cosine <= 1 + 1e-5


def test_many_steps_are_those_of_pgd(classifier, batch):
    options = {"epsilon": 0.05, "steps": 6, "loss": "margin"}
    ours = FD(delta=0.003, **options)(classifier, *batch)
    theirs = PGD(random_start=False, **options)(classifier, *batch)
    # Where a slope is about zero, rounding decides its sign.
    assert np.mean(np.abs(ours - theirs) < 1e-5) > 0.95


@pytest.mark.parametrize(
    ("attack", "directions"),
    [
        (FD(steps=3), 18),
        (FD(steps=3, num_groups=5), 5),
        (FD(num_groups=384), 18),
        (NES(steps=2, samples=9), 9),
        (SPSA(steps=4, samples=11), 11),
    ],
    ids=repr,
)
def test_queries_equal_the_formula(attack, directions, classifier, batch):
    """Two for each direction, and one to see who is fooled."""
    images, labels = batch
    expected = len(images) * attack.steps * (2 * directions + 1)
    before = classifier.queries
    attack(classifier, images, labels)
    assert classifier.queries - before == expected


def test_components_are_those_of_the_attack(classifier, batch, rng):
    images, labels = batch
    components = principal_components(rng.uniform(0, 1, (30, 3, 3, 2)), 4)
    attack = FD(epsilon=0.1, norm="l2", num_components=4, components=components)
    before = classifier.queries
    moved = attack(classifier, images, labels) - images
    assert classifier.queries - before == len(images) * (2 * 4 + 1)
    inside = np.all((images > 0.1) & (images < 0.9), axis=(1, 2, 3))
    flat = moved.reshape(len(images), -1)[inside]
    # The perturbation lies in the space of the components.
    rows = components.vectors
    np.testing.assert_allclose(flat @ rows.T @ rows, flat, atol=1e-5)
    with pytest.raises(AttackError, match="Received: None"):
        FD(num_components=4)(classifier, images, labels)
    with pytest.raises(UserError, match="must be 3"):
        FD(num_components=3, components=components)


def test_groups_and_components_exclude_each_other():
    with pytest.raises(UserError, match="num_groups=2, num_components=3"):
        FD(num_groups=2, num_components=3)


@pytest.mark.parametrize("cls", [FD, NES, SPSA], ids=str)
def test_differences_need_a_distance(cls):
    with pytest.raises(UserError, match="delta=0"):
        cls(delta=0.0)


@pytest.mark.parametrize("attack", EACH, ids=repr)
def test_stopping_fools_as_many_with_fewer_queries(attack, classifier, batch):
    images, labels = batch

    def fooled(**options):
        asked = dataclasses.replace(attack, epsilon=0.03, **options)
        before = classifier.queries
        adversarial = asked(classifier, images, labels)
        is_fooled = classifier.predict(adversarial) != labels
        return is_fooled, classifier.queries - before

    stopping, fewer = fooled(stop_when_fooled=True)
    going_on, queries = fooled(stop_when_fooled=False)
    np.testing.assert_array_equal(stopping, going_on)
    assert 0 < stopping.sum() < len(images)
    assert fewer < queries


@pytest.mark.parametrize("attack", EACH, ids=repr)
def test_a_target_is_reached(attack, classifier, batch):
    images, labels = batch
    targets = ((labels + 1) % 3).astype("int32")
    wide = dataclasses.replace(attack, targeted=True, epsilon=0.2, steps=15)
    reached = classifier.predict(wide(classifier, images, targets))
    untargeted = dataclasses.replace(wide, targeted=False)
    other = classifier.predict(untargeted(classifier, images, labels))
    assert np.mean(reached == targets) > max(np.mean(other == targets), 0.6)


def test_the_best_image_of_all_steps_is_returned():
    """Steps that are too long go back and forth across a valley."""

    def valley(images):
        height = ops.square(images[:, 0, 0, :1] - 0.5)
        return ops.concatenate([height - 0.001, 0 * height], axis=1)

    images = np.full((1, 2, 2, 1), 0.6, "float32")
    attack = FD(epsilon=0.2, steps=2, step_size=0.12)
    classifier = Classifier(valley)
    found = attack(classifier, images, LABELS)
    # Step 1 reaches 0.48, which fools, and step 2 leaves it for 0.6.
    assert found[0, 0, 0, 0] == pytest.approx(0.48, abs=1e-5)
    assert classifier.predict(found) == 1


@pytest.mark.parametrize("attack", EACH[1:], ids=repr)
def test_samples_depend_on_the_seed(attack, classifier, batch):
    one_step = dataclasses.replace(attack, steps=1)
    first = one_step(classifier, *batch, seed=1)
    again = one_step(classifier, *batch, seed=1)
    other = one_step(classifier, *batch, seed=2)
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)


def test_spsa_takes_the_steps_of_adam():
    """Against Adam written out, on a model whose slopes are exact."""
    attack = SPSA(epsilon=0.5, steps=3, samples=1)
    classifier = Classifier(linear)
    mean, square, moved = np.zeros(4), np.zeros(4), np.zeros(4)
    reached = []
    with classifier.seeded(3):
        for step in range(1, 4):
            signs = _signs(classifier)
            gradient = signs * (signs @ DIRECTION)
            mean = 0.9 * mean + 0.1 * gradient
            square = 0.999 * square + 0.001 * gradient**2
            unbiased = mean / (1 - 0.9**step)
            moved = moved + 0.01 * unbiased / np.sqrt(
                square / (1 - 0.999**step)
            )
            reached.append(moved)
    best = max(reached, key=lambda moved: moved @ DIRECTION)
    np.testing.assert_allclose(change(attack, seed=3), best, atol=1e-6)


def _signs(classifier):
    """Draws the signs of one step, as its call of the classifier does."""
    key = draws.fold(classifier.next_key(), 2**31)
    # The key of the call that looks who is fooled.
    classifier.next_key()
    row = Signs(count=1).rows(key, 0, 1, 4)
    return ops.convert_to_numpy(row)[0].astype(float)
