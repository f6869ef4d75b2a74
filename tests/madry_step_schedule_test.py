"""Adversarial training in steps: the schedule, and what is learnt."""

import keras
import numpy as np
import pytest
from sample_records import make_provenance

from madry_challenge import step_schedule
from madry_challenge.adversarial_training import AdversarialTrainer
from madry_challenge.config import Config
from madry_challenge.options import Options
from peernets_tf import datasets, models, set_peers, training

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="adversarial training needs TensorFlow",
)
SETTINGS = Config(
    max_num_training_steps=10,
    num_checkpoint_steps=4,
    training_batch_size=8,
    step_size_schedule=((0, 0.01), (6, 0.001)),
    num_steps=2,
)


def fit(model, dataset, folder, settings=SETTINGS, callbacks=(), **options):
    trainer = AdversarialTrainer(model, settings, **options)
    checkpoint = training.Checkpoint(str(folder), {}, make_provenance())
    fitted = step_schedule.fit(
        trainer,
        dataset,
        settings,
        Options(network=model.name, augment=False, num_peers=6),
        checkpoint=checkpoint,
        callbacks=callbacks,
        verbose=0,
    )
    return trainer, fitted.history


class Rates(keras.callbacks.Callback):
    """The learning rate at the beginning of each step."""

    def __init__(self):
        super().__init__()
        self.rates = []

    def on_train_batch_begin(self, batch, logs=None):
        self.rates.append(float(self.model.optimizer.learning_rate))


def test_the_schedule_is_counted_in_steps(stripes, tmp_path):
    rates = Rates()
    model = models.build("lenet5", (12, 12, 1), 3)
    trainer, history = fit(model, stripes, tmp_path, callbacks=[rates])
    assert rates.rates == pytest.approx([0.01] * 6 + [0.001] * 4)
    assert int(trainer.optimizer.iterations) == 10
    assert len(history) == 3


def test_batches_do_not_end_with_an_epoch(stripes):
    """The steps after the second checkpoint, across the end of an epoch."""
    batches = datasets.Batches(stripes.train, 40, seed=0, augment=False)
    expected = []
    for epoch in range(3):
        batches.set_epoch(epoch)
        expected += [batches[i][1] for i in range(len(batches))]
    assert len(batches) == 2
    counted = step_schedule.StepBatches(batches, 3)
    for checkpoint in range(2):
        counted.set_epoch(checkpoint)
        for i in range(len(counted)):
            np.testing.assert_array_equal(
                counted[i][1], expected[3 * checkpoint + i]
            )


@pytest.mark.slow
@pytest.mark.parametrize("backward", ["exact", "identity"])
def test_a_peernet_trains(stripes, tmp_path, backward):
    model = models.build("pr_lenet5", (12, 12, 1), 3)
    trainer, history = fit(model, stripes, tmp_path, backward=backward)
    assert len(history) == 3
    assert np.isfinite(history[-1]["loss"])
    set_peers(model, stripes.train.images[:6])
    assert np.isfinite(trainer.predict(stripes.test.images, verbose=0)).all()


@pytest.mark.slow
def test_it_resists_what_a_natural_training_does_not(tmp_path):
    dataset = datasets.load("mnist5k")
    test = dataset.test.first(200)
    attacker = Config(epsilon=30.0, step_size=7.5, num_steps=8)
    accuracies = {}
    for name, steps in (("natural", 0), ("adversarial", 5)):
        keras.utils.set_random_seed(0)
        settings = Config(
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
        trainer = AdversarialTrainer(model, attacker, attack_mode="eval")
        adversarial = trainer.perturb(test.images, test.labels)
        logits = model.predict(np.asarray(adversarial), verbose=0)
        accuracies[name] = np.mean(logits.argmax(axis=1) == test.labels)
    assert accuracies["adversarial"] > accuracies["natural"] + 0.2
