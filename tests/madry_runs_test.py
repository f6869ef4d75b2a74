"""One training: what it leaves, and that it resumes where it was stopped."""

import dataclasses
import shutil

import keras
import numpy as np
import pytest
from sample_records import make_provenance

from madry_challenge import config, runs, saved_models
from madry_challenge.options import Options
from peernets_tf import datasets, models, peers
from peernets_tf.errors import UserError

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
OPTIONS = Options(network="lenet5", num_peers=6, num_graphs=2)


class Stop(keras.callbacks.Callback):
    """Interrupts a training, before it begins or before a checkpoint."""

    def __init__(self, epoch=None):
        super().__init__()
        self.epoch = epoch

    def on_train_begin(self, logs=None):
        if self.epoch is None:
            raise KeyboardInterrupt

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.epoch:
            raise KeyboardInterrupt


def train(dataset, folder, options=OPTIONS, callbacks=(), **changes):
    settings = dataclasses.replace(SETTINGS, model_dir=str(folder), **changes)
    return runs.train_network(
        settings, options, dataset, make_provenance(), callbacks=callbacks
    )


@pytest.fixture(scope="module")
def whole(stripes, tmp_path_factory):
    """A finished training, whose folder tests copy before they change it."""
    return train(stripes, tmp_path_factory.mktemp("runs") / "whole")


@pytest.fixture
def folder(whole, tmp_path):
    """A copy of the finished training's folder."""
    source = whole.path.removesuffix("model.keras")
    return shutil.copytree(source, tmp_path / "copy")


def test_what_it_leaves(whole, folder):
    assert len(whole.history) == 6
    assert whole.seconds == pytest.approx(
        sum(row["seconds"] for row in whole.history), abs=0.1
    )
    # Images are augmented for CIFAR only.
    assert whole.options == dataclasses.replace(OPTIONS, augment=False)
    names = sorted(path.name for path in folder.glob("*.keras"))
    assert names == [
        "model-000008.keras",
        "model-000010.keras",
        "model-000012.keras",
        "model.keras",
    ]
    for name in names[-2:]:
        loaded = models.load(folder / name)
        expected = models.weights_sha256(whole.network)
        assert models.weights_sha256(loaded) == expected
    found = config.read(str(folder / "config.json"))
    source = whole.path.removesuffix("/model.keras")
    assert found == dataclasses.replace(SETTINGS, model_dir=source)


def test_a_stopped_training_resumes(stripes, whole, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(stripes, tmp_path, callbacks=[Stop(epoch=2)])
    resumed = train(stripes, tmp_path)
    assert [row["epoch"] for row in resumed.history] == [1, 2, 3, 4, 5, 6]
    assert models.weights_sha256(resumed.network) == models.weights_sha256(
        whole.network
    )


def test_a_training_that_starts_again_removes_older_models(stripes, folder):
    (checkpoint,) = folder.glob("checkpoint-*.npz")
    checkpoint.unlink()
    with pytest.raises(KeyboardInterrupt):
        train(stripes, folder, callbacks=[Stop()])
    assert saved_models.newest(str(folder)) is None


def test_without_an_attack_its_settings_do_not_matter(stripes, tmp_path):
    train(stripes, tmp_path, num_steps=0)
    train(stripes, tmp_path, num_steps=0, epsilon=4.0)


def test_another_attack_is_another_run(stripes, folder):
    with pytest.raises(UserError, match="holds a run with epsilon=8.0"):
        train(stripes, folder, epsilon=4.0)
    # An evaluation's settings do not change what is learnt.
    train(stripes, folder, num_eval_examples=20)


def test_it_starts_from_another_model(stripes, whole, tmp_path):
    options = dataclasses.replace(OPTIONS, initial_model=whole.path)
    still = {"step_size_schedule": ((0, 0.0),), "max_num_training_steps": 1}
    second = train(stripes, tmp_path, options, **still)
    np.testing.assert_array_equal(
        second.network.layers[-1].kernel, whole.network.layers[-1].kernel
    )
    with pytest.raises(UserError, match="holds a run with initial_model"):
        train(stripes, tmp_path, **still)


@pytest.mark.slow
@pytest.mark.parametrize("attack_mode", ["train", "eval"])
def test_a_peernet_keeps_its_graphs(stripes, tmp_path, attack_mode):
    options = dataclasses.replace(
        OPTIONS, network="pr_lenet5", attack_mode=attack_mode
    )
    train(stripes, tmp_path, options, max_num_training_steps=2)
    model = models.load(tmp_path / "model.keras")
    bank = peers.stored_peers(model)
    assert (bank.num_graphs, bank.num_peers) == (2, 6)
    drawn = peers.draw_peers(stripes.train.images, 6, 2, seed=(3, 0))
    expected = peers.encode_peers(model, drawn)
    for features, others in zip(bank.features, expected.features, strict=True):
        np.testing.assert_allclose(features, others, atol=1e-5)


@pytest.mark.parametrize("network", ["thin", "resnet32"])
def test_builds_the_networks(network):
    images = np.zeros((2, 12, 12, 3), np.float32)
    split = datasets.Split(images=images, labels=np.zeros(2, np.int32))
    dataset = datasets.Dataset(
        name="made", num_classes=4, train=split, test=split
    )
    model = runs.build_network(network, dataset, weight_decay=1e-3, seed=0)
    assert model(images).shape == (2, 4)
    kernels = [
        layer.kernel
        for layer in model.layers
        if isinstance(layer, (keras.layers.Conv2D, keras.layers.Dense))
    ]
    penalty = sum(float(np.square(kernel).sum()) for kernel in kernels)
    assert sum(map(float, model.losses)) == pytest.approx(5e-4 * penalty)
