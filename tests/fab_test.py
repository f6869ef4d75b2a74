"""FAB against the authors' algorithm, written out for one image."""

import box_hyperplane
import numpy as np
import pytest
from keras import ops
from linear_model import DIRECTION, IMAGES, LABELS, linear
from waves import SHAPE, gradient_of, logits_of, waves

from peernets_tf.attacks import FAB, Classifier, norms
from peernets_tf.seeds import Stream, generator

ORDERS = {"linf": np.inf, "l2": 2}


@pytest.fixture(scope="module")
def classifier():
    return Classifier(waves)


@pytest.fixture
def batch(rng, classifier):
    images = rng.uniform(0, 1, (20, *SHAPE)).astype("float32")
    return images, classifier.predict(images)


def reference(attack, image, label, starts):
    """Returns the nearest image that fools the model, its distance, and a bool.

    The bool says that an iterate lay on the boundary, as far as float32 can
    tell, so that rounding decides whether it fools the model.

    Args:
        attack: a `FAB` that never stops early.
        image: float array of shape `(n,)`.
        label: int.
        starts: dict of float arrays `(n,)` by rank and restart.
    """
    nearest, distance, on_boundary = None, np.inf, False
    targets = [k for k in np.argsort(-logits_of(image)) if k != label]
    for rank, target in enumerate(targets[: attack.num_targets]):
        for restart in range(attack.restarts):
            x = starts.get((rank, restart), image)
            for _ in range(attack.steps):
                gap = logits_of(x)[target] - logits_of(x)[label]
                slope = gradient_of(x, np.eye(3)[target] - np.eye(3)[label])
                at_image = gap + slope @ (image - x)
                d1, d2 = (
                    box_hyperplane.shortest_change(p, slope, v, attack.norm)
                    for p, v in ((x, gap), (image, at_image))
                )
                a1, a2 = (
                    max(np.linalg.norm(d, ORDERS[attack.norm]), 1e-8)
                    for d in (d1, d2)
                )
                alpha = min(a1 / (a1 + a2), 0.1)
                x = (1 - alpha) * (x + 1.05 * d1)
                x = np.clip(x + alpha * (image + 1.05 * d2), 0, 1)
                logits = logits_of(x)
                margin = np.delete(logits, label).max() - logits[label]
                on_boundary |= abs(margin) < 1e-5
                if margin < 0:
                    continue
                length = np.linalg.norm(x - image, ORDERS[attack.norm])
                if length < distance:
                    nearest, distance = x, length
                x = image + 0.9 * (x - image)
    return nearest, distance, on_boundary


@pytest.mark.parametrize(
    "attack",
    [
        FAB(epsilon=1e-3, steps=12, num_targets=1),
        FAB(epsilon=1e-3, norm="l2", steps=12, num_targets=1),
        FAB(epsilon=2e-3, steps=5, restarts=2),
        FAB(epsilon=2e-3, norm="l2", steps=5, restarts=2),
    ],
    ids=repr,
)
def test_is_the_authors_algorithm(attack, classifier, batch):
    images, labels = batch
    radius = np.full(20, attack.epsilon / 2, "float32")
    starts = {
        (rank, 1): norms.random_start(
            images,
            attack.norm,
            radius,
            generator(Stream.FAB_START, 4, rank, 1),
        )
        for rank in range(2 if attack.restarts == 2 else 0)
    }
    found = attack(classifier, images, labels, seed=4)
    distances, differences = [], []
    for i in range(20):
        image = images[i].ravel().astype(float)
        own = {k: v[i].ravel().astype(float) for k, v in starts.items()}
        nearest, distance, on_boundary = reference(
            attack, image, labels[i], own
        )
        if on_boundary:
            continue
        distances.append(distance)
        change = found[i].ravel() - image
        if np.isinf(distance):
            np.testing.assert_array_equal(change, 0)
        elif distance > attack.epsilon:
            # On the way to the nearest one, at distance epsilon.
            expected = (nearest - image) / distance
            differences.append(np.abs(change / attack.epsilon - expected))
    assert np.sum(np.isfinite(distances)) > 15
    assert len(differences) > 15
    assert np.max(differences) < 5e-3


@pytest.fixture(scope="module")
def line():
    return Classifier(linear)


def attacked(line, norm, factor):
    """Attacks `linear` from class 1 in a ball of a share of its distance."""
    dual = 1 if norm == "linf" else 2
    gap = float(ops.convert_to_numpy(linear(IMAGES))[0] @ [-1, 1])
    distance = gap / np.linalg.norm(DIRECTION, dual)
    attack = FAB(epsilon=factor * distance, norm=norm)
    adversarial = attack(line, IMAGES, LABELS + 1)
    change = (adversarial - IMAGES).ravel()
    reached = np.linalg.norm(change, ORDERS[norm]) / distance
    is_fooled = np.argmax(linear(adversarial), axis=1)[0] != 1
    return reached, is_fooled, change


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_finds_the_distance_of_a_linear_boundary(norm, line):
    reached, is_fooled, change = attacked(line, norm, 1.01)
    assert is_fooled
    assert 1 <= reached <= 1.01
    direction = -DIRECTION if norm == "l2" else -np.sign(DIRECTION)
    direction = direction / np.linalg.norm(direction)
    np.testing.assert_allclose(
        change / np.linalg.norm(change), direction, atol=1e-3
    )
    reached, is_fooled, closer = attacked(line, norm, 0.99)
    assert not is_fooled
    np.testing.assert_allclose(reached, 0.99, rtol=1e-4)
    np.testing.assert_allclose(
        closer / np.linalg.norm(closer), direction, atol=1e-3
    )


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_finds_the_distance_in_the_box(norm, line):
    """The first value is near its border: the others must go farther."""
    images = np.array([0.02, 0.3, 0.5, 0.5], "float32").reshape(1, 2, 2, 1)
    labels = np.argmax(linear(images), axis=1).astype("int32")
    value = float(ops.convert_to_numpy(linear(images))[0] @ [-1, 1])
    change = box_hyperplane.shortest_change(
        images.ravel().astype(float), DIRECTION.astype(float), value, norm
    )
    distance = np.linalg.norm(change, ORDERS[norm])
    for factor, is_enough in ((1.01, True), (0.99, False)):
        attack = FAB(epsilon=factor * distance, norm=norm)
        adversarial = attack(line, images, labels)
        fooled = np.argmax(linear(adversarial), axis=1) != labels
        assert fooled[0] == is_enough
        size = np.linalg.norm((adversarial - images).ravel(), ORDERS[norm])
        np.testing.assert_allclose(size, distance, rtol=0.011)


def test_further_targets_and_restarts_fool_no_less(rng):
    weights = rng.standard_normal((24, 6)).astype("float32")

    def logits_fn(images):
        return ops.matmul(ops.sin(5 * ops.reshape(images, (-1, 24))), weights)

    classifier = Classifier(logits_fn)
    images = rng.uniform(0, 1, (80, *SHAPE)).astype("float32")
    labels = classifier.predict(images)

    def fooled(**options):
        attack = FAB(epsilon=0.02, steps=5, **options)
        adversarial = attack(classifier, images, labels)
        return classifier.predict(adversarial) != labels

    one, two, all_wrong = (fooled(num_targets=n) for n in (1, 2, 9))
    assert np.all(two >= one)
    assert np.all(all_wrong >= two)
    assert 10 < np.sum(one) < np.sum(all_wrong) < 70
    assert np.all(fooled(num_targets=1, restarts=3) >= one)


@pytest.mark.parametrize(
    ("bias", "expected"),
    [
        # Misclassified: one query, and the images come back.
        ([0, 9], 5),
        # Never fooled: two queries in each step.
        ([9, 0], 5 * (1 + 2 * 7 * 2)),
    ],
)
def test_asks_until_an_image_is_fooled(bias, expected, rng):
    images = rng.uniform(0, 1, (5, 2, 2, 1)).astype("float32")
    logits = np.array(bias, "float32")
    classifier = Classifier(lambda x: 0 * linear(x) + logits)
    attack = FAB(steps=7, restarts=2)
    adversarial = attack(classifier, images, np.zeros(5, "int32"))
    assert classifier.queries == expected
    np.testing.assert_array_equal(adversarial, images)
