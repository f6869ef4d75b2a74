"""Training on two virtual devices of the CPU."""

import json

import numpy as np
import pytest
from commands import run_python

from peernets_tf import models, records, training
from peernets_tf.errors import UserError

# TensorFlow's devices are fixed at their first use.
_TWO_DEVICES = """
import sys
import tensorflow as tf
(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)
from {package} import train
from peernets_tf.cli import app
app.main(train.COMMAND)
"""
_SMALL = ("--validation_size=4", "--num_peers=6", "--num_graphs=2")


def identity(folder):
    return json.loads((folder / "run.json").read_text())["identity"]


@pytest.mark.slow
def test_mirrored_trains_and_finds_its_checkpoint(npz_path, tmp_path):
    flags = [
        "--distribution=mirrored",
        f"--dataset={npz_path}",
        "--model=pr_lenet5",
        "--batch_size=16",
        "--epochs=2",
        f"--output_dir={tmp_path}",
        *_SMALL,
    ]
    code = _TWO_DEVICES.format(package="peernets_tf")
    run_python(code, *flags)
    record = records.read(str(tmp_path / "record.json"))
    assert identity(tmp_path)["num_devices"] == 2
    assert [row["epoch"] for row in record.history] == [1, 2]
    # The saved model has the peers and weights of all devices.
    model = models.load(tmp_path / "model.keras")
    assert models.weights_sha256(model) == record.weights_sha256
    # The same command finds the checkpoint, and trains no further.
    assert "Epoch" not in run_python(code, *flags)
    again = records.read(str(tmp_path / "record.json"))
    assert again.weights_sha256 == record.weights_sha256


_MIRRORED = """
import keras
import numpy as np
import tensorflow as tf

(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)
from peernets_tf import models, training

rng = np.random.default_rng(0)
images = rng.random((8, 12, 12, 1), "float32")
labels = np.arange(8) % 4


class OneBatch(keras.utils.PyDataset):
    def __init__(self, *batch):
        super().__init__()
        self.batch = batch

    def __len__(self):
        return 1

    def __getitem__(self, index):
        # TensorFlow may write its results into the memory of an array.
        return tuple(array.copy() for array in self.batch)


def fit(model, *batch):
    training.compile_with(model, keras.optimizers.SGD(0.01))
    fitted = model.fit(OneBatch(*batch), shuffle=False, verbose=0)
    return fitted.history["loss"][0]


def loss(images, labels):
    keras.utils.set_random_seed(0)
    model = models.build("pr_lenet5", (12, 12, 1), 4, seed=0)
    return fit(model, images, labels)


# Each half of the batch is a graph, with the same random numbers.
halves = [loss(images[i : i + 4], labels[i : i + 4]) for i in (0, 4)]
whole = loss(images, labels)
with training.distributed("mirrored"):
    shared = loss(images, labels)

    inputs = keras.Input((12, 12, 1))
    x = keras.layers.BatchNormalization()(inputs)
    x = keras.layers.Flatten()(x)
    model = keras.Model(inputs, keras.layers.Dense(4)(x))
    fit(model, images, labels)
    # Each device has the mean of its share, until they agree.
    mean = model.layers[1].moving_mean
    results = tf.distribute.get_strategy().experimental_local_results
    apart = [float(value[0]) for value in results(mean.value)]
    training.average_devices(model)
    agreed = [float(value[0]) for value in results(mean.value)]
np.testing.assert_allclose(shared, np.mean(halves), rtol=1e-5)
assert abs(shared - whole) > 1e-4, (shared, whole)
assert apart[0] != apart[1]
np.testing.assert_allclose(agreed, [0.01 * images.mean()] * 2, rtol=1e-4)
"""


@pytest.mark.slow
def test_mirrored_devices_have_graphs_of_their_own_and_agree():
    run_python(_MIRRORED)


@pytest.mark.slow
def test_mirrored_trains_on_adversarial_images(npz_path, tmp_path):
    run_python(
        _TWO_DEVICES.format(package="madry_challenge"),
        "--distribution=mirrored",
        f"--dataset={npz_path}",
        "--network=pr_lenet5",
        "--training_batch_size=16",
        "--max_num_training_steps=2",
        "--num_steps=1",
        f"--output_dir={tmp_path}",
        *_SMALL,
    )
    record = records.read(str(tmp_path / "record.json"))
    assert identity(tmp_path)["num_devices"] == 2
    assert np.isfinite(record.history[-1]["loss"])


_DATA_PARALLEL = """
import keras
import numpy as np
from peernets_tf import models, training

rng = np.random.default_rng(0)
images = rng.random((8, 12, 12, 1), "float32")
labels = np.arange(8) % 4
losses = []
for name in (None, "data_parallel"):
    with training.distributed(name) as num_devices:
        keras.utils.set_random_seed(0)
        model = models.build("pr_lenet5", (12, 12, 1), 4, seed=0)
        training.compile_with(model, keras.optimizers.SGD(0.01))
        losses.append(
            [float(model.train_on_batch(images, labels)[0]) for _ in range(2)]
        )
assert num_devices == 2
# The whole batch is the graph, so the peers are those of one device.
np.testing.assert_allclose(*losses, rtol=1e-5)
"""


@pytest.mark.slow
def test_data_parallel_gives_the_losses_of_one_device():
    pytest.importorskip("jax", reason="pip install jax")
    run_python(
        _DATA_PARALLEL,
        KERAS_BACKEND="jax",
        XLA_FLAGS="--xla_force_host_platform_device_count=2",
    )


_REFRESHED_PEERS = """
import keras
import numpy as np
from peernets_tf import RefreshPeers, models, training
images = np.random.default_rng(0).random((8, 12, 12, 1), "float32")
labels = np.arange(8) % 4
with training.distributed("data_parallel"):
    model = models.build("pr_lenet5", (12, 12, 1), 4, seed=0)
    training.compile_with(model, keras.optimizers.SGD(0.01))
    model.fit(
        images,
        labels,
        batch_size=4,
        epochs=2,
        validation_data=(images, labels),
        callbacks=[RefreshPeers(images, 4)],
        verbose=0,
    )
assert model.get_layer("peers1").peers is not None
"""


@pytest.mark.slow
def test_data_parallel_takes_peers_that_a_callback_stores_first():
    pytest.importorskip("jax", reason="pip install jax")
    run_python(
        _REFRESHED_PEERS,
        KERAS_BACKEND="jax",
        XLA_FLAGS="--xla_force_host_platform_device_count=2",
    )


def test_one_device_needs_no_name():
    with training.distributed(None) as num_devices:
        assert num_devices == 1


def test_needs_the_backend_and_two_devices():
    with (
        pytest.raises(UserError, match="KERAS_BACKEND=jax"),
        training.distributed("data_parallel"),
    ):
        pass
    with (
        pytest.raises(UserError, match="at least 2 devices"),
        training.distributed("mirrored"),
    ):
        pass
    with pytest.raises(UserError, match="mirrored, data_parallel"):
        training.check_distribution("parallel")


def test_shares_are_equal():
    training.check_shares(2, batch_size=64)
    with pytest.raises(UserError, match="multiple of the number of devices, 2"):
        training.check_shares(2, batch_size=63)
    sizes = [training.shared_batch_size(100, n) for n in (1, 2, 3, 8, 128)]
    assert sizes == [100, 100, 99, 96, 128]
