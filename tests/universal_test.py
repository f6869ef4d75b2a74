"""Universal perturbations against a plain transcription of the algorithm."""

import numpy as np
import pytest
from keras import ops

from peernets_tf.attacks import (
    DeepFool,
    UniversalDeepFool,
    UniversalGradient,
    universal,
)

MAKERS = [
    UniversalDeepFool(epsilon=0.4, passes=4, batch_size=8),
    UniversalDeepFool(epsilon=0.1, passes=4, batch_size=8, norm="linf"),
    UniversalGradient(epsilon=0.4, passes=4, batch_size=8),
    UniversalGradient(epsilon=0.1, passes=4, batch_size=8, norm="linf"),
]


@pytest.fixture
def logits_fn(rng):
    inner = rng.standard_normal((12, 16)).astype("float32")
    outer = rng.standard_normal((16, 3)).astype("float32")

    def logits_fn(images):
        flat = ops.reshape(images, (-1, 12)) - 0.5
        return ops.matmul(ops.tanh(ops.matmul(flat, inner)), outer)

    return logits_fn


@pytest.fixture
def images(rng):
    return rng.uniform(0.2, 0.8, (30, 2, 3, 2)).astype("float32")


def predict(logits_fn, images):
    return np.argmax(ops.convert_to_numpy(logits_fn(images)), axis=1)


def test_strength_is_relative_to_the_mean_norm():
    images = np.zeros((2, 1, 2, 1))
    images[0, 0, :, 0] = 3, 4
    images[1, 0, 0, 0] = 1
    assert universal.strength(images, 0.5) == pytest.approx(0.5 * 3)


@pytest.mark.parametrize("maker", MAKERS, ids=repr)
def test_fools_more_than_noise_within_the_ball(maker, logits_fn, images, rng):
    perturbation = maker(logits_fn, images)
    assert perturbation.shape == images.shape[1:]
    order = {"l2": 2, "linf": np.inf}[maker.norm]
    size = np.linalg.norm(perturbation.reshape(-1), order)
    assert 0 < size <= maker.epsilon * (1 + 1e-6)
    clean = predict(logits_fn, images)

    def fooled(perturbation):
        perturbed = universal.apply(images, perturbation)
        return np.mean(predict(logits_fn, perturbed) != clean)

    noise = rng.standard_normal((20, *images.shape[1:]))
    if maker.norm == "linf":
        noise = maker.epsilon * np.sign(noise)
    else:
        lengths = np.sqrt((noise**2).sum(axis=(1, 2, 3), keepdims=True))
        noise *= maker.epsilon / lengths
    assert fooled(perturbation) > 1.5 * np.mean([*map(fooled, noise)])


def test_batch_size_one_is_the_published_algorithm(logits_fn, images):
    maker = UniversalDeepFool(
        epsilon=0.3,
        passes=1,
        batch_size=1,
        fooling_rate=1.0,
        deepfool=DeepFool(max_steps=2),
    )
    gave_up = 0
    clean = predict(logits_fn, images)
    expected = np.zeros(images.shape[1:], "float32")
    order = np.random.default_rng((12, 4, 0)).permutation(len(images))
    for i in order:
        perturbed = np.clip(images[i] + expected, 0, 1)[None]
        if predict(logits_fn, perturbed)[0] != clean[i]:
            continue
        steps, fools = maker.deepfool.perturbations(logits_fn, perturbed)
        if not fools[0]:
            gave_up += 1
            continue
        expected = expected + steps[0]
        expected *= min(1, 0.3 / np.linalg.norm(expected))
    assert 0 < gave_up < len(images)
    found = maker(logits_fn, images, seed=4)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("maker", MAKERS, ids=repr)
def test_goes_on_from_any_batch(maker, logits_fn, images, tmp_path):
    path = str(tmp_path / "progress.npz")
    whole = list(maker.iterate(logits_fn, images, seed=2))
    for i, progress in enumerate(whole[:-1]):
        progress.save(path)
        rest = list(
            maker.iterate(
                logits_fn, images, seed=2, start=universal.Progress.load(path)
            )
        )
        assert len(rest) == len(whole) - i - 1
        np.testing.assert_array_equal(
            rest[-1].perturbation, whole[-1].perturbation
        )
        assert rest[-1].fooled == whole[-1].fooled
    assert [progress.seen for progress in whole[:4]] == [8, 16, 24, 30]
    assert whole[-1].finished


def test_stops_at_its_fooling_rate(logits_fn, images):
    maker = UniversalGradient(
        epsilon=3.0, passes=50, batch_size=30, fooling_rate=0.3
    )
    *_, last = maker.iterate(logits_fn, images)
    assert last.finished
    assert last.batches < 50
    clean = predict(logits_fn, images)
    perturbed = universal.apply(images, last.perturbation)
    assert np.mean(predict(logits_fn, perturbed) != clean) >= 0.3


def test_needs_images(logits_fn):
    with pytest.raises(ValueError, match="training images"):
        UniversalGradient(epsilon=1.0)(logits_fn, np.zeros((0, 2, 3, 2)))
