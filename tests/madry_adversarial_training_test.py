"""The attack inside a training step of adversarial training."""

import keras
import numpy as np
import pytest

from madry_challenge import adversarial_training
from madry_challenge.adversarial_training import AdversarialTrainer
from madry_challenge.config import Config
from peernets_tf.errors import UserError

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="adversarial training needs TensorFlow",
)


def linear_model(rng):
    """Logits whose gradients are known: 3 classes of 4 x 4 images."""
    weights = rng.normal(size=(48, 3)).astype("float32")
    model = keras.Sequential(
        [
            keras.Input((4, 4, 3)),
            keras.layers.Flatten(),
            keras.layers.Dense(3),
        ]
    )
    model.layers[-1].set_weights([weights, np.zeros(3, "float32")])
    return model, weights


def challenge_pgd(images, labels, weights, settings):
    """The challenge's loop on 0-255, with its gradients worked out by hand."""
    x = images.copy()
    for _ in range(settings.num_steps):
        logits = x.reshape(len(x), -1) / 255 @ weights
        if settings.loss_func == "xent":
            p = np.exp(logits - logits.max(axis=1, keepdims=True))
            p /= p.sum(axis=1, keepdims=True)
            upstream = p - np.eye(3)[labels]
        else:
            masked = np.where(np.eye(3)[labels] == 1, -np.inf, logits)
            upstream = np.eye(3)[masked.argmax(axis=1)] - np.eye(3)[labels]
        gradient = (upstream @ weights.T).reshape(x.shape)
        x = x + settings.step_size * np.sign(gradient)
        x = np.clip(x, images - settings.epsilon, images + settings.epsilon)
        x = np.clip(x, 0, 255)
    return x


@pytest.mark.parametrize("loss_func", ["xent", "cw"])
def test_the_attack_is_the_challenges(rng, loss_func):
    model, weights = linear_model(rng)
    settings = Config(
        random_start=False, loss_func=loss_func, num_steps=7, step_size=3.0
    )
    trainer = AdversarialTrainer(model, settings)
    images = rng.uniform(0, 255, (16, 4, 4, 3)).astype("float32")
    labels = rng.integers(0, 3, 16).astype("int32")
    found = 255 * np.asarray(trainer.perturb(images / 255, labels))
    expected = challenge_pgd(images, labels, weights, settings)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.abs(found - images).max() > 7.9


def test_random_starts_differ_and_stay_in_the_ball(rng):
    model, _ = linear_model(rng)
    settings = Config(num_steps=1, step_size=0.5)
    trainer = AdversarialTrainer(model, settings)
    images = rng.uniform(0, 1, (16, 4, 4, 3)).astype("float32")
    labels = rng.integers(0, 3, 16).astype("int32")
    first, second = (
        np.asarray(trainer.perturb(images, labels)) for _ in range(2)
    )
    assert np.abs(first - second).max() > 1 / 255
    for found in (first, second):
        assert np.abs(found - images).max() <= 8 / 255 + 1e-6
        assert found.min() >= 0
        assert found.max() <= 1


def test_random_starts_follow_the_seed(rng):
    model, _ = linear_model(rng)
    images = rng.uniform(0, 1, (4, 4, 4, 3)).astype("float32")
    labels = np.zeros(4, "int32")
    first, same, other = (
        np.asarray(
            AdversarialTrainer(
                model, Config(num_steps=1, step_size=0.0), seed=seed
            ).perturb(images, labels)
        )
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).max() > 1 / 255


def test_another_backend(rng, monkeypatch):
    model, _ = linear_model(rng)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(UserError, match="needs KERAS_BACKEND=tensorflow"):
        AdversarialTrainer(model, Config())


def test_an_unknown_mode(rng):
    with pytest.raises(UserError, match="Received: test"):
        AdversarialTrainer(
            linear_model(rng)[0], Config(num_steps=2), attack_mode="test"
        )


@pytest.mark.parametrize("mode", adversarial_training.MODES)
def test_only_train_mode_moves_the_averages_while_attacking(rng, mode):
    inputs = keras.Input((4, 4, 3))
    x = keras.layers.BatchNormalization()(inputs)
    outputs = keras.layers.Dense(3)(keras.layers.Flatten()(x))
    model = keras.Model(inputs, outputs)
    trainer = AdversarialTrainer(model, Config(num_steps=2), attack_mode=mode)
    before = np.asarray(model.layers[1].moving_mean)
    images = rng.uniform(0, 1, (8, 4, 4, 3)).astype("float32")
    trainer.perturb(images, np.zeros(8, "int32"))
    moved = np.abs(model.layers[1].moving_mean - before).max()
    assert (moved > 0) == (mode == "train")
