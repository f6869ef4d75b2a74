"""What a PeerNet leaned on: against peers whose contents are known."""

import keras
import numpy as np
import pytest
from small_models import make_linear, make_peernet

from peernets_tf import PeerRegularization, models, monte_carlo
from peernets_tf.errors import UserError
from peernets_tf.evaluation import PeerGraph, draw_graph, explain
from peernets_tf.peers import encode_peers, stored_peers


def graph_of(model, images):
    return PeerGraph(
        images=images,
        indices=np.arange(len(images)),
        labels=np.zeros(len(images), int),
        bank=encode_peers(model, images),
        is_stored=False,
    )


def one_neighbor_lenet(shape=(28, 28, 1)):
    """LeNet-5's convolutions, each pixel replaced by its nearest one."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input(shape)
    x = keras.layers.Conv2D(6, 5, padding="same")(inputs)
    x = PeerRegularization(num_neighbors=1, name="peers1")(x)
    x = keras.layers.MaxPooling2D(2)(x)
    x = keras.layers.Conv2D(16, 5)(x)
    x = PeerRegularization(num_neighbors=1, name="peers2")(x)
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))


def test_an_image_among_its_peers_is_rebuilt_from_itself(rng):
    model = one_neighbor_lenet()
    images = rng.random((4, 28, 28, 1), "float32")
    first, second = explain(model, images[1:3], graph_of(model, images)).layers
    assert (first.name, second.name) == ("peers1", "peers2")
    np.testing.assert_allclose(first.franken, images[1:3], atol=1e-6)
    inner = (slice(None), slice(4, 24), slice(4, 24))
    np.testing.assert_allclose(
        second.franken[inner], images[1:3][inner], atol=1e-6
    )
    assert first.covered.all()
    assert second.covered[4:24, 4:24].all() and second.covered.sum() == 400
    assert not second.franken[:, ~second.covered].any()
    for layer in (first, second):
        np.testing.assert_allclose(layer.shares, [[0, 1, 0, 0], [0, 0, 1, 0]])
        np.testing.assert_array_equal(layer.attention, 1)


def test_a_shifted_peer_gives_the_pixels_back_from_where_it_has_them(rng):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(8, 4, strides=4)(inputs)
    x = PeerRegularization(num_neighbors=1)(x)
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))
    image = rng.random((1, 16, 16, 3), "float32")
    shifted = np.roll(image, (4, 8), axis=(1, 2))
    (layer,) = explain(model, image, graph_of(model, shifted)).layers
    np.testing.assert_allclose(layer.franken, image, atol=1e-6)
    assert (layer.rows[0, 0, 0, 0], layer.columns[0, 0, 0, 0]) == (1, 2)
    np.testing.assert_allclose(
        layer.neighbor_features(0, 0, 0)[0], layer.features[0, 0, 0], atol=1e-5
    )


def test_pixels_are_weighted_by_attention(stripes):
    model = make_peernet(stripes)
    graph = draw_graph(model, stripes)
    images = stripes.test.images[:3]
    explained = explain(model, images, graph)
    (layer,) = explained.layers
    assert layer.attention.shape == (3, 3, 3, 3)
    np.testing.assert_allclose(layer.attention.sum(-1), 1, atol=1e-6)
    np.testing.assert_allclose(explained.shares.sum(-1), 1, atol=1e-6)
    image, row, column = 2, 1, 2
    place = (image, row, column)
    block = sum(
        weight * graph.images[n, 4 * r : 4 * r + 4, 4 * c : 4 * c + 4]
        for weight, n, r, c in zip(
            layer.attention[place],
            layer.peers[place],
            layer.rows[place],
            layer.columns[place],
            strict=True,
        )
    )
    np.testing.assert_allclose(
        layer.franken[image, 4:8, 8:12], block, atol=1e-6
    )
    of_first = layer.attention[2][layer.peers[2] == 0].sum() / 9
    np.testing.assert_allclose(layer.shares[2, 0], of_first, atol=1e-6)


def test_the_logits_are_those_of_the_model_with_these_peers(stripes):
    model = make_peernet(stripes)
    graph = draw_graph(model, stripes, seed=5, num_peers=7)
    images = stripes.test.images[:3]
    expected = monte_carlo(model, graph.bank)(images)
    for same in (model, monte_carlo(model)):
        logits = explain(same, images, graph).logits
        np.testing.assert_allclose(logits, expected, atol=1e-6)


def test_the_stored_peers_of_a_trained_model_are_drawn_again():
    from peernets_tf import datasets

    model = models.load_pretrained("mnist_pr_lenet5")
    graph = draw_graph(model, datasets.load("mnist5k"))
    assert graph.bank.num_peers == stored_peers(model).num_peers == 50
    # The preset was trained on mnist, so its peers are other images.
    assert not graph.is_stored
    assert graph.images.shape == (50, 28, 28, 1)


def test_stored_peers_are_recognized(stripes):
    model = make_peernet(stripes, peers_seed=(3, 8))
    assert draw_graph(model, stripes, seed=8).is_stored
    assert not draw_graph(model, stripes, seed=9).is_stored
    assert not draw_graph(model, stripes, seed=8, num_peers=7).is_stored


def test_a_layer_in_channels_first_is_explained_in_channels_last(rng):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((10, 14, 3))
    x = keras.layers.Permute((3, 1, 2))(inputs)
    x = PeerRegularization(num_neighbors=1, data_format="channels_first")(x)
    model = keras.Model(inputs, keras.layers.Flatten()(x))
    images = rng.random((3, 10, 14, 3), "float32")
    (layer,) = explain(model, images[:1], graph_of(model, images)).layers
    assert layer.features.shape == (1, 10, 14, 3)
    np.testing.assert_allclose(layer.franken, images[:1], atol=1e-6)


@pytest.mark.parametrize("size", [15, 17])
def test_a_map_that_does_not_divide_the_image(rng, size):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((size, size, 1))
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same")(inputs)
    x = PeerRegularization(num_neighbors=1)(x)
    model = keras.Model(inputs, keras.layers.Flatten()(x))
    images = rng.random((3, size, size, 1), "float32")
    (layer,) = explain(model, images[:1], graph_of(model, images)).layers
    assert layer.covered.all()
    np.testing.assert_allclose(layer.franken, images[:1], atol=1e-6)


def test_what_cannot_be_explained_is_refused(stripes):
    model = make_peernet(stripes)
    graph = draw_graph(model, stripes)
    for images, message in (
        (np.zeros((1, 12, 12), "f4"), "must have shape"),
        (np.zeros((1, 1, 12, 12), "f4"), "must have shape"),
        (np.zeros((1, 12, 14, 1), "f4"), "the peers' shape"),
    ):
        with pytest.raises(UserError, match=message):
            explain(model, images, graph)
    with pytest.raises(UserError, match="must hold a PeerRegularization"):
        draw_graph(make_linear(), stripes)
    with pytest.raises(UserError, match="num_peers"):
        draw_graph(model, stripes, num_peers=97)
