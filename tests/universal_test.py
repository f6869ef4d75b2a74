"""Universal perturbations against a plain transcription of the algorithm."""

import numpy as np
import pytest
from keras import ops

from peernets_tf.attacks import (
    Classifier,
    DeepFool,
    FixedPerturbation,
    Progress,
    UniversalDeepFool,
    UniversalGradient,
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
def test_goes_on_from_any_batch(attack, problem, tmp_path):
    classifier, images = problem
    path = str(tmp_path / "progress.npz")
    whole = list(attack.iterate(classifier, images, seed=2))
    for i, progress in enumerate(whole[:-1]):
        progress.save(path)
        rest = list(
            attack.iterate(
                classifier, images, seed=2, start=Progress.load(path)
            )
        )
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


def test_a_damaged_file_of_progress_is_refused(tmp_path):
    path = tmp_path / "progress.npz"
    for content in (b"", b"PK\x03\x04 cut short", b"text"):
        path.write_bytes(content)
        with pytest.raises(UserError, match="remove the file to start again"):
            Progress.load(str(path))
