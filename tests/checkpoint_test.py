"""Checkpoints: whole, found by path, and refused if they are something else."""

import os

import keras
import numpy as np
import pytest
from sample_records import make_provenance

from peernets_tf import models, peers, training
from peernets_tf.errors import TrainingError, UserError

RECIPE = training.recipe("pr_lenet5", "mnist")
LOGS = {"loss": 0.5, "accuracy": 0.75}


def make_model(name="pr_lenet5", seed=0):
    keras.utils.set_random_seed(seed)
    model = models.build(name, (12, 12, 1), 3, seed=seed)
    training.compile_model(model, RECIPE, steps_per_epoch=6)
    return model


def train_on(model, dataset):
    split = dataset.train.first(16)
    model.train_on_batch(split.images, split.labels)


def claim(folder, model, commit="abc"):
    """Returns the checkpoint of a folder, restored into a model."""
    checkpoint = training.Checkpoint(
        str(folder), {"kind": "training"}, make_provenance(commit=commit)
    )
    checkpoint.set_model(model)
    checkpoint.restore(model)
    return checkpoint


def save_epochs(folder, model, count=1):
    checkpoint = claim(folder, model)
    for epoch in range(count):
        checkpoint.on_epoch_begin(epoch)
        checkpoint.on_epoch_end(epoch, LOGS)
    return checkpoint


def assert_same_state(model, other):
    pairs = [
        *zip(model.variables, other.variables, strict=True),
        *zip(model.optimizer.variables, other.optimizer.variables, strict=True),
    ]
    for a, b in pairs:
        np.testing.assert_array_equal(a, b)


def test_restores_weights_optimizer_random_state_and_history(stripes, tmp_path):
    model = make_model()
    train_on(model, stripes)
    saved = save_epochs(tmp_path, model, count=2)
    assert [name for name in os.listdir(tmp_path) if "checkpoint" in name] == [
        "checkpoint-0002.npz"
    ]
    fresh = make_model(seed=1)
    restored = claim(tmp_path, fresh)
    assert restored.history == saved.history
    assert [row["epoch"] for row in restored.history] == [1, 2]
    assert_same_state(fresh, model)
    # Both dropouts draw on alike.
    train_on(model, stripes)
    train_on(fresh, stripes)
    assert_same_state(fresh, model)


def test_variables_are_found_by_path(stripes, tmp_path):
    """Not by position: in the file they may stand in any order."""
    model = make_model()
    train_on(model, stripes)
    save_epochs(tmp_path, model)
    path = tmp_path / "checkpoint-0001.npz"
    arrays = dict(np.load(path))
    assert {
        "model/conv1/kernel",
        "model/peers1_seed_generator/seed_generator_state",
        "optimizer/iteration",
        "optimizer/conv1_kernel_momentum",
    } < set(arrays)
    np.savez(path, **dict(reversed(arrays.items())))
    fresh = make_model(seed=1)
    claim(tmp_path, fresh)
    assert_same_state(fresh, model)


@pytest.mark.parametrize("num_peers_before", [None, 6, 8])
def test_stored_peers_are_restored(stripes, tmp_path, num_peers_before):
    """Whether or not the fresh model has peers, and of whatever size."""
    images = stripes.train.images
    model = make_model()
    train_on(model, stripes)
    peers.set_peers(model, images[:12].reshape(2, 6, 12, 12, 1))
    save_epochs(tmp_path, model)
    fresh = make_model(seed=1)
    if num_peers_before is not None:
        peers.set_peers(fresh, images[20 : 20 + num_peers_before])
        fresh.predict(images[:2], verbose=0)
    claim(tmp_path, fresh)
    bank, expected = peers.stored_peers(fresh), peers.stored_peers(model)
    assert bank.num_graphs == 2
    for a, b in zip(bank.features, expected.features, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(
        fresh.predict(images[:9], verbose=0),
        model.predict(images[:9], verbose=0),
        atol=1e-6,
    )


def test_the_provenance_of_the_first_start_is_kept(tmp_path):
    for commit in ("first", "second"):
        checkpoint = claim(tmp_path / "run", make_model("lenet5"), commit)
    assert checkpoint.provenance.commit == "first"


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    save = np.savez

    def full(path, *args, **kwargs):
        if "0002" in str(path):
            with open(path, "wb") as file:
                file.write(b"half a file")
            raise OSError(28, "No space left on device")
        save(path, *args, **kwargs)

    model = make_model("lenet5")
    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(TrainingError, match="No space left.*make room"):
        save_epochs(tmp_path, model, count=2)
    names = [n for n in os.listdir(tmp_path) if n.endswith(".npz")]
    assert names == ["checkpoint-0001.npz"]
    monkeypatch.undo()
    restored = claim(tmp_path, make_model("lenet5"))
    assert [row["epoch"] for row in restored.history] == [1]


def test_a_damaged_checkpoint_is_named(tmp_path):
    save_epochs(tmp_path, make_model("lenet5"))
    path = tmp_path / "checkpoint-0001.npz"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(TrainingError, match="checkpoint-0001.npz.*Remove it"):
        claim(tmp_path, make_model("lenet5"))


def test_the_checkpoint_of_another_model_is_refused(tmp_path):
    save_epochs(tmp_path, make_model("lenet5"))
    model = make_model("pr_lenet5")
    before = model.get_weights()
    with pytest.raises(TrainingError, match="model/peers1/bias"):
        claim(tmp_path, model)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_two_variables_of_one_path_are_refused(tmp_path):
    class Pair(keras.Model):
        def __init__(self):
            super().__init__()
            self.first = keras.layers.Dense(2, name="same")
            self.second = keras.layers.Dense(2, name="same")

        def call(self, inputs):
            return self.first(inputs) + self.second(inputs)

    model = Pair()
    model(np.zeros((1, 3), "float32"))
    training.compile_model(model, RECIPE, steps_per_epoch=6)
    with pytest.raises(TrainingError, match="same/kernel.*its own name"):
        save_epochs(tmp_path, model)


def test_a_kill_before_the_history_was_written(tmp_path):
    save_epochs(tmp_path, make_model("lenet5"), count=2)
    path = tmp_path / "training.csv"
    whole = path.read_text()
    path.unlink()
    claim(tmp_path, make_model("lenet5"))
    assert path.read_text() == whole


@pytest.mark.parametrize("text", ["{}", "[]", "{"])
def test_a_folder_of_something_else(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(UserError, match="run.json"):
        claim(tmp_path, make_model("lenet5"))
