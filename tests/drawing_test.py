"""Peers are drawn uniformly, without repeats within a graph."""

import numpy as np
import pytest

from peernets_tf import draw_peers


def test_draw_peers(rng):
    images = np.arange(20).reshape(20, 1, 1, 1)
    graphs = draw_peers(images, 15, 4, seed=1)
    assert graphs.shape == (4, 15, 1, 1, 1)
    for graph in graphs:
        assert len(np.unique(graph)) == 15
    assert len({tuple(graph.ravel()) for graph in graphs}) == 4
    np.testing.assert_array_equal(graphs, draw_peers(images, 15, 4, seed=1))
    assert not np.array_equal(graphs, draw_peers(images, 15, 4, seed=2))


def test_draw_peers_is_uniform():
    drawn = draw_peers(np.arange(10).reshape(10, 1, 1, 1), 3, 4000, seed=0)
    counts = np.bincount(drawn.ravel(), minlength=10) / drawn.size
    np.testing.assert_allclose(counts, 0.1, atol=0.01)


@pytest.mark.parametrize("options", [(21, 1), (0, 1), (5, 0)])
def test_draw_peers_refuses(options):
    with pytest.raises(ValueError, match="Received: num_"):
        draw_peers(np.zeros((20, 1, 1, 1)), *options)
