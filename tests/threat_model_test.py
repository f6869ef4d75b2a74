"""Which graphs predictions use, and which the attacker."""

import keras
import numpy as np
import pytest
from keras import ops

from peernets_tf import (
    draw_peers,
    encode_peers,
    evaluation,
    models,
    peers,
    records,
    set_peers,
)
from peernets_tf.errors import UserError
from peernets_tf.evaluation import threat_model
from peernets_tf.seeds import Stream

SHAPE = (12, 12, 1)


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return rng.uniform(0, 1, (30, *SHAPE)).astype("float32")


@pytest.fixture(scope="module")
def model(images):
    """A PeerNet with three graphs of five."""
    keras.utils.set_random_seed(0)
    model = models.build("pr_lenet5", SHAPE, 3)
    set_peers(model, draw_peers(images, 5, 3, seed=99))
    return model


def choose(model, images, seed=7, **config):
    return evaluation.choose_graphs(
        model, images, evaluation.GraphsConfig(**config), seed=seed
    )


def graphs(bank):
    """The features of all layers, one array for each graph."""
    features = [ops.convert_to_numpy(f) for f in bank.features]
    return [
        np.concatenate([f[i].reshape(-1) for f in features])
        for i in range(bank.num_graphs)
    ]


def same(first, second):
    first, second = graphs(first), graphs(second)
    return len(first) == len(second) and all(map(np.array_equal, first, second))


def share_a_graph(first, second):
    return any(
        np.array_equal(a, b) for a in graphs(first) for b in graphs(second)
    )


def test_known(model, images):
    chosen = choose(model, images)
    stored = peers.stored_peers(model)
    assert same(chosen.defended, stored)
    assert same(chosen.attacker, stored)
    three = records.Graphs(num_peers=5, num_graphs=3, seed=None)
    assert chosen.record == records.ThreatModel(
        policy="known", defended=three, attacker=three
    )


def test_known_in_part(model, images):
    chosen = choose(model, images, attack_graphs=2)
    assert same(chosen.attacker, chosen.defended.first(2))
    assert chosen.record.attacker.num_graphs == 2


def test_known_and_drawn_for_the_numbers(model, images):
    chosen = choose(model, images, num_peers=6, num_graphs=4, attack_graphs=2)
    assert chosen.defended.num_graphs == 4
    assert same(chosen.attacker, chosen.defended.first(2))
    # What the record says draws them again.
    seed = chosen.record.defended.seed
    assert seed == (Stream.MODEL_PEERS, 7)
    again = encode_peers(model, draw_peers(images, 6, 4, seed=seed))
    assert same(again, chosen.defended)


def test_one_number_takes_the_other_from_the_stored_graphs(model, images):
    record = choose(model, images, num_graphs=2).record
    assert (record.defended.num_peers, record.defended.num_graphs) == (5, 2)
    record = choose(model, images, num_peers=4).record
    assert (record.defended.num_peers, record.defended.num_graphs) == (4, 3)


def test_drawn(model, images):
    chosen = choose(model, images, policy="drawn", attack_graphs=4)
    assert same(chosen.defended, peers.stored_peers(model))
    assert chosen.attacker.num_graphs == 4
    assert not share_a_graph(chosen.attacker, chosen.defended)
    assert chosen.record.attacker.seed == (Stream.ATTACKER_PEERS, 7)


def test_ten_graphs_are_drawn_by_default(model, images):
    record = choose(model, images, policy="drawn").record
    assert record.attacker.num_graphs == 10


def test_expectation_draws_from_twice_as_many_graphs(model, images):
    for expectation, expected in ((None, 10), (1, 10), (20, 40)):
        record = evaluation.GraphsConfig(
            policy="drawn", expectation=expectation
        )
        record = threat_model.describe_graphs(model, record, seed=7)
        assert record.expectation == expectation
        assert record.attacker.num_graphs == expected
    chosen = choose(model, images, expectation=2)
    assert chosen.attacker.num_graphs == 3
    with pytest.raises(UserError, match="that the attacker has, 3"):
        choose(model, images, expectation=4)
    with pytest.raises(UserError, match="that the attacker has, 2"):
        choose(model, images, policy="drawn", attack_graphs=2, expectation=3)


def test_labels_are_those_of_the_drawn_images(model, images):
    labels = np.arange(30, dtype="int32")
    chosen = evaluation.choose_graphs(
        model,
        images,
        evaluation.GraphsConfig(num_graphs=2),
        seed=7,
        labels=labels,
    )
    assert chosen.attacker.labels.shape == (2, 5)
    again = encode_peers(model, images[chosen.attacker.labels])
    assert same(again, chosen.attacker)
    np.testing.assert_array_equal(
        chosen.attacker.first(1).labels, chosen.attacker.labels[:1]
    )
    # Stored graphs have none, nor those of an evaluation that needs none.
    assert choose(model, images).attacker.labels is None
    assert choose(model, images, num_graphs=2).attacker.labels is None


def test_fresh(model, images):
    chosen = choose(model, images, policy="fresh")
    assert same(chosen.attacker, peers.stored_peers(model))
    assert chosen.defended.num_graphs == 3
    assert not share_a_graph(chosen.attacker, chosen.defended)
    assert chosen.record.defended.seed == (Stream.FRESH_PEERS, 7)


def test_the_model_does_not_change(model, images):
    before = peers.stored_peers(model)
    choose(model, images, policy="fresh", num_peers=4, num_graphs=2)
    assert same(peers.stored_peers(model), before)


def test_refuses_to_know_more_graphs_than_there_are(model, images):
    with pytest.raises(UserError, match="at most 3.* Received: 4"):
        choose(model, images, attack_graphs=4)


def test_needs_peers_from_somewhere(images):
    model = models.build("pr_lenet5", SHAPE, 3)
    with pytest.raises(UserError, match="`num_peers`"):
        choose(model, images)
    record = choose(model, images, num_peers=4).record
    assert (record.defended.num_peers, record.defended.num_graphs) == (4, 1)


def test_a_model_without_peers_has_no_graphs(images):
    model = models.build("lenet5", SHAPE, 3)
    assert choose(model, images) is None


@pytest.mark.parametrize(
    "arguments",
    [
        {"policy": "secret"},
        {"num_peers": 0},
        {"attack_graphs": -1},
        {"expectation": 0},
        {"num_peers": "50"},
        {"attack_graphs": 2.0},
        {"num_graphs": True},
    ],
)
def test_bad_arguments(arguments):
    with pytest.raises(UserError, match="Received"):
        evaluation.GraphsConfig(**arguments)


def test_refuses_a_model_with_graphs_of_its_own(model, images):
    bank = encode_peers(model, draw_peers(images, 5))
    with pytest.raises(UserError, match="store the bank with set_peers"):
        choose(peers.monte_carlo(model, bank), images)
    # Without a bank it uses the stored graphs, as the model inside does.
    found = choose(peers.monte_carlo(model), images)
    assert found.record == choose(model, images).record
