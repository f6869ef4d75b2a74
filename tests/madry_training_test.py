"""Adversarial training: the attack, the schedule, and what is learnt."""

import keras
import numpy as np
import pytest

from madry_challenge import config, training
from peernets_tf import data, models, set_peers
from peernets_tf.checkpoint import Checkpoint

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
    settings = config.Config(
        random_start=False, loss_func=loss_func, num_steps=7, step_size=3.0
    )
    trainer = training.AdversarialTrainer(model, settings)
    images = rng.uniform(0, 255, (16, 4, 4, 3)).astype("float32")
    labels = rng.integers(0, 3, 16).astype("int32")
    found = 255 * np.asarray(trainer.perturb(images / 255, labels))
    expected = challenge_pgd(images, labels, weights, settings)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.abs(found - images).max() > 7.9


def test_random_starts_differ_and_stay_in_the_ball(rng):
    model, _ = linear_model(rng)
    settings = config.Config(num_steps=1, step_size=0.5)
    trainer = training.AdversarialTrainer(model, settings)
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


@pytest.fixture
def dataset(npz_path):
    return data.load(npz_path)


def fit(model, dataset, folder, *, seed=0, settings, **options):
    folder.mkdir(exist_ok=True)
    trainer = training.AdversarialTrainer(model, settings, **options)
    checkpoint = Checkpoint(str(folder), {}, {})
    history = training.fit(
        trainer,
        dataset,
        settings,
        checkpoint=checkpoint,
        seed=seed,
        augment=False,
        num_peers=6,
        verbose=0,
    )
    return trainer, history


SETTINGS = config.Config(
    max_num_training_steps=10,
    num_checkpoint_steps=4,
    training_batch_size=8,
    step_size_schedule=((0, 0.01), (6, 0.001)),
    num_steps=2,
)


def test_the_schedule_is_counted_in_steps(dataset, tmp_path):
    rates = []

    class Rates(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            rates.append(float(self.model.optimizer.learning_rate))

    keras.utils.set_random_seed(0)
    model = models.build("lenet5", (12, 12, 1), 3)
    trainer = training.AdversarialTrainer(model, SETTINGS)
    history = training.fit(
        trainer,
        dataset,
        SETTINGS,
        checkpoint=Checkpoint(str(tmp_path), {}, {}),
        seed=0,
        callbacks=[Rates()],
        verbose=0,
    )
    assert rates == pytest.approx([0.01] * 6 + [0.001] * 4)
    assert int(trainer.optimizer.iterations) == 10
    assert len(history) == 3


def test_a_batch_mode_that_does_not_exist(rng):
    with pytest.raises(ValueError, match="Received: test"):
        training.AdversarialTrainer(
            linear_model(rng)[0], SETTINGS, attack_mode="test"
        )


@pytest.mark.parametrize("mode", training.MODES)
def test_only_train_mode_moves_the_averages_while_attacking(rng, mode):
    inputs = keras.Input((4, 4, 3))
    x = keras.layers.BatchNormalization()(inputs)
    outputs = keras.layers.Dense(3)(keras.layers.Flatten()(x))
    model = keras.Model(inputs, outputs)
    trainer = training.AdversarialTrainer(model, SETTINGS, attack_mode=mode)
    before = np.asarray(model.layers[1].moving_mean)
    images = rng.uniform(0, 1, (8, 4, 4, 3)).astype("float32")
    trainer.perturb(images, np.zeros(8, "int32"))
    moved = np.abs(model.layers[1].moving_mean - before).max()
    assert (moved > 0) == (mode == "train")


@pytest.mark.slow
@pytest.mark.parametrize("backward", ["exact", "identity"])
def test_a_peernet_trains(dataset, tmp_path, backward):
    model = models.build("pr_lenet5", (12, 12, 1), 3)
    trainer, history = fit(
        model, dataset, tmp_path, settings=SETTINGS, backward=backward
    )
    assert len(history) == 3
    assert np.isfinite(history[-1]["loss"])
    set_peers(model, dataset.train.images[:6])
    assert np.isfinite(trainer.predict(dataset.test.images, verbose=0)).all()


@pytest.mark.slow
def test_it_resists_what_a_natural_training_does_not(tmp_path):
    dataset = data.load("mnist5k")
    test = dataset.test.first(200)
    attacker = config.Config(epsilon=30.0, step_size=7.5, num_steps=8)
    accuracies = {}
    for name, steps in (("natural", 0), ("adversarial", 5)):
        keras.utils.set_random_seed(0)
        settings = config.Config(
            max_num_training_steps=200,
            num_checkpoint_steps=200,
            training_batch_size=64,
            step_size_schedule=((0, 0.01),),
            epsilon=30.0,
            step_size=10.0,
            num_steps=steps,
        )
        model = models.build("lenet5", (28, 28, 1), 10)
        fit(model, dataset, tmp_path / name, settings=settings)
        trainer = training.AdversarialTrainer(
            model, attacker, attack_mode="eval"
        )
        adversarial = trainer.perturb(test.images, test.labels)
        logits = model.predict(np.asarray(adversarial), verbose=0)
        accuracies[name] = np.mean(logits.argmax(axis=1) == test.labels)
    assert accuracies["adversarial"] > accuracies["natural"] + 0.2
