"""Guides: which pixels they are, and that features move towards them."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import layers, ops

from peernets_tf import (
    PeerRegularization,
    encode_peers,
    monte_carlo,
    set_peers,
)
from peernets_tf.adaptive import (
    Guides,
    NeighborGuided,
    bpda,
    neighbor_guided,
)
from peernets_tf.attacks import Classifier, RandomNoise
from peernets_tf.errors import AttackError, UserError

LABELS = np.array([[0, 1, 2, 1], [2, 0, 1, 0]], "int32")


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4, 4, 2))
    x = layers.Conv2D(3, 2, activation="relu")(inputs)
    x = PeerRegularization(num_neighbors=3)(x)
    x = layers.Conv2D(4, 2)(x)
    x = PeerRegularization(num_neighbors=2)(x)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


@pytest.fixture(scope="module")
def guides(model):
    """Two graphs of four peers each, of three classes."""
    peers = np.random.default_rng(0).random((2, 4, 4, 4, 2)).astype("float32")
    bank = encode_peers(model, peers, LABELS)
    return Guides(model=model, bank=bank)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).random((3, 4, 4, 2)).astype("float32")


@pytest.fixture(scope="module")
def colors():
    """A network that tells red from green and blue, its guides, and reds."""
    inputs = keras.Input((4, 4, 3))
    x = PeerRegularization(num_neighbors=3)(inputs)
    outputs = 10 * layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, outputs)
    rng = np.random.default_rng(2)

    def draw(labels, brightness):
        images = rng.uniform(0, 0.3, (len(labels), 4, 4, 3))
        images[np.arange(len(labels)), ..., labels] += brightness
        return images.astype("float32")

    labels = np.arange(9, dtype="int32") % 3
    bank = encode_peers(model, draw(labels, 0.6), labels)
    guides = Guides(model=model, bank=bank)
    classifier = Classifier(bpda(monte_carlo(model, bank), "identity"))
    return guides, classifier, draw(np.zeros(4, "int32"), 0.3)


REDS = np.zeros(4, "int32")


def unit(vectors):
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 1e-6, lengths, 1) * (lengths > 1e-6)


def features(guides, images, graph):
    """What reaches both layers with a graph, by the model's own layers."""
    found = []
    x = ops.convert_to_tensor(images)
    peers = iter(guides.bank.features)
    for layer in guides.model.layers[1:5]:
        if isinstance(layer, PeerRegularization):
            found.append(ops.convert_to_numpy(x))
            x = layer(x, peers=next(peers)[graph])
        else:
            x = layer(x)
    return found


@pytest.mark.parametrize("graph", [0, 1])
def test_guides_are_the_most_similar_pixels_of_the_class(graph, guides, images):
    classes = np.array([1, 0, 2], "int32")
    chosen = guides.classifier.call(
        guides.choose, images, classes, np.int32(graph), count=3
    )
    for found, pixels, peers in zip(
        chosen,
        features(guides, images, graph),
        guides.bank.features,
        strict=True,
    ):
        peers = ops.convert_to_numpy(peers)[graph]
        for i, label in enumerate(classes):
            own = unit(
                peers[LABELS[graph] == label].reshape(-1, peers.shape[-1])
            )
            cosines = unit(pixels[i]) @ own.T
            best = np.argsort(-cosines, axis=-1, kind="stable")[..., :3]
            expected = own[best].mean(axis=2)
            np.testing.assert_allclose(found[i], expected, atol=1e-5)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_steps_raise_the_similarity_to_the_guides(norm, images):
    """With one layer, the gradient of its inputs is exact."""
    inputs = keras.Input((4, 4, 2))
    convolution = layers.Conv2D(3, 2)
    x = PeerRegularization(num_neighbors=3)(convolution(inputs))
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))
    peers = np.random.default_rng(2).random((4, 4, 4, 2)).astype("float32")
    bank = encode_peers(model, peers, LABELS[0])
    guides = Guides(model=model, bank=bank)
    classes = np.array([1, 0, 2], "int32")
    graph = np.int32(0)
    (chosen,) = guides.classifier.call(
        guides.choose, images, classes, graph, count=2
    )

    def similarity(images):
        pixels = unit(ops.convert_to_numpy(convolution(images)))
        return np.sum(pixels * chosen, axis=-1).mean(axis=(1, 2))

    epsilon = {"linf": 0.05, "l2": 0.2}[norm]
    radius = np.full(3, epsilon, "float32")
    moved, is_finite = guides.classifier.call(
        guides.climb,
        images,
        images,
        radius,
        radius / 10,
        np.int32(15),
        graph,
        chosen,
        norm=norm,
    )
    assert is_finite.all()
    assert np.all(similarity(moved) > similarity(images) + 1e-2)
    order = {"linf": np.inf, "l2": 2}[norm]
    change = np.linalg.norm((moved - images).reshape(3, -1), order, axis=1)
    assert np.all((change > epsilon / 2) & (change <= epsilon + 1e-5))


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_fools_more_than_noise_within_the_ball(norm, colors):
    guides, classifier, images = colors
    np.testing.assert_array_equal(classifier.predict(images), REDS)
    epsilon = {"linf": 0.2, "l2": 1.2}[norm]
    attack = NeighborGuided(
        guides=guides, epsilon=epsilon, norm=norm, steps=10, steps_per_choice=5
    )
    adversarial = attack(classifier, images, REDS)
    assert adversarial.min() >= 0
    assert adversarial.max() <= 1
    change = (adversarial - images).reshape(4, -1)
    order = {"linf": np.inf, "l2": 2}[norm]
    assert np.linalg.norm(change, order, axis=1).max() <= epsilon + 1e-5
    assert np.all(classifier.predict(adversarial) != REDS)
    noise = RandomNoise(epsilon=epsilon, norm=norm)(classifier, images)
    np.testing.assert_array_equal(classifier.predict(noise), REDS)
    np.testing.assert_array_equal(adversarial, attack(classifier, images, REDS))


def test_each_restart_pulls_towards_another_class(colors):
    guides, classifier, images = colors
    order = np.argsort(-classifier.logits(images)[:, 1:], axis=1) + 1
    wrong = neighbor_guided._wrong_classes(
        classifier.logits(images), REDS, guides.classes, 5
    )
    np.testing.assert_array_equal(np.stack(wrong, axis=1), order)


def test_a_radius_of_zero_returns_the_images(colors):
    guides, classifier, images = colors
    attack = NeighborGuided(guides=guides, epsilon=0.0, steps=2)
    np.testing.assert_array_equal(attack(classifier, images, REDS), images)


def test_queries_are_counted(colors):
    guides, classifier, images = colors
    attack = NeighborGuided(
        guides=guides, steps=5, steps_per_choice=2, restarts=2
    )
    before = classifier.queries
    attack(classifier, images, REDS)
    # The clean images, then for each of two classes three choices of guides,
    # five steps in all, and three looks at what they reached.
    assert classifier.queries - before == 4 * (1 + 2 * (3 + 5 + 3))


def test_may_attack_the_classifier_of_its_guides(colors):
    guides, classifier, images = colors
    model = keras.models.clone_model(guides.model)
    model.set_weights(guides.model.get_weights())
    set_peers(model, images)
    guides = Guides(model=model, bank=guides.bank)
    attack = NeighborGuided(guides=guides, steps=2)
    asked = []
    for attacked in (classifier, guides.classifier):
        before = attacked.queries
        assert attack(attacked, images, REDS).shape == images.shape
        asked.append(attacked.queries - before)
    assert asked[0] == asked[1]


def test_refuses_peers_of_a_class_that_the_model_lacks(colors):
    guides, classifier, images = colors
    labels = guides.bank.labels + 17
    bank = dataclasses.replace(guides.bank, labels=labels)
    attack = NeighborGuided(guides=dataclasses.replace(guides, bank=bank))
    with pytest.raises(AttackError, match="below the number of logits, 3"):
        attack(classifier, images, REDS)


def test_guides_are_of_their_class_only(colors):
    """Others, even of the image's own class, would fill up what lacks."""
    guides, classifier, images = colors
    # Three of the nine peers are red, and each has 4 x 4 pixels.
    most = 3 * 4 * 4
    attack = NeighborGuided(guides=guides, steps=1, guides_per_pixel=most + 1)
    with pytest.raises(UserError, match=f"at most .* {most}. Received"):
        attack(classifier, images, REDS)


def test_needs_peers_of_another_class(colors):
    guides, classifier, images = colors
    with pytest.raises(AttackError, match="needs `guides`"):
        NeighborGuided()(classifier, images, REDS)
    assert guides.classes == [0, 1, 2]
    reds = np.zeros_like(guides.bank.labels)
    reds = dataclasses.replace(guides.bank, labels=reds)
    reds = dataclasses.replace(guides, bank=reds)
    assert reds.classes == [0]
    attack = NeighborGuided(guides=reds, steps=1)
    with pytest.raises(AttackError, match="another class"):
        attack(classifier, images, REDS)
    unknown = dataclasses.replace(guides.bank, labels=None)
    with pytest.raises(UserError, match="labels of its peers"):
        Guides(model=guides.model, bank=unknown)


def test_its_name_in_records():
    assert repr(NeighborGuided(epsilon=0.5)) == (
        "NeighborGuided(epsilon=0.5, norm='linf', steps=100, step_size=None, "
        "guides_per_pixel=10, steps_per_choice=10, restarts=1)"
    )
    with pytest.raises(UserError, match="guides_per_pixel"):
        NeighborGuided(guides_per_pixel=0)
