"""Where a map lies in the image: compared with what a single pixel changes."""

import keras
import numpy as np
import pytest

from peernets_tf import PeerRegularization
from peernets_tf.evaluation.input_grid import Axis, input_grid

SIZE = 24


def make_model(layers, shape=(SIZE, SIZE, 1)):
    """A model whose last layer is a PeerRegularization layer named peers."""
    inputs = keras.Input(shape)
    x = inputs
    for layer in layers:
        x = layer(x)
    outputs = PeerRegularization(num_neighbors=1, name="peers")(x)
    return keras.Model(inputs, outputs), keras.Model(inputs, x)


def convolution(kernel, strides=1, padding="valid", **options):
    return keras.layers.Conv2D(
        1,
        kernel,
        strides=strides,
        padding=padding,
        kernel_initializer="ones",
        **options,
    )


def reached(features, pixel):
    """The rows of the map that one pixel of the image reaches."""
    image = np.zeros((1, SIZE, SIZE, 1), "float32")
    image[0, pixel, pixel] = 1
    response = np.asarray(features(image, training=False))
    return np.flatnonzero(np.abs(response[0]).sum(axis=(1, 2)))


CASES = {
    "lenet5": lambda: [
        convolution(5, padding="same"),
        keras.layers.AveragePooling2D(2),
        convolution(5),
    ],
    "valid": lambda: [convolution(7)],
    "strided": lambda: [convolution(4, 4)],
    "dilated": lambda: [convolution(3, dilation_rate=3)],
    "overlapping": lambda: [keras.layers.AveragePooling2D(3, strides=2)],
    "same, even kernel": lambda: [convolution(4, padding="same")],
    "same, strided": lambda: [
        convolution(3, 2, "same"),
        keras.layers.ReLU(),
        convolution(3, 2, "same"),
    ],
}


@pytest.mark.parametrize("case", CASES)
def test_centres_are_those_of_what_a_pixel_reaches(case):
    model, features = make_model(CASES[case]())
    size = features.output_shape[1:3]
    axis, other = input_grid(
        model, model.get_layer("peers"), size, (SIZE, SIZE)
    )
    assert axis == other
    places = np.array([reached(features, p).mean() for p in range(8, 16)])
    centres = axis.start + axis.stride * places
    # The mean over some pixels, since a strided map sees pixels unevenly.
    assert abs(np.mean(centres - np.arange(8, 16))) <= 0.5
    assert np.isclose(axis.stride, SIZE / size[0], rtol=0.4)


def test_the_second_map_of_lenet5_leaves_a_margin():
    model, _ = make_model(CASES["lenet5"](), (28, 28, 1))
    axis, _ = input_grid(model, model.get_layer("peers"), (10, 10), (28, 28))
    assert axis == Axis(start=4.5, stride=2.0, size=10)
    owners = axis.owners(28)
    np.testing.assert_array_equal(owners[:4], -1)
    np.testing.assert_array_equal(owners[24:], -1)
    np.testing.assert_array_equal(owners[4:24], np.repeat(np.arange(10), 2))


def test_paths_that_meet_share_their_mean():
    inputs = keras.Input((32, 32, 3))
    main = keras.layers.Conv2D(4, 3, strides=2, padding="same")(inputs)
    skip = keras.layers.Conv2D(4, 1, strides=2, padding="same")(inputs)
    x = main + skip
    layer = PeerRegularization(num_neighbors=1)
    model = keras.Model(inputs, layer(x))
    axis, _ = input_grid(model, layer, (16, 16), (32, 32))
    assert axis == Axis(start=0.5, stride=2.0, size=16)
    np.testing.assert_array_equal(axis.owners(32), np.arange(32) // 2)


@pytest.mark.parametrize(
    "layers",
    [
        lambda: [keras.layers.Resizing(9, 9)],
        lambda: [keras.Sequential([convolution(4, 4)])],
        lambda: [
            keras.layers.Permute((3, 1, 2)),
            keras.layers.Permute((2, 3, 1)),
        ],
    ],
)
def test_what_is_not_known_covers_the_image_evenly(layers):
    model, features = make_model(layers())
    size = features.output_shape[1:3]
    axis, _ = input_grid(model, model.get_layer("peers"), size, (SIZE, SIZE))
    owners = axis.owners(SIZE)
    expected = (np.arange(SIZE) + 0.5) * size[0] / SIZE
    np.testing.assert_array_equal(owners, expected.astype(int))


def test_a_map_larger_than_the_image():
    model, features = make_model([keras.layers.UpSampling2D(2)])
    axis, _ = input_grid(
        model, model.get_layer("peers"), (48, 48), (SIZE, SIZE)
    )
    assert axis.stride == 0.5
    assert (axis.owners(SIZE) >= 0).all()
