"""Training: it learns, resumes where it stopped, and depends on its seed."""

import csv
import dataclasses
import math

import keras
import numpy as np
import pytest
from sample_records import make_provenance
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.util import tensor_util

from peernets_tf import models, peers, training
from peernets_tf.errors import TrainingError, UserError

RECIPE = dataclasses.replace(
    training.recipe("pr_lenet5", "mnist"),
    epochs=3,
    batch_size=16,
    augment=True,
    num_peers=8,
)


def make_model(name="pr_lenet5", seed=0):
    keras.utils.set_random_seed(seed)
    return models.build(name, (12, 12, 1), 3, l2=1e-4, seed=seed)


def fit(model, dataset, output_dir, recipe=RECIPE, seed=0, **options):
    checkpoint = training.Checkpoint(
        str(output_dir), dataclasses.asdict(recipe), make_provenance()
    )
    fitted = training.fit(
        model,
        dataset,
        recipe,
        checkpoint=checkpoint,
        seed=seed,
        verbose=0,
        **options,
    )
    return fitted.history


class InterruptAt(keras.callbacks.Callback):
    """Ctrl-C after a step."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations) == self.step:
            raise KeyboardInterrupt


def test_a_training_that_diverges_in_its_last_step_saves_nothing(
    stripes, tmp_path
):
    recipe = dataclasses.replace(
        RECIPE, epochs=1, batch_size=96, optimizer="momentum"
    )
    recipe = dataclasses.replace(recipe, learning_rate=1e38)
    with pytest.raises(TrainingError, match="must be finite"):
        fit(make_model("lenet5"), stripes, tmp_path, recipe)
    assert not list(tmp_path.glob("checkpoint-*"))


def test_learns_and_leaves_its_files(stripes, tmp_path):
    # A shift of 4 pixels would turn one kind of stripes into another.
    recipe = dataclasses.replace(
        RECIPE, epochs=12, learning_rate=5e-3, augment=False
    )
    history = fit(make_model(), stripes, tmp_path, recipe)
    assert len(history) == 12
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]
    assert history[-1]["val_accuracy"] > 0.6
    names = {path.name for path in tmp_path.iterdir()}
    assert {
        "checkpoint-0012.npz",
        "run.json",
        "tensorboard",
        "training.csv",
    } == names
    with open(tmp_path / "training.csv") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["loss"]) for row in rows] == [
        row["loss"] for row in history
    ]


@pytest.mark.parametrize("name", ["lenet5", "pr_lenet5"])
def test_an_interrupted_run_ends_as_an_uninterrupted_one(
    stripes, tmp_path, name
):
    first = make_model(name)
    expected = fit(first, stripes, tmp_path / "whole")

    # In the second of three epochs of six steps each.
    parts = tmp_path / "parts"
    with pytest.raises(KeyboardInterrupt):
        fit(make_model(name), stripes, parts, callbacks=[InterruptAt(9)])
    assert (parts / "checkpoint-0001.npz").exists()

    # The resuming process may have built other models and optimizers before,
    # so that Keras numbers whatever has no name of its own differently.
    for other in ("pr_lenet5", "lenet5"):
        training.compile_model(make_model(other, seed=3), RECIPE, 6)
    resumed = make_model(name, seed=7)
    history = fit(resumed, stripes, parts)
    for row, other in zip(history, expected, strict=True):
        for key in ("epoch", "loss", "accuracy", "val_loss"):
            np.testing.assert_allclose(row[key], other[key], rtol=1e-5)
    for a, b in zip(resumed.variables, first.variables, strict=True):
        assert a.path == b.path
        np.testing.assert_allclose(a, b, atol=1e-5)
    assert resumed.optimizer.iterations == first.optimizer.iterations


def test_a_finished_run_is_not_trained_again(stripes, tmp_path):
    model = make_model("lenet5")
    fit(model, stripes, tmp_path)
    before = model.get_weights()
    again = make_model("lenet5", seed=1)
    assert len(fit(again, stripes, tmp_path)) == 3
    for a, b in zip(again.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_another_run_is_refused(stripes, tmp_path):
    recipe = dataclasses.replace(RECIPE, epochs=1)
    fit(make_model("lenet5"), stripes, tmp_path, recipe)
    other = dataclasses.replace(recipe, learning_rate=0.5)
    with pytest.raises(UserError, match="learning_rate=0.001.*0.5"):
        fit(make_model("lenet5"), stripes, tmp_path, other)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 2}, "10 pixels at layer peers2.*batch_size=2"),
        ({"num_peers": 2}, "10 pixels at layer peers2.*num_peers=2"),
        ({"batch_size": 97}, "batch_size=97"),
        ({"num_peers": 97}, "num_peers=97"),
    ],
)
def test_a_refused_recipe_does_not_claim_the_folder(
    stripes, tmp_path, changes, message
):
    recipe = dataclasses.replace(RECIPE, **changes)
    with pytest.raises(UserError, match=message):
        fit(make_model(), stripes, tmp_path, recipe)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["lenet5", "pr_lenet5"])
def test_a_loss_that_is_not_finite_names_the_step(stripes, tmp_path, name):
    recipe = dataclasses.replace(
        RECIPE, optimizer="momentum", learning_rate=1e30
    )
    with pytest.raises(
        TrainingError, match=r"at step [12345] .*smaller learning rate"
    ):
        fit(make_model(name), stripes, tmp_path, recipe)


def test_same_seed_same_weights(stripes, tmp_path):
    recipe = dataclasses.replace(RECIPE, epochs=1)
    hashes = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        model = make_model(seed=seed)
        fit(model, stripes, tmp_path / name, recipe, seed=seed)
        hashes.append(models.weights_sha256(model))
    assert hashes[0] == hashes[1] != hashes[2]


def test_validation_peers_are_fresh(stripes, tmp_path):
    seen = []

    class Spy(keras.callbacks.Callback):
        def on_test_end(self, logs=None):
            seen.append(peers.stored_peers(self.model))

    recipe = dataclasses.replace(RECIPE, epochs=2, learning_rate=0.0)
    model = make_model()
    fit(model, stripes, tmp_path, recipe, callbacks=[Spy()])
    for epoch, bank in enumerate(seen):
        assert (bank.num_graphs, bank.num_peers) == (1, 8)
        images = peers.draw_peers(stripes.train.images, 8, seed=(2, 0, epoch))
        # The draws are part of every record, so they stay as they are.
        expected = peers.encode_peers(model, images)
        for a, b in zip(bank.features, expected.features, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)
    assert np.abs(seen[0].features[0] - seen[1].features[0]).max() > 1e-3


def test_a_file_in_the_place_of_tensorboards_folder_is_named(stripes, tmp_path):
    (tmp_path / "tensorboard").write_text("a file")
    with pytest.raises(UserError, match="tensorboard must be a folder"):
        fit(make_model(), stripes, tmp_path)


@pytest.mark.parametrize(
    ("changes", "rates"),
    [
        ({"schedule": "constant"}, [1e-3, 1e-3]),
        ({"schedule": "step", "decay_epochs": (1,)}, [1e-4, 1e-4]),
        # The cosine begins after the first of twelve steps.
        ({"schedule": "cosine"}, [5e-4 * (1 + math.cos(math.pi * 5 / 11)), 0]),
    ],
)
def test_tensorboard_shows_scalars_and_the_learning_rate(
    stripes, tmp_path, changes, rates
):
    recipe = dataclasses.replace(RECIPE, epochs=2, **changes)
    history = fit(make_model("lenet5"), stripes, tmp_path, recipe)
    for part, prefix in (("train", ""), ("validation", "val_")):
        shown = scalars(tmp_path / "tensorboard" / part)
        for name in ("loss", "accuracy"):
            expected = [row[prefix + name] for row in history]
            assert shown[f"epoch_{name}"] == pytest.approx(expected)
    # At the end of an epoch, the rate of the next step.
    shown = scalars(tmp_path / "tensorboard" / "train")
    assert shown["epoch_learning_rate"] == pytest.approx(rates, abs=1e-9)


def scalars(folder):
    """Returns what TensorBoard shows of a run: a value for each epoch."""
    events = event_accumulator.EventAccumulator(str(folder))
    events.Reload()
    return {
        tag: [
            float(tensor_util.make_ndarray(event.tensor_proto))
            for event in events.Tensors(tag)
        ]
        for tag in events.Tags()["tensors"]
    }
