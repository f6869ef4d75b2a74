"""Peers come as users hold them, and what cannot be right is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from peernets_tf import (
    PeerRegularization,
    draw_peers,
    encode_peers,
    models,
    set_peers,
)
from peernets_tf.errors import UserError

SHAPE = (8, 8, 3)


def make_model(*first):
    layer = PeerRegularization(num_neighbors=2)
    return keras.Sequential(
        [keras.Input(SHAPE), *first, layer, keras.layers.Flatten()]
    )


def unit_normalization():
    return keras.layers.Normalization(mean=[0.5] * 3, variance=[0.06] * 3)


@pytest.fixture
def images(rng):
    return rng.random((5, *SHAPE)).astype("float32")


def containers(images):
    labels = np.arange(len(images))
    both = tf.data.Dataset.from_tensor_slices((images, labels))
    only = tf.data.Dataset.from_tensor_slices(images)
    return [
        tf.constant(images),
        keras.ops.convert_to_tensor(images),
        list(images),
        only,
        only.batch(2),
        both,
        both.batch(2),
        (batch for batch in (images[:2], images[2:])),
        [(images[:2], labels[:2]), (images[2:], labels[2:])],
    ]


def test_containers_give_the_same_peers(images):
    model = make_model()
    expected = encode_peers(model, images).features[0]
    drawn = draw_peers(images, 3, seed=1)
    for container in containers(images):
        bank = encode_peers(model, container)
        np.testing.assert_array_equal(bank.features[0], expected)
    for container in containers(images):
        np.testing.assert_array_equal(draw_peers(container, 3, seed=1), drawn)
    set_peers(model, tf.data.Dataset.from_tensor_slices(images))
    np.testing.assert_array_equal(model.layers[0].peers, expected)


def changed(images, value):
    images = images.copy()
    images[2, 3, 4, 1] = value
    return images


@pytest.mark.parametrize("use", [draw_peers, set_peers, encode_peers])
@pytest.mark.parametrize(
    "make, message",
    [
        (lambda x: changed(x, np.nan), "NaN or infinite"),
        (lambda x: changed(x, np.inf), "NaN or infinite"),
        (lambda x: x[:0], "at least one image"),
        (lambda x: [], "at least one image"),
        (lambda x: tf.data.Dataset.from_tensor_slices(x[:0]), "at least one"),
        (lambda x: tf.data.Dataset.from_tensor_slices(x).repeat(), "for ever"),
        (
            lambda x: tf.data.Dataset.from_tensor_slices({"image": x}),
            "a dictionary with the keys",
        ),
        (lambda x: tf.data.Dataset.range(3), r"element of shape \(\)"),
        (lambda x: (x, np.arange(5)), "without their labels"),
        (lambda x: x[0], r"\(N, H, W, C\)"),
        (lambda x: [x[:2], x[2:]], r"np.concatenate\(images\)"),
        (lambda x: (x[:2], x[2:4]), "list of 2 batches"),
        (lambda x: x.astype(str), "real numbers"),
        (lambda x: x + 1j, "real numbers"),
        (lambda x: 50, "swapped|array, a tensor"),
        (lambda x: "cifar10", "array, a tensor"),
        (lambda x: None, "array, a tensor"),
    ],
)
def test_refuses_what_is_no_images(use, make, message, images):
    arguments = [make(images), 3]
    if use is not draw_peers:
        arguments = [make_model(), make(images)]
    with pytest.raises(UserError, match=message) as error:
        use(*arguments)
    assert "\n" not in str(error.value)


def test_refuses_swapped_arguments(images):
    model = make_model()
    for use in (set_peers, encode_peers):
        with pytest.raises(UserError, match="swap the two"):
            use(images, model)
        with pytest.raises(UserError, match="Received: a model"):
            use(model, model)
    with pytest.raises(UserError, match=r"draw_peers\(images, num_peers\)"):
        draw_peers(3, images)
    with pytest.raises(UserError, match="whole number"):
        draw_peers(images, images)
    with pytest.raises(UserError, match="whole number.*2.5"):
        draw_peers(images, 2.5)


def test_refuses_other_shapes(images):
    model = make_model()
    for other in (images[:, :7], images[..., :1], images[None, :, :, :5]):
        with pytest.raises(UserError, match="shape of the input of"):
            set_peers(model, other)
    inputs = keras.Input((None, None, 3))
    free = keras.Model(inputs, PeerRegularization(num_neighbors=2)(inputs))
    set_peers(free, images[:, :7])


def test_range_is_held_to_a_first_layer_that_tells_it(images):
    unit = [
        make_model(unit_normalization()),
        models.build("pr_lenet5", (28, 28, 1), 10, mean=0.13, variance=0.095),
    ]
    for model in unit:
        shape = (2, *model.input_shape[1:])
        set_peers(model, np.full(shape, 0.3, "float32"))
        set_peers(model, np.ones(shape, "uint8"))
        set_peers(model, np.full(shape, 1.0000001, "float32"))
        for value, dtype in ((200, "uint8"), (1.5, "float32"), (-1, "float32")):
            wrong = np.full(shape, value, dtype)
            with pytest.raises(UserError, match=r"must be in \[0, 1\]"):
                set_peers(model, wrong)
    for first in (
        keras.layers.Rescaling(1 / 255),
        keras.layers.Normalization(mean=[120.0] * 3, variance=[4000.0] * 3),
    ):
        model = make_model(first)
        set_peers(model, (255 * images).astype("uint8"))
        with pytest.raises(UserError, match="multiply images"):
            set_peers(model, images)


def test_range_is_known_behind_layers_that_keep_it(images):
    augmentation = keras.Sequential(
        [keras.layers.RandomFlip(), keras.layers.RandomRotation(0.1)]
    )
    keeping = [
        augmentation,
        keras.layers.ZeroPadding2D(),
        keras.layers.CenterCrop(6, 6),
    ]
    model = make_model(*keeping, keras.layers.Rescaling(1 / 255))
    set_peers(model, 255 * images)
    with pytest.raises(UserError, match="multiply images"):
        set_peers(model, images)
    # As does an operation that is no layer.
    inputs = keras.Input(SHAPE)
    x = PeerRegularization(num_neighbors=2)(unit_normalization()(inputs / 255))
    set_peers(keras.Model(inputs, x), 255 * images)
    x = keras.Sequential([inputs, keras.layers.Rescaling(1 / 255)])(
        inputs * 255
    )
    x = PeerRegularization(num_neighbors=2)(x)
    set_peers(keras.Model(inputs, x), images)
    # A layer that may change the range hides what comes behind it.
    mean = keras.layers.AveragePooling2D(1)
    set_peers(make_model(mean, keras.layers.Rescaling(1 / 255)), images)


def test_any_range_where_nothing_is_known(images):
    for model in (
        make_model(),
        make_model(keras.layers.Normalization(mean=0.0, variance=1.0)),
    ):
        for scaled in (images, 255 * images, 4 * images - 2):
            set_peers(model, scaled)
