"""Rows of the table "What does it work with?" of docs/layer.md."""

import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from peernets_tf import PeerRegularization, set_peers

_HERE = pathlib.Path(__file__).resolve().parent
_PATHS = (_HERE.parent, _HERE)


def make_model():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(6, 3, padding="same")(inputs)
    x = PeerRegularization(num_neighbors=5)(x)
    x = keras.layers.Conv2D(4, 3, strides=2)(x)
    x = PeerRegularization(num_neighbors=3)(x)
    x = keras.layers.Flatten()(x)
    return keras.Model(inputs, keras.layers.Dense(3, dtype="float32")(x))


@pytest.fixture
def images(rng):
    return rng.random((6, 8, 8, 3)).astype("float32")


@pytest.fixture
def model(images):
    model = make_model()
    set_peers(model, images[::-1] * 0.9)
    return model


def test_saved_model(model, images, tmp_path):
    model.export(tmp_path / "model", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    for batch in (images, images[:1]):
        np.testing.assert_allclose(
            loaded.serve(batch), model(batch, training=False), atol=1e-5
        )


def test_tflite(model, images, tmp_path):
    path = str(tmp_path / "model.tflite")
    model.export(path, format="litert", verbose=False)
    interpreter = tf.lite.Interpreter(model_path=path)
    given = interpreter.get_input_details()[0]["index"]
    for batch in (images, images[:1]):
        interpreter.resize_tensor_input(given, batch.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(given, batch)
        interpreter.invoke()
        found = interpreter.get_output_details()[0]["index"]
        np.testing.assert_allclose(
            interpreter.get_tensor(found),
            model(batch, training=False),
            atol=1e-5,
        )


def test_quantize(model, images, tmp_path):
    logits = model.predict(images, verbose=0)
    model.quantize("int8")
    set_peers(model, images[::-1] * 0.9)
    quantized = model.predict(images, verbose=0)
    np.testing.assert_allclose(quantized, logits, atol=0.1)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), quantized)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy, images):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = make_model()
    finally:
        keras.config.set_dtype_policy(before)
    model.compile("adam", "mse")
    history = model.fit(images, np.ones((6, 3)), batch_size=6, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    set_peers(model, images)
    assert np.isfinite(model.predict(images, verbose=0)).all()


_MIRRORED = """
import numpy as np, tensorflow as tf
(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)
from peernets_tf import set_peers
from works_with_test import make_model
images = np.random.default_rng(0).random((6, 8, 8, 3)).astype("float32")
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    model = make_model()
    model.compile("sgd", "mse")
    history = model.fit(images, np.ones((6, 3)), batch_size=6, verbose=0)
    set_peers(model, images)
    logits = model.predict(images, verbose=0)
assert strategy.num_replicas_in_sync == 2
assert np.isfinite(history.history["loss"]).all()
np.testing.assert_allclose(logits, model(images, training=False), atol=1e-5)
"""


@pytest.mark.slow
def test_mirrored_strategy():
    """In a process of its own, since devices are fixed at the first use."""
    done = subprocess.run(
        [sys.executable, "-c", _MIRRORED],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, _PATHS))},
    )
    assert done.returncode == 0, done.stderr[-2000:]
