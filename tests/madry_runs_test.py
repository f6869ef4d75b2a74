"""One training: what it leaves, and that it goes on where it was stopped."""

import dataclasses
import os

import keras
import numpy as np
import pytest

from madry_challenge import config, runs
from peernets_tf import data, models, peers, results
from peernets_tf.checkpoint import TrainingError

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="adversarial training needs TensorFlow",
)

SETTINGS = config.Config(
    max_num_training_steps=12,
    num_checkpoint_steps=2,
    training_batch_size=8,
    step_size_schedule=((0, 0.01),),
    num_steps=2,
)
OPTIONS = runs.Options(
    network="lenet5", augment=False, num_peers=6, num_graphs=2
)


@pytest.fixture
def dataset(npz_path):
    return data.load(npz_path)


def train(dataset, folder, options=OPTIONS, **changes):
    settings = dataclasses.replace(SETTINGS, model_dir=str(folder), **changes)
    return runs.train(options, settings, dataset, {})


def test_what_it_leaves(dataset, tmp_path):
    folder = tmp_path / "run"
    assert runs.newest_model(str(folder)) is None
    model, checkpoint = train(dataset, folder)
    assert len(checkpoint.history) == 6
    names = sorted(path.name for path in folder.glob("*.keras"))
    assert names == [
        "model-000008.keras",
        "model-000010.keras",
        "model-000012.keras",
        "model.keras",
    ]
    newest = runs.newest_model(str(folder))
    assert newest == str(folder / "model.keras")
    for name in ("model-000012.keras", "model.keras"):
        loaded = models.load(str(folder / name))
        assert results.weights_sha256(loaded) == results.weights_sha256(model)
    os.remove(newest)
    newest = runs.newest_model(str(folder))
    assert newest == str(folder / "model-000012.keras")
    found = config.read(str(folder / "config.json"))
    assert found == dataclasses.replace(SETTINGS, model_dir=str(folder))


def test_a_stopped_training_goes_on(dataset, tmp_path, monkeypatch):
    whole, _ = train(dataset, tmp_path / "whole")
    save = runs._SaveModel.on_epoch_end

    def stop(self, epoch, logs=None):
        save(self, epoch, logs)
        if epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(runs._SaveModel, "on_epoch_end", stop)
        train(dataset, tmp_path / "stopped")
    resumed, checkpoint = train(dataset, tmp_path / "stopped")
    epochs = [row["epoch"] for row in checkpoint.history]
    assert epochs == [1, 2, 3, 4, 5, 6]
    assert results.weights_sha256(resumed) == results.weights_sha256(whole)


def test_a_training_that_starts_again_leaves_no_old_models(dataset, tmp_path):
    train(dataset, tmp_path)
    (checkpoint,) = tmp_path.glob("checkpoint-*.npz")
    checkpoint.unlink()
    (tmp_path / "model-1000000.keras").touch()
    train(dataset, tmp_path, max_num_training_steps=12)
    names = {path.name for path in tmp_path.glob("*.keras")}
    assert "model-1000000.keras" not in names
    assert len(names) == 4


def test_a_natural_training_knows_no_attack(dataset, tmp_path):
    train(dataset, tmp_path, num_steps=0)
    train(dataset, tmp_path, num_steps=0, epsilon=4.0)


def test_another_attack_is_another_run(dataset, tmp_path):
    train(dataset, tmp_path)
    with pytest.raises(TrainingError, match="holds a run with epsilon=8.0"):
        train(dataset, tmp_path, epsilon=4.0)
    # What only an evaluation reads is not.
    train(dataset, tmp_path, num_eval_examples=20)


def test_it_starts_from_another_model(dataset, tmp_path):
    first, _ = train(dataset, tmp_path / "first")
    path = str(tmp_path / "first" / "model.keras")
    options = dataclasses.replace(OPTIONS, initial_model=path)
    still = {"step_size_schedule": ((0, 0.0),), "max_num_training_steps": 1}
    second, _ = train(dataset, tmp_path / "second", options, **still)
    np.testing.assert_array_equal(
        second.layers[-1].kernel, first.layers[-1].kernel
    )
    with pytest.raises(TrainingError, match="holds a run with initial_model"):
        train(dataset, tmp_path / "second", **still)


@pytest.mark.slow
@pytest.mark.parametrize("attack_mode", ["train", "eval"])
def test_a_peernet_keeps_its_graphs(dataset, tmp_path, attack_mode):
    options = dataclasses.replace(
        OPTIONS, network="pr_lenet5", attack_mode=attack_mode
    )
    train(dataset, tmp_path, options, max_num_training_steps=2)
    model = models.load(str(tmp_path / "model.keras"))
    layer = peers.peer_layers(model)[0]
    assert layer.peers.shape[:2] == (2, 6)
    expected = peers.draw_peers(dataset.train.images, 6, 2, seed=(3, 0))
    before = np.asarray(layer.peers)
    peers.set_peers(model, expected)
    np.testing.assert_allclose(before, layer.peers, atol=1e-5)


@pytest.mark.parametrize("network", ["thin", "resnet32"])
def test_builds_the_networks(network):
    images = np.zeros((2, 12, 12, 3), np.float32)
    split = data.Split(images=images, labels=np.zeros(2, np.int32))
    dataset = data.Dataset(name="made", num_classes=4, train=split, test=split)
    model = runs._build(network, 1e-3, dataset, seed=0)
    assert model(images).shape == (2, 4)
    kernels = [
        layer.kernel
        for layer in model.layers
        if isinstance(layer, (keras.layers.Conv2D, keras.layers.Dense))
    ]
    penalty = sum(float(np.square(kernel).sum()) for kernel in kernels)
    assert sum(map(float, model.losses)) == pytest.approx(5e-4 * penalty)
