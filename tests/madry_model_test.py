"""The challenge's networks: their sizes and layers."""

import keras
import numpy as np
import pytest

from madry_challenge import model as networks
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
