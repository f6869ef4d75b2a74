"""MagNet: what detectors score, what is rejected, and that it is one file."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from peernets_tf import models, peers
from peernets_tf.defenses import Detector, autoencoder, magnet, with_magnet
from peernets_tf.errors import AttackError, UserError


@pytest.fixture(scope="module")
def classifier():
    """A linear classifier of images `(8, 8, 1)` into three classes."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1))
    logits = keras.layers.Dense(3)(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, logits, name="linear")


@pytest.fixture
def images(rng):
    return rng.random((40, 8, 8, 1)).astype("float32")


@pytest.fixture(scope="module")
def halve():
    """An autoencoder that halves images."""
    inputs = keras.Input((8, 8, 1))
    return keras.Model(inputs, keras.layers.Rescaling(0.5)(inputs))


@pytest.mark.parametrize("norm", [1, 2])
def test_scores_by_norm(norm, images, halve, classifier):
    detector = Detector(autoencoder=halve, norm=norm)
    scores = detector.compare(images, halve(images), classifier)
    expected = np.mean(np.abs(images / 2) ** norm, axis=(1, 2, 3))
    np.testing.assert_allclose(np.asarray(scores), expected, rtol=1e-5)


def test_scores_by_temperature(images, halve, classifier):
    detector = Detector(autoencoder=halve, temperature=2.0)
    scores = np.asarray(detector.compare(images, halve(images), classifier))
    first, second = (
        np.exp(np.asarray(classifier(x), "float64") / 2)
        for x in (images, images / 2)
    )
    first /= first.sum(axis=1, keepdims=True)
    second /= second.sum(axis=1, keepdims=True)

    def entropy(probabilities):
        return -np.sum(probabilities * np.log(probabilities), axis=1)

    # The entropy of the mean minus the mean of the entropies.
    expected = entropy((first + second) / 2)
    expected -= (entropy(first) + entropy(second)) / 2
    np.testing.assert_allclose(scores, expected, rtol=1e-2, atol=1e-5)


def defend(classifier, halve, images, **changes):
    arguments = {
        "reformer": halve,
        "detectors": [Detector(autoencoder=halve, norm=1)],
        "validation_images": images,
        "false_positive_rate": 0.1,
        **changes,
    }
    return magnet(classifier, **arguments)


def test_the_brightest_tenth_is_rejected(classifier, halve, images):
    """The score is half the mean, and an image is classified as its half."""
    defended = defend(classifier, halve, images)
    logits = defended.predict(images, verbose=0)
    np.testing.assert_allclose(
        logits[:, :3], np.asarray(classifier(images / 2)), rtol=1e-4, atol=1e-5
    )
    brightest = np.argsort(images.mean(axis=(1, 2, 3)))[-4:]
    rejected = np.flatnonzero(logits.argmax(axis=1) == 3)
    # The fourth brightest is the threshold.
    assert set(rejected) == set(brightest[1:])
    assert (defended.predict(0 * images, verbose=0).argmax(axis=1) < 3).all()
    assert (defended.predict(2 * images, verbose=0).argmax(axis=1) == 3).all()


def test_detectors_share_the_rate(classifier, halve, images):
    detectors = [
        Detector(autoencoder=halve, norm=1),
        Detector(autoencoder=halve, temperature=1.0),
    ]
    defended = defend(
        classifier,
        halve,
        images,
        detectors=detectors,
        false_positive_rate=0.2,
    )
    rejected = defended.predict(images, verbose=0).argmax(axis=1) == 3
    # Each of the two rejects 3 images, below its share of 4 of the 40.
    assert 3 <= rejected.sum() <= 6


def test_it_is_one_file_without_code_of_its_own(
    classifier, halve, images, tmp_path
):
    detectors = [
        Detector(autoencoder=halve, norm=2),
        Detector(autoencoder=halve, temperature=10.0),
    ]
    defended = defend(classifier, halve, images, detectors=detectors)
    path, expected = tmp_path / "defended.keras", tmp_path / "logits.npy"
    defended.save(path)
    np.save(tmp_path / "images.npy", images)
    np.save(expected, defended.predict(images, verbose=0))
    code = (
        "import keras, numpy as np, sys\n"
        f"model = keras.saving.load_model({str(path)!r})\n"
        f"images = np.load({str(tmp_path / 'images.npy')!r})\n"
        "logits = model.predict(images, verbose=0)\n"
        f"np.testing.assert_allclose(logits, np.load({str(expected)!r}),"
        " rtol=1e-5, atol=1e-6)\n"
        "assert not any(name.startswith('peernets') for name in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


@pytest.mark.parametrize(("channels", "num_detectors"), [(1, 2), (3, 3)])
def test_training_for_images_of_one_and_three_channels(
    rng, channels, num_detectors
):
    """It learns to rebuild its images, and keeps to its rate on them."""
    ramp = np.linspace(0, 1, 8, dtype="float32")[None, :, None, None]
    images = np.broadcast_to(
        ramp * rng.random((200, 1, 1, channels)).astype("float32"),
        (200, 8, 8, channels),
    )
    inputs = keras.Input((8, 8, channels))
    model = keras.Model(
        inputs, keras.layers.Dense(2)(keras.layers.Flatten()(inputs))
    )
    defended = with_magnet(
        model,
        images[:150],
        images[150:],
        false_positive_rate=0.1,
        epochs=30,
        verbose=0,
    )
    (layer,) = [x for x in defended.layers if x.name == "thresholds"]
    assert len(layer.scale) == num_detectors
    predicted = defended.predict(images[150:], verbose=0).argmax(axis=1)
    assert (predicted == 2).mean() <= 0.1
    noise = rng.random(images[150:].shape).astype("float32")
    assert (defended.predict(noise, verbose=0).argmax(axis=1) == 2).mean() > 0.9


def test_a_peernet_behind_magnet(rng):
    """It gets the one detector that does not call it a second time."""
    images = rng.random((30, 32, 32, 3)).astype("float32")
    peernet = models.build("pr_resnet32", (32, 32, 3), 10)
    peers.set_peers(peernet, images[:4])
    defended = with_magnet(
        peernet,
        images[:20],
        images[20:],
        false_positive_rate=0.2,
        epochs=1,
        verbose=0,
    )
    (layer,) = [x for x in defended.layers if x.name == "thresholds"]
    assert len(layer.scale) == 1
    assert defended.predict(images[:2], verbose=0).shape == (2, 11)


def test_a_wrong_rate_is_refused_before_the_training(classifier, images):
    with pytest.raises(UserError, match="between 0 and 1.*Received: 2"):
        # The training would fail without images.
        with_magnet(classifier, images[:0], images, false_positive_rate=2)


def test_a_threshold_needs_images(classifier, halve, images):
    with pytest.raises(UserError, match="`validation_images` must hold"):
        with_magnet(classifier, images, images[:0])
    with pytest.raises(UserError, match="`validation_images` must hold"):
        defend(classifier, halve, images[:0])


def test_8_bit_pixels_are_refused_before_the_training(classifier, images):
    for name, arrays in (
        ("train_images", (255 * images, images)),
        ("validation_images", (images, 255 * images)),
    ):
        with pytest.raises(UserError, match=rf"{name}: .* lie in \[0, 1\]"):
            with_magnet(classifier, *arrays)


def test_a_softmax_is_refused_before_the_training(classifier, halve, images):
    """Behind MagNet no later check would see it."""
    softmax = keras.Sequential([classifier, keras.layers.Softmax()])
    for make in (
        # The training would fail without images.
        lambda: with_magnet(softmax, images[:0], images),
        lambda: defend(softmax, halve, images),
    ):
        with pytest.raises(AttackError, match="^classifier: .*its softmax"):
            make()


def test_bad_arguments(classifier, halve, images):
    for changes, message in [
        ({"detectors": []}, "must hold a Detector"),
        ({"false_positive_rate": 0.0}, "between 0 and 1.*Received: 0"),
    ]:
        with pytest.raises(UserError, match=message):
            defend(classifier, halve, images, **changes)
    for fields, message in [
        ({}, "either `norm` or `temperature`"),
        ({"norm": 1, "temperature": 1.0}, "either `norm` or `temperature`"),
        ({"norm": 3}, "`norm` must be 1 or 2. Received: 3"),
        ({"temperature": 0.0}, "above 0. Received: 0.0"),
    ]:
        with pytest.raises(UserError, match=message):
            Detector(autoencoder=halve, **fields)
    with pytest.raises(UserError, match="even height and width"):
        autoencoder((7, 8, 1), pooled=True)
    peernet = models.build("pr_lenet5", (28, 28, 1), 10)
    detectors = [Detector(autoencoder=halve, temperature=1.0)]
    with pytest.raises(UserError, match="score by norm only.*pr_lenet5"):
        defend(peernet, halve, images, detectors=detectors)
