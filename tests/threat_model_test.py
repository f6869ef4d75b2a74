"""Which graphs the judge has, and which the attacker."""

import keras
import numpy as np
import pytest
from keras import ops

from peernets_tf import draw_peers, models, peers, set_peers, threat_model

SHAPE = (12, 12, 1)


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return rng.uniform(0, 1, (30, *SHAPE)).astype("float32")


@pytest.fixture
def pair(images):
    """Two copies of a PeerNet with three graphs of five."""
    keras.utils.set_random_seed(0)
    judge = models.build("pr_lenet5", SHAPE, 3)
    attacked = models.build("pr_lenet5", SHAPE, 3)
    attacked.set_weights(judge.get_weights())
    for model in (judge, attacked):
        set_peers(model, draw_peers(images, 5, 3, seed=99))
    return judge, attacked


def graphs(model):
    """The stored features of all layers, one array a graph."""
    stored = [
        ops.convert_to_numpy(layer.peers) for layer in peers.peer_layers(model)
    ]
    return [
        np.concatenate([features[i].reshape(-1) for features in stored])
        for i in range(len(stored[0]))
    ]


def same(first, second):
    return len(first) == len(second) and all(map(np.array_equal, first, second))


def test_known(pair, images):
    before = graphs(pair[0])
    threat_model.set_graphs(*pair, images)
    judge, attacked = map(graphs, pair)
    assert same(judge, before)
    assert same(attacked, before)


def test_known_in_part(pair, images):
    before = graphs(pair[0])
    threat_model.set_graphs(*pair, images, attack_graphs=2)
    judge, attacked = map(graphs, pair)
    assert same(judge, before)
    assert same(attacked, before[:2])


def test_known_and_drawn_for_the_flags(pair, images):
    record = threat_model.set_graphs(
        *pair, images, num_peers=6, num_graphs=4, attack_graphs=2, seed=7
    )
    judge, attacked = map(graphs, pair)
    assert len(judge) == 4
    assert same(attacked, judge[:2])
    # What the record says draws them again.
    seed = record["judged"]["seed"]
    set_peers(pair[0], draw_peers(images, 6, 4, seed=seed))
    assert same(graphs(pair[0]), judge)


def test_drawn(pair, images):
    before = graphs(pair[0])
    threat_model.set_graphs(*pair, images, policy="drawn", attack_graphs=4)
    judge, attacked = map(graphs, pair)
    assert same(judge, before)
    assert len(attacked) == 4
    assert not any(np.array_equal(a, b) for a in attacked for b in before)


def test_ten_graphs_are_drawn_by_default(pair, images):
    record = threat_model.set_graphs(*pair, images, policy="drawn")
    assert record["attacked"]["num_graphs"] == 10


def test_fresh(pair, images):
    before = graphs(pair[0])
    threat_model.set_graphs(*pair, images, policy="fresh")
    judge, attacked = map(graphs, pair)
    assert same(attacked, before)
    assert len(judge) == 3
    assert not any(np.array_equal(a, b) for a in judge for b in before)


def test_refuses_to_know_more_graphs_than_there_are(pair, images):
    with pytest.raises(ValueError, match="attack_graphs"):
        threat_model.set_graphs(*pair, images, attack_graphs=4)


def test_needs_peers_from_somewhere(images):
    pair = [models.build("pr_lenet5", SHAPE, 3) for _ in range(2)]
    with pytest.raises(ValueError, match="num_peers"):
        threat_model.set_graphs(*pair, images)


def test_a_model_without_peers_has_no_graphs(images):
    pair = [models.build("lenet5", SHAPE, 3) for _ in range(2)]
    assert threat_model.set_graphs(*pair, images) == {}
