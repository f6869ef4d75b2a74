import csv
import dataclasses
import os

import keras
import numpy as np
import pytest

from peernets_tf import data, models, recipes, results, set_peers, training
from peernets_tf.checkpoint import Checkpoint, TrainingError


@pytest.fixture
def dataset(npz_path):
    return data.load(npz_path)


RECIPE = dataclasses.replace(
    recipes.recipe("pr_lenet5", "mnist"),
    epochs=3,
    batch_size=16,
    augment=True,
    num_peers=8,
)


def make_model(name="pr_lenet5", seed=0):
    keras.utils.set_random_seed(seed)
    return models.build(name, (12, 12, 1), 3, l2=1e-4, seed=seed)


def fit(model, dataset, output_dir, recipe=RECIPE, seed=0, **options):
    return training.fit(
        model,
        dataset,
        recipe,
        checkpoint=Checkpoint(
            str(output_dir), dataclasses.asdict(recipe), {"commit": "abc"}
        ),
        seed=seed,
        verbose=0,
        **options,
    )


def test_learns_and_leaves_its_files(dataset, tmp_path):
    model = make_model()
    # A shift of 4 pixels would turn one kind of stripes into another.
    recipe = dataclasses.replace(
        RECIPE, epochs=12, learning_rate=5e-3, augment=False
    )
    history = fit(model, dataset, tmp_path, recipe)
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
    dataset, tmp_path, name, monkeypatch
):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    first = make_model(name)
    expected = fit(first, dataset, whole)

    # Ctrl-C in the second of three epochs, of six steps each.
    interrupted = make_model(name)

    def interrupt(callback, batch, logs=None):
        if int(callback.model.optimizer.iterations) == 9:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training._StopOnNaN, "on_train_batch_end", interrupt)
        fit(interrupted, dataset, parts)
    assert "checkpoint-0001.npz" in os.listdir(parts)

    resumed = make_model(name, seed=7)
    history = fit(resumed, dataset, parts)
    for row, other in zip(history, expected, strict=True):
        for key in ("epoch", "loss", "accuracy", "val_loss"):
            np.testing.assert_allclose(row[key], other[key], rtol=1e-5)
    for a, b in zip(resumed.weights, first.weights, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    assert resumed.optimizer.iterations == first.optimizer.iterations


def test_a_finished_run_is_not_trained_again(dataset, tmp_path):
    model = make_model("lenet5")
    fit(model, dataset, tmp_path)
    before = model.get_weights()
    again = make_model("lenet5", seed=1)
    assert len(fit(again, dataset, tmp_path)) == 3
    for a, b in zip(again.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_full_disk_keeps_the_last_checkpoint(dataset, tmp_path, monkeypatch):
    save = np.savez

    def full(path, *args, **kwargs):
        if "0002" in str(path):
            with open(path, "wb") as file:
                file.write(b"half a file")
            raise OSError(28, "No space left on device")
        save(path, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", full)
        with pytest.raises(TrainingError, match="No space left.*make room"):
            fit(make_model("lenet5"), dataset, tmp_path)
    names = [n for n in os.listdir(tmp_path) if n.endswith(".npz")]
    assert names == ["checkpoint-0001.npz"]
    history = fit(make_model("lenet5"), dataset, tmp_path)
    assert [row["epoch"] for row in history] == [1, 2, 3]


def test_a_damaged_checkpoint_is_named(dataset, tmp_path):
    fit(make_model("lenet5"), dataset, tmp_path)
    path = tmp_path / "checkpoint-0003.npz"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(TrainingError, match="checkpoint-0003.npz.*remove it"):
        fit(make_model("lenet5"), dataset, tmp_path)


def test_the_environment_of_the_first_start_is_kept(tmp_path):
    for commit in ("first", "second"):
        checkpoint = Checkpoint(str(tmp_path), {}, {"commit": commit})
        checkpoint.restore(make_model("lenet5"))
    assert checkpoint.environment == {"commit": "first"}


def test_a_batch_with_too_few_pixels_is_refused(dataset, tmp_path):
    recipe = dataclasses.replace(RECIPE, batch_size=2)
    with pytest.raises(ValueError, match="batch_size=2"):
        fit(make_model(), dataset, tmp_path, recipe)


def test_another_run_is_refused(dataset, tmp_path):
    fit(make_model("lenet5"), dataset, tmp_path)
    other = dataclasses.replace(RECIPE, learning_rate=0.5)
    with pytest.raises(TrainingError, match="learning_rate=0.001, not 0.5"):
        fit(make_model("lenet5"), dataset, tmp_path, other)


def test_a_kill_before_the_history_was_written(dataset, tmp_path):
    fit(make_model("lenet5"), dataset, tmp_path)
    path = tmp_path / "training.csv"
    whole = path.read_text()
    path.unlink()
    fit(make_model("lenet5"), dataset, tmp_path)
    assert path.read_text() == whole


@pytest.mark.parametrize("text", ["{}", "[]", "{"])
def test_a_folder_of_something_else(dataset, tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(TrainingError, match="run.json is not of a training"):
        fit(make_model("lenet5"), dataset, tmp_path)


@pytest.mark.parametrize("name", ["lenet5", "pr_lenet5"])
def test_nan_loss_names_the_step(dataset, tmp_path, name):
    recipe = dataclasses.replace(
        RECIPE, optimizer="momentum", learning_rate=1e30
    )
    with pytest.raises(
        TrainingError, match=r"at step [12345]: .*smaller learning rate"
    ):
        fit(make_model(name), dataset, tmp_path, recipe)


def test_same_seed_same_weights(dataset, tmp_path):
    hashes = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        (tmp_path / name).mkdir()
        model = make_model(seed=seed)
        recipe = dataclasses.replace(RECIPE, epochs=1)
        fit(model, dataset, tmp_path / name, recipe, seed=seed)
        hashes.append(results.weights_sha256(model))
    assert hashes[0] == hashes[1] != hashes[2]


def test_validation_peers_are_fresh(dataset, tmp_path):
    seen = []

    class Spy(training._ValidationPeers):
        def on_test_begin(self, logs=None):
            super().on_test_begin(logs)
            layer = self.model.get_layer("peers1")
            seen.append(keras.ops.convert_to_numpy(layer.peers))

    original = training._ValidationPeers
    training._ValidationPeers = Spy
    try:
        recipe = dataclasses.replace(RECIPE, epochs=2, learning_rate=0.0)
        fit(make_model(), dataset, tmp_path, recipe)
    finally:
        training._ValidationPeers = original
    assert seen[0].shape[:2] == (1, 8)
    assert np.abs(seen[0] - seen[1]).max() > 1e-3


def test_count_correct(dataset):
    model = make_model()
    set_peers(model, dataset.train.images[:8])
    logits = model(dataset.test.images, training=False)
    expected = np.sum(np.argmax(logits, axis=1) == dataset.test.labels)
    assert training.count_correct(model, dataset.test, 7, verbose=0) == expected


def test_step_schedule_is_table_1s():
    recipe = recipes.recipe("pr_resnet32", "cifar10")
    rate = training.learning_rate_schedule(recipe, steps_per_epoch=10)
    # A training that ends before the first step down.
    short = dataclasses.replace(recipe, epochs=100)
    assert training.learning_rate_schedule(short, steps_per_epoch=10) == 1e-2
    expected = {0: 1e-2, 999: 1e-2, 1000: 1e-3, 1750: 1e-4, 2500: 1e-5}
    for step, value in expected.items():
        np.testing.assert_allclose(rate(step), value, rtol=1e-6)


def test_cosine():
    recipe = dataclasses.replace(
        RECIPE, schedule="cosine", epochs=10, learning_rate=0.5
    )
    rate = training.learning_rate_schedule(recipe, steps_per_epoch=10)
    expected = {0: 0.05, 5: 0.275, 10: 0.5, 55: 0.25, 100: 0.0, 110: 0.0}
    for step, value in expected.items():
        np.testing.assert_allclose(rate(step), value, atol=1e-6)


@pytest.mark.parametrize("name", ["schedule", "optimizer"])
def test_refuses_unknown_names(dataset, tmp_path, name):
    recipe = dataclasses.replace(RECIPE, **{name: "other"})
    with pytest.raises(ValueError, match=f"{name}=other"):
        fit(make_model(), dataset, tmp_path, recipe)
