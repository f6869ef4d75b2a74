"""Universal perturbations against a plain transcription of the algorithm."""

import numpy as np
import pytest
from keras import ops

from peernets_tf.attacks import (
    Classifier,
    DeepFool,
    FixedPerturbation,
    UniversalDeepFool,
    UniversalGradient,
    UniversalSequential,
    apply_perturbation,
    epsilon_from_rho,
)
from peernets_tf.errors import AttackError, UserError
from peernets_tf.seeds import Stream, generator

ATTACKS = [
    UniversalDeepFool(epsilon=0.4, passes=4, batch_size=8),
    UniversalDeepFool(epsilon=0.1, passes=4, batch_size=8, norm="linf"),
    UniversalGradient(epsilon=0.4, passes=4, batch_size=8),
    UniversalGradient(epsilon=0.1, passes=4, batch_size=8, norm="linf"),
]


@pytest.fixture(scope="module")
def problem():
    """A classifier of two layers, compiled once, and 30 images."""
    rng = np.random.default_rng(0)
    inner = rng.standard_normal((12, 16)).astype("float32")
    outer = rng.standard_normal((16, 3)).astype("float32")

    def logits_fn(images):
        flat = ops.reshape(images, (-1, 12)) - 0.5
        return ops.matmul(ops.tanh(ops.matmul(flat, inner)), outer)

    images = rng.uniform(0.2, 0.8, (30, 2, 3, 2)).astype("float32")
    return Classifier(logits_fn), images


def predict(classifier, images):
    logits = classifier.logits_fn(images)
    return np.argmax(ops.convert_to_numpy(logits), axis=1)


def test_epsilon_is_relative_to_the_mean_norm():
    images = np.zeros((2, 1, 2, 1))
    images[0, 0, :, 0] = 3, 4
    images[1, 0, 0, 0] = 1
    assert epsilon_from_rho(images, 0.5) == pytest.approx(0.5 * 3)


def test_the_mean_norm_may_be_of_another_x():
    # Two images of two channels: 0 and 1, and 0.25 and 0.5 in each pixel.
    images = np.zeros((2, 1, 1, 2), "float32")
    images[1, 0, 0] = 1
    images[:, 0, 0, 1] = 0.25, 0.5
    # (-0.5, -0.25) and (0.5, 0).
    centered = (np.sqrt(0.3125) + 0.5) / 2
    assert epsilon_from_rho(images, 0.4, "centered") == pytest.approx(
        0.4 * centered
    )
    # Both channels have the values -1 and 1, and deviations 0.5 and 0.125.
    assert epsilon_from_rho(images, 0.4, "standardized") == pytest.approx(
        0.4 * np.sqrt(2) * (0.5 + 0.125) / 2
    )
    constant = np.full((3, 2, 2, 1), 0.5, "float32")
    assert epsilon_from_rho(constant, 0.4, "standardized") == 0
    with pytest.raises(UserError, match="`rho_of` must be one of"):
        epsilon_from_rho(images, 0.4, "squared")


def test_unclipped_images_may_leave_the_range(problem):
    classifier, images = problem
    fixed = FixedPerturbation(
        perturbation=np.full(images.shape[1:], 0.5, "float32"),
        source="a test",
        clip=False,
    )
    np.testing.assert_array_equal(fixed(classifier, images), images + 0.5)
    for cls in (UniversalDeepFool, UniversalGradient):
        attack = cls(epsilon=6.0, passes=2, batch_size=8, clip=False)
        found = attack.fit(classifier, images)
        assert not found.clip
        perturbed = found(classifier, images)
        np.testing.assert_array_equal(perturbed, images + found.perturbation)
        assert perturbed.max() > 1


def test_a_perturbation_fits_the_images_and_is_finite(problem):
    classifier, images = problem
    shape = images.shape[1:]
    smaller = FixedPerturbation(
        perturbation=np.zeros((*shape[:-1], 1 + shape[-1]), "f4"), source=""
    )
    with pytest.raises(AttackError, match="must have the shape"):
        smaller(classifier, images)
    with pytest.raises(UserError, match="must be finite.*from a file"):
        FixedPerturbation(
            perturbation=np.full(shape, np.nan, "f4"), source="a file"
        )


def published_perturbation(images, orders, *, epsilon, num_classes):
    """The authors' loops in plain NumPy, for the network of `curved`."""
    total = np.zeros(images.shape[1:])
    for order in orders:
        for i in order:
            start = images[i] + total
            if curved_class(images[i]) != curved_class(start):
                continue
            classes = np.argsort(curved_logits(start))[::-1][:num_classes]
            step, count = np.zeros(images.shape[1:]), 0
            while (
                curved_class(start + 1.02 * step) == classes[0] and count < 10
            ):
                now = start + 1.02 * step
                logits, gradients = curved_logits(now), curved_gradients(now)
                best = np.inf
                for k in classes[1:]:
                    normal = gradients[k] - gradients[classes[0]]
                    length = np.linalg.norm(normal)
                    distance = abs(logits[k] - logits[classes[0]]) / length
                    if distance < best:
                        best, direction = distance, normal / length
                step = step + best * direction
                count += 1
            if count < 9:
                total = total + 1.02 * step
                total = total * min(1, epsilon / np.linalg.norm(total))
        changed = [curved_class(x) != curved_class(x + total) for x in images]
        if np.mean(changed) >= 0.8:
            break
    return total, np.mean(changed)


_CURVED = np.random.default_rng(5)
_INNER = 2 * _CURVED.standard_normal((12, 16)).astype("float32")
_OUTER = _CURVED.standard_normal((16, 5)).astype("float32")


def curved(images):
    hidden = ops.tanh(ops.matmul(ops.reshape(images, (-1, 12)) - 0.5, _INNER))
    return ops.matmul(hidden, _OUTER)


def curved_logits(image):
    return np.tanh((image.reshape(12) - 0.5) @ _INNER) @ _OUTER


def curved_class(image):
    return int(np.argmax(curved_logits(image)))


def curved_gradients(image):
    """The gradients of the five logits, (5, 2, 3, 2)."""
    slopes = 1 - np.tanh((image.reshape(12) - 0.5) @ _INNER) ** 2
    return ((_INNER * slopes) @ _OUTER).T.reshape(5, 2, 3, 2)


@pytest.mark.parametrize("num_classes", [2, 10])
def test_sequential_is_the_algorithm_of_its_authors(num_classes, rng):
    images = rng.uniform(0.02, 0.98, (20, 2, 3, 2)).astype("float32")
    attack = UniversalSequential(
        epsilon=0.9,
        passes=3,
        deepfool=DeepFool(
            max_steps=9, extra_length=0.0, num_classes=num_classes
        ),
    )
    orders = [
        generator(Stream.UNIVERSAL_ORDER, 1, number).permutation(20)
        for number in range(3)
    ]
    expected, rate = published_perturbation(
        images, orders, epsilon=0.9, num_classes=num_classes
    )
    assert 0 < rate < 1
    found = attack.fit(Classifier(curved), images, seed=1)
    np.testing.assert_allclose(found.perturbation, expected, atol=1e-4)
    assert not found.clip
    own = UniversalSequential(epsilon=0.9).deepfool
    assert own == DeepFool(max_steps=9, extra_length=0.0, num_classes=10)


@pytest.mark.parametrize("attack", ATTACKS, ids=repr)
def test_fools_more_than_noise_within_the_ball(attack, problem, rng):
    classifier, images = problem
    perturbation = attack.fit(classifier, images).perturbation
    assert perturbation.shape == images.shape[1:]
    order = {"l2": 2, "linf": np.inf}[attack.norm]
    size = np.linalg.norm(perturbation.reshape(-1), order)
    assert 0 < size <= attack.epsilon * (1 + 1e-6)
    clean = predict(classifier, images)

    def fooled(perturbation):
        perturbed = apply_perturbation(images, perturbation)
        return np.mean(predict(classifier, perturbed) != clean)

    noise = rng.standard_normal((20, *images.shape[1:]))
    if attack.norm == "linf":
        noise = attack.epsilon * np.sign(noise)
    else:
        lengths = np.sqrt((noise**2).sum(axis=(1, 2, 3), keepdims=True))
        noise *= attack.epsilon / lengths
    assert fooled(perturbation) > 1.5 * np.mean([*map(fooled, noise)])


def test_batch_size_one_is_the_published_algorithm(problem):
    classifier, images = problem
    attack = UniversalDeepFool(
        epsilon=0.3,
        passes=1,
        batch_size=1,
        fooling_rate=1.0,
        deepfool=DeepFool(max_steps=2),
    )
    gave_up = 0
    clean = predict(classifier, images)
    expected = np.zeros(images.shape[1:], "float32")
    order = generator(Stream.UNIVERSAL_ORDER, 4, 0).permutation(len(images))
    for i in order:
        perturbed = np.clip(images[i] + expected, 0, 1)[None]
        if predict(classifier, perturbed)[0] != clean[i]:
            continue
        steps, fools = attack.deepfool.perturbations(classifier, perturbed)
        if not fools[0]:
            gave_up += 1
            continue
        expected = expected + steps[0]
        expected *= min(1, 0.3 / np.linalg.norm(expected))
    assert 0 < gave_up < len(images)
    found = attack.fit(classifier, images, seed=4).perturbation
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("attack", ATTACKS, ids=repr)
def test_goes_on_from_any_batch(attack, problem):
    classifier, images = problem
    whole = list(attack.iterate(classifier, images, seed=2))
    for i, progress in enumerate(whole[:-1]):
        rest = list(attack.iterate(classifier, images, seed=2, start=progress))
        assert len(rest) == len(whole) - i - 1
        np.testing.assert_array_equal(
            rest[-1].perturbation, whole[-1].perturbation
        )
        assert rest[-1].fooled == whole[-1].fooled
    assert [progress.seen for progress in whole[:4]] == [8, 16, 24, 30]
    assert whole[-1].finished


def test_stops_at_its_fooling_rate(problem):
    classifier, images = problem
    attack = UniversalGradient(
        epsilon=3.0, passes=50, batch_size=30, fooling_rate=0.3
    )
    *_, last = attack.iterate(classifier, images)
    assert last.finished
    assert last.batches < 50
    clean = predict(classifier, images)
    perturbed = apply_perturbation(images, last.perturbation)
    assert np.mean(predict(classifier, perturbed) != clean) >= 0.3


def test_needs_images(problem):
    attack = UniversalGradient(epsilon=1.0)
    with pytest.raises(AttackError, match="B at least 1"):
        attack.fit(problem[0], np.zeros((0, 2, 3, 2)))


@pytest.mark.parametrize("attack", ATTACKS, ids=repr)
def test_called_it_attacks_the_images_that_it_is_fitted_on(attack, problem):
    classifier, images = problem
    fitted = attack.fit(classifier, images, seed=1)
    assert isinstance(fitted, FixedPerturbation)
    assert fitted.norm == attack.norm
    assert 0 < fitted.epsilon <= attack.epsilon * (1 + 1e-6)
    np.testing.assert_array_equal(
        attack(classifier, images, seed=1), fitted(classifier, images)
    )


def test_a_fitted_perturbation_says_how_it_was_made(problem):
    classifier, images = problem
    attack = UniversalGradient(epsilon=0.4, passes=2, batch_size=8)
    assert repr(attack.fit(classifier, images)) == (
        "FixedPerturbation(source=\"UniversalGradient(epsilon=0.4, norm='l2', "
        "passes=2, batch_size=8, fooling_rate=1.0, loss='cross_entropy', "
        'step_size=0.1) on 30 training images, 8 batches")'
    )
