"""The challenge's networks: their sizes and layers."""

import keras
import numpy as np
import pytest
from commands import run_process

from madry_challenge import model as networks
from peernets_tf import models
from peernets_tf.errors import UserError


@pytest.mark.parametrize(
    ("name", "parameters"), [("w32-10", 45_924_346), ("thin", 466_426)]
)
def test_sizes(name, parameters):
    model = networks.build(name)
    assert model.count_params() == parameters
    convolutions = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D)
    ]
    # With the last, dense one: 32 layers.
    assert len(convolutions) == 31
    assert model.output_shape == (None, 10)


def test_images_are_standardised_as_tensorflow_does(rng):
    tf = pytest.importorskip("tensorflow", reason="pip install tensorflow-cpu")
    images = rng.uniform(0, 1, (3, 8, 8, 3)).astype("float32")
    images[1] = 0.5
    images[2] = 0.5 + 1e-6 * images[2]
    np.testing.assert_allclose(
        networks.PerImageStandardization()(images),
        tf.image.per_image_standardization(255 * images),
        atol=1e-4,
    )


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="uses a gradient tape"
)
def test_a_constant_image_has_a_gradient():
    tf = pytest.importorskip("tensorflow", reason="pip install tensorflow-cpu")
    images = tf.fill((1, 4, 4, 3), 0.5)
    with tf.GradientTape() as tape:
        tape.watch(images)
        outputs = networks.PerImageStandardization()(images)
        corner = outputs[0, 0, 0, 0]
    gradient = tape.gradient(corner, images).numpy()
    # Divided by the smallest deviation: 1 / sqrt(48), on the 0-255 scale.
    expected = 255 * 48**0.5 * (1 - 1 / 48)
    np.testing.assert_allclose(gradient[0, 0, 0, 0], expected, rtol=1e-5)


def test_commands_of_the_other_package_load_it(rng, tmp_path):
    models.save(networks.build("thin", blocks=1), str(tmp_path / "model.keras"))
    labels = np.arange(10)
    images = rng.integers(0, 255, (10, 32, 32, 3)).astype(np.uint8)
    path = tmp_path / "images.npz"
    np.savez(path, x_train=images, y_train=labels, x_test=images, y_test=labels)
    result = run_process(
        f"--checkpoint={tmp_path / 'model.keras'}",
        f"--dataset={path}",
        "--attack=noise",
        "--epsilon=8/255",
        f"--output_dir={tmp_path / 'out'}",
        module="peernets_tf.evaluate",
    )
    assert result.status == 0, result.stderr


def test_new_maps_stand_on_both_sides(rng):
    features = rng.normal(size=(2, 3, 3, 2)).astype("float32")
    padded = np.asarray(networks.PadMaps(6)(features))
    np.testing.assert_array_equal(padded[..., 2:4], features)
    assert not padded[..., :2].any()
    assert not padded[..., 4:].any()


def test_weight_decay_counts_all_kernels():
    model = networks.build("thin", blocks=1, weight_decay=0.01)
    kernels = [v for v in model.trainable_variables if v.name == "kernel"]
    expected = sum(0.005 * np.sum(np.square(kernel)) for kernel in kernels)
    np.testing.assert_allclose(sum(model.losses), expected, rtol=1e-5)


def test_saved_and_loaded(rng, tmp_path):
    model = networks.build("thin", blocks=1)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    images = rng.uniform(0, 1, (2, 32, 32, 3)).astype("float32")
    np.testing.assert_allclose(loaded(images), model(images), atol=1e-6)


def test_unknown_network():
    with pytest.raises(UserError, match="Received: w28"):
        networks.build("w28")
