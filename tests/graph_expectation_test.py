"""Graphs that are drawn anew in each step: which, how often, and their mean."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from peernets_tf import PeerRegularization, encode_peers, monte_carlo
from peernets_tf.adaptive import bpda, random_graphs
from peernets_tf.attacks import (
    APGD,
    FGSM,
    PGD,
    Classifier,
    UniversalGradient,
    autodiff,
    draws,
)
from peernets_tf.errors import UserError
from peernets_tf.peers import PeerBank

LABELS = np.array([0, 1, 2], "int32")


@pytest.fixture(scope="module")
def problem():
    """A PeerNet, five of its graphs, and three images."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4, 4, 2))
    x = layers.Conv2D(3, 2)(inputs)
    x = PeerRegularization(num_neighbors=3, attention="softplus")(x)
    x = layers.Conv2D(3, 2)(x)
    x = PeerRegularization(num_neighbors=2, attention="softplus")(x)
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))
    rng = np.random.default_rng(0)
    bank = encode_peers(model, rng.random((5, 3, 4, 4, 2)).astype("float32"))
    return model, bank, rng.random((3, 4, 4, 2)).astype("float32")


def of_graphs(bank, graphs):
    return PeerBank(
        tuple(ops.take(f, np.array(graphs), axis=0) for f in bank.features)
    )


def drawn(key, count, seed=0):
    """The graphs that a model of five draws with a key."""
    key = draws.fold(key, seed)
    return ops.convert_to_numpy(draws.choose(key, 5, count)).tolist()


def of_sum(classifier, images):
    """The gradient of a weighted sum of the logits."""

    def gradient(logits_fn, images):
        def value(images):
            weights = np.array([1, -2, 0.5], "float32")
            return ops.sum(weights * logits_fn(images), axis=1), None

        return (autodiff.value_and_gradient(value, images)[2],)

    return classifier.call(gradient, images)[0]


@pytest.mark.parametrize("backward", ["exact", "identity", "soft"])
def test_logits_and_gradient_are_the_mean_over_the_drawn_graphs(
    backward, problem
):
    model, bank, images = problem
    random = Classifier(bpda(random_graphs(model, bank, 2), backward))
    with random.seeded(7):
        logits = random.logits(images)
    with random.seeded(7):
        key = random.next_key()
    graphs = drawn(key, 2)
    assert len(set(graphs)) == 2
    mean = 0
    gradients = 0
    for graph in graphs:
        single = monte_carlo(model, of_graphs(bank, [graph]))
        single = Classifier(bpda(single, backward))
        mean += single.logits(images) / 2
        gradients += of_sum(single, images) / 2
    np.testing.assert_allclose(logits, mean, atol=1e-5)
    with random.seeded(7):
        found = of_sum(random, images)
    # The exact gradient is masked, and so very small.
    scale = np.abs(gradients).max()
    assert scale > (1e-6 if backward == "exact" else 1e-3)
    np.testing.assert_allclose(found / scale, gradients / scale, atol=1e-3)


def test_a_call_draws_anew_and_its_seed_repeats_it(problem):
    model, bank, images = problem
    random = Classifier(random_graphs(model, bank))
    with random.seeded(3):
        first = [random.logits(images) for _ in range(6)]
    assert len({logits.tobytes() for logits in first}) > 1
    with random.seeded(3):
        second = [random.logits(images) for _ in range(6)]
    np.testing.assert_array_equal(first, second)
    with random.seeded(4):
        third = [random.logits(images) for _ in range(6)]
    assert np.abs(np.array(first) - third).max() > 1e-4


def test_every_step_of_an_attack_draws_anew(problem):
    """Each step follows the gradient of the graph that its key draws."""
    model, bank, images = problem
    attack = PGD(
        epsilon=0.3,
        steps=4,
        step_size=0.02,
        random_start=False,
        keep_best=False,
    )
    random = Classifier(bpda(random_graphs(model, bank), "identity"))
    found = attack(random, images, LABELS, seed=5)
    with random.seeded(5):
        key = random.next_key()
    graphs = [drawn(draws.fold(key, step), 1)[0] for step in range(4)]
    assert len(set(graphs)) > 1
    expected = images
    for graph in graphs:
        single = monte_carlo(model, of_graphs(bank, [graph]))
        single = Classifier(bpda(single, "identity"))
        expected = FGSM(epsilon=0.02)(single, expected, LABELS)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_every_step_of_a_universal_perturbation_draws_anew(problem):
    """Each batch follows the mean gradient of the graphs its key draws."""
    model, bank, images = problem
    attack = UniversalGradient(epsilon=5.0, passes=2, batch_size=3, clip=False)
    random = Classifier(bpda(random_graphs(model, bank, 2), "identity"))
    steps = list(attack.iterate(random, images, seed=2))
    with random.seeded(2):
        classes = random.predict(images)
    drawn_graphs = []
    expected = np.zeros_like(images[0])
    for number, step in enumerate(steps):
        with random.seeded(2, number):
            graphs = drawn(random.next_key(), 2)
        drawn_graphs.append(tuple(graphs))
        known = monte_carlo(model, of_graphs(bank, graphs))
        gradients, _ = Classifier(bpda(known, "identity")).loss_gradient(
            images + expected, classes, "cross_entropy"
        )
        mean = gradients.mean(axis=0)
        expected = expected + 0.5 * mean / np.linalg.norm(mean)
        np.testing.assert_allclose(step.perturbation, expected, atol=1e-4)
    assert len(set(drawn_graphs)) > 1


def test_a_universal_perturbation_goes_on_with_the_same_draws(problem):
    model, bank, images = problem
    random = Classifier(bpda(random_graphs(model, bank), "identity"))
    attack = UniversalGradient(epsilon=0.5, passes=3, batch_size=2)
    whole = list(attack.iterate(random, images, seed=2))
    rest = list(attack.iterate(random, images, seed=2, start=whole[1]))
    assert len(whole) == 6
    assert len(rest) == 4
    for one, other in zip(whole[2:], rest, strict=True):
        np.testing.assert_array_equal(one.perturbation, other.perturbation)
    known = Classifier(bpda(monte_carlo(model, bank), "identity"))
    fixed = attack.fit(known, images, seed=2)
    assert np.any(fixed.perturbation != whole[-1].perturbation)


@pytest.mark.parametrize("num_draws", [1, 2])
def test_an_attack_on_a_large_bank_can_be_repeated(num_draws, rng):
    """From about 80 MB on TensorFlow's memory optimizer rewrites sums.

    If it rewrites one of two convolutions' gradients and of a loop's state, the
    second call of the compiled function fails.
    """
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(64, 3, padding="same")(inputs)
    x = PeerRegularization(num_neighbors=2)(x)
    x = layers.Add()(
        [
            layers.Conv2D(4, 3, padding="same", activation="relu")(x),
            layers.Conv2D(4, 1)(x),
        ]
    )
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(3)(x))
    peers = rng.random((100, 50, 8, 8, 3)).astype("float32")
    view = bpda(random_graphs(model, encode_peers(model, peers), num_draws))
    attack = APGD(steps=30, expectation=2)
    images, labels = peers[0, :2], np.array([0, 1])
    classifier = Classifier(view)
    first, second = (attack(classifier, images, labels) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_all_graphs_are_the_mean_over_the_bank(problem):
    model, bank, images = problem
    everything = Classifier(random_graphs(model, bank, 5))
    expected = Classifier(monte_carlo(model, bank))
    np.testing.assert_allclose(
        everything.logits(images), expected.logits(images), atol=1e-5
    )


@pytest.mark.parametrize("backward", ["identity", "soft"])
def test_bfloat16_features_are_averaged_in_float32(backward, problem):
    _, _, images = problem
    mixed = {"dtype": "mixed_bfloat16"}
    inputs = keras.Input((4, 4, 2))
    x = layers.Conv2D(3, 2, **mixed)(inputs)
    x = PeerRegularization(num_neighbors=3, **mixed)(x)
    x = layers.Activation("tanh")(layers.Flatten()(x))
    model = keras.Model(inputs, layers.Dense(3)(x))
    graphs = np.random.default_rng(0).random((5, 3, 4, 4, 2))
    bank = encode_peers(model, graphs.astype("float32"))
    found, expected = (
        of_sum(Classifier(bpda(averaged, backward)), images)
        for averaged in (
            random_graphs(model, bank, 5),
            monte_carlo(model, bank),
        )
    )
    largest = np.abs(expected).max()
    assert largest > 0
    np.testing.assert_allclose(found, expected, atol=0.02 * largest)


@pytest.mark.parametrize("num_draws", [0, 6])
def test_refuses_more_graphs_than_there_are(num_draws, problem):
    with pytest.raises(UserError, match="number of graphs, 5"):
        random_graphs(*problem[:2], num_draws)
