"""Estimated gradients against automatic ones, on a smooth small network."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from peernets_tf.attacks import Classifier, gradient_estimates
from peernets_tf.attacks.directions import (
    Gaussian,
    Groups,
    PrincipalComponents,
    Signs,
    principal_components,
)
from peernets_tf.attacks.gradient_estimates import estimate_gradients
from peernets_tf.errors import AttackError, UserError

SHAPE = (4, 5, 2)
LENGTH = 40


@pytest.fixture(scope="module")
def classifier():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.Conv2D(6, 3, activation="tanh"),
            layers.Flatten(),
            layers.Dense(4),
        ]
    )
    return Classifier(lambda images: model(images, training=False))


@pytest.fixture
def batch(rng):
    images = rng.uniform(0, 1, (3, *SHAPE)).astype("float32")
    return images, np.array([1, 0, 3], "int32")


def estimated(classifier, batch, directions, loss="cross_entropy", **options):
    """Estimates of shape `(B, D)`."""
    found = estimate_gradients(
        classifier,
        *batch,
        directions=directions,
        loss=loss,
        **{"delta": 0.01, **options},
    )
    assert found.shape == batch[0].shape
    return found.reshape(-1, LENGTH)


def automatic(classifier, batch, loss="cross_entropy", targeted=False):
    gradients, _ = classifier.loss_gradient(*batch, loss, targeted)
    return gradients.reshape(-1, LENGTH)


def relative_error(found, expected):
    errors = np.linalg.norm(found - expected, axis=1)
    return np.max(errors / np.linalg.norm(expected, axis=1))


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("loss", ["cross_entropy", "margin"])
def test_all_coordinates_give_the_gradient(loss, targeted, classifier, batch):
    found = estimated(
        classifier, batch, Groups(count=LENGTH), loss, targeted=targeted
    )
    expected = automatic(classifier, batch, loss, targeted)
    assert relative_error(found, expected) < 1e-2


@pytest.mark.parametrize("count", [1, 7, LENGTH])
def test_groups_give_the_mean_of_the_gradient_in_each(count, classifier, batch):
    directions = Groups(count=count, are_random=True)
    with classifier.seeded(5):
        found = estimated(classifier, batch, directions)
    gradient = automatic(classifier, batch)
    # A group is where all estimates are equal, and of at most one size more.
    _, groups = np.unique(found[0], return_inverse=True)
    sizes = np.bincount(groups)
    assert len(sizes) == count
    assert sizes.max() - sizes.min() <= 1
    member = np.eye(count)[groups]
    projection = member / sizes @ member.T
    assert relative_error(found, gradient @ projection) < 1e-2
    with classifier.seeded(6):
        other = estimated(classifier, batch, directions)
    # Other groups, but for those that hold everything or a coordinate each.
    is_same = np.allclose(other, found, atol=1e-3)
    assert is_same == (count in (1, LENGTH))


@pytest.mark.parametrize("num_images", [30, 80])
def test_components_give_the_projection(num_images, classifier, batch, rng):
    """Of fewer images than an image has values, and of more."""
    images = rng.uniform(0, 1, (num_images, *SHAPE)).astype("float32")
    images[..., 0] *= np.linspace(0, 2, 5)
    components = principal_components(images, 7)
    found = estimated(classifier, batch, components)
    flat = images.reshape(num_images, -1)
    _, _, rows = np.linalg.svd(flat - flat.mean(axis=0))
    basis = rows[:7]
    np.testing.assert_allclose(
        np.abs(components.vectors @ basis.T), np.eye(7), atol=1e-4
    )
    expected = automatic(classifier, batch) @ basis.T @ basis
    assert relative_error(found, expected) < 1e-2


def test_one_classifier_keeps_components_of_equal_count_apart(
    classifier, batch
):
    for place in (7, 22):
        vectors = np.eye(LENGTH, dtype="float32")[[place]]
        components = PrincipalComponents(vectors=vectors, count=1)
        found = estimated(classifier, batch, components)
        assert set(np.nonzero(found)[1]) == {place}


def test_components_must_exist(classifier, batch, rng):
    images = rng.uniform(0, 1, (9, *SHAPE)).astype("float32")
    assert principal_components(images, 8).count == 8
    for count in (0, 9):
        with pytest.raises(UserError, match=f"from 1 to 8 .*Received: {count}"):
            principal_components(images, count)


@pytest.mark.parametrize(
    ("directions", "message"),
    [
        (Groups(count=41, are_random=True), "at most 40"),
        # Those of other images would be cut, and no longer be orthogonal.
        (
            PrincipalComponents(vectors=np.eye(3, 41, dtype="f4"), count=3),
            "must be those of images of 40 values",
        ),
    ],
    ids=["groups", "components"],
)
def test_directions_fit_the_images(directions, message, classifier, batch):
    with pytest.raises(UserError, match=message):
        estimated(classifier, batch, directions)


@pytest.mark.parametrize("kind", [Gaussian, Signs], ids=str)
def test_samples_converge_to_the_gradient(kind, classifier, batch):
    expected = automatic(classifier, batch, "margin")

    def error(count):
        found = estimated(classifier, batch, kind(count=count), "margin")
        return relative_error(found, expected)

    # The error is about sqrt(D / count).
    few, many = error(400), error(10_000)
    assert 0.2 < few < 0.5
    assert many < 0.1


@pytest.mark.parametrize("kind", [Gaussian, Signs], ids=str)
def test_samples_are_independent_of_mean_0_and_variance_1(kind):
    directions = kind(count=500)
    drawn = directions.drawn(7, LENGTH)
    rows = ops.convert_to_numpy(directions.rows(drawn, 0, 500, LENGTH))
    assert rows.shape == (500, LENGTH)
    # The mean of 20,000 has a standard deviation of 0.007.
    assert abs(rows.mean()) < 0.03
    covariance = rows.T @ rows / 500
    np.testing.assert_allclose(covariance, np.eye(LENGTH), atol=0.25)
    across = rows @ rows.T / LENGTH
    np.testing.assert_allclose(
        across - np.diag(np.diag(across)), 0, atol=6 / np.sqrt(LENGTH)
    )
    if kind is Signs:
        np.testing.assert_array_equal(np.abs(rows), 1)
    else:
        # Of normal numbers, 68.3 % are below 1, and 4.6 % above 2.
        assert np.mean(np.abs(rows) < 1) == pytest.approx(0.683, abs=0.02)
        assert np.mean(np.abs(rows) > 2) == pytest.approx(0.0455, abs=0.01)


@pytest.mark.parametrize(
    "directions",
    [Groups(count=LENGTH), Groups(count=7, are_random=True), Gaussian(count=9)],
    ids=repr,
)
def test_chunks_do_not_change_the_estimate(
    directions, classifier, batch, monkeypatch
):
    def found(images_at_once):
        monkeypatch.setattr(
            gradient_estimates, "_IMAGES_AT_ONCE", images_at_once
        )
        with classifier.seeded(3):
            before = classifier.queries
            result = estimated(classifier, batch, directions)
        assert classifier.queries - before == 3 * 2 * directions.count
        return result

    whole = found(1000)
    for images_at_once in (1, 13, 24):
        np.testing.assert_allclose(found(images_at_once), whole, atol=1e-4)


@pytest.mark.parametrize(
    ("images", "directions", "expected"),
    [(100, 3072, 2), (1, 3072, 256), (1, 100, 64), (3, 7, 4), (900, 9, 1)],
)
def test_few_sizes_are_compiled(images, directions, expected):
    found = gradient_estimates._directions_at_once(images, directions)
    assert found == expected


def test_a_wide_difference_sees_past_a_masked_gradient(rng):
    """Steps of 0.05: the gradient is zero, and a wide slope is not."""
    weights = rng.uniform(1, 2, (LENGTH, 2)).astype("f4")

    def steps(images):
        flat = ops.reshape(images, (-1, LENGTH))
        return ops.matmul(ops.floor(flat * 20) / 20, weights)

    classifier = Classifier(steps)
    # In the middle of a step, from which a small difference finds no edge.
    images = np.full((1, *SHAPE), 0.525, "float32")
    batch = images, np.zeros(1, "int32")
    assert not automatic(classifier, batch).any()
    directions = Groups(count=LENGTH)
    options = {"loss": "margin"}
    small = estimated(classifier, batch, directions, delta=0.001, **options)
    assert not small.any()
    wide = estimated(classifier, batch, directions, delta=0.2, **options)
    expected = (weights[:, 1] - weights[:, 0])[None]
    assert relative_error(wide, expected) < 0.01


def test_losses_that_are_not_finite_are_refused(batch):
    classifier = Classifier(lambda x: ops.log(x[:, 0, 0, :] - 2))
    with pytest.raises(AttackError, match="finite"):
        estimated(
            classifier,
            (batch[0], np.zeros(3, "int32")),
            Groups(count=LENGTH),
        )
