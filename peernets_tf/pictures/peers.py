"""The pictures of what a PeerNet leans on."""

import keras
import numpy as np
from numpy.typing import NDArray

from peernets_tf import attacks, datasets, evaluation, peers
from peernets_tf.pictures.franken import franken_picture
from peernets_tf.pictures.neighbors import neighbors_picture
from peernets_tf.pictures.style import Picture

_NUM_IMAGES = 5
# Evenly spread, because mnist5k is sorted by class; enough to find a correctly
# classified image of each of five classes.
_CANDIDATES = 100


def peer_pictures(
    model: keras.Model, dataset: datasets.Dataset, *, seed: int = 0
) -> list[Picture]:
    """Returns Figures 1 and 3 of the paper for one model.

    Five test images are shown, each of another class, that the model classifies
    correctly. They are attacked with PGD-20 through the identity backward pass.

    Args:
        model: a built Keras model from images in [0, 1] to logits; not
            changed.
        dataset: the `Dataset`.
        seed: int, the seed of the peers and of the attack. With the seed of
            the model's training the peers are those that the model stores.

    Returns:
        A list of two `Picture`s; none for a model without PeerRegularization
        layers, or one that classifies none of 100 test images correctly.

    Raises:
        UserError: if the images do not fit the model.
    """
    if not peers.peer_layers(model):
        return []
    evaluation.check_fits(model, dataset)
    graph = evaluation.draw_graph(model, dataset, seed=seed)
    chosen = _choose(model, graph, dataset.test)
    if not len(chosen):
        return []
    story = evaluation.tell_story(
        model,
        dataset.test.images[chosen],
        graph,
        backwards=("identity",),
        seed=seed,
    )
    return [
        neighbors_picture(story, dataset.name, image=0),
        franken_picture(story, dataset.name),
    ]


def _choose(
    model: keras.Model, graph: evaluation.PeerGraph, split: datasets.Split
) -> NDArray[np.int_]:
    """Returns the places of correctly classified images of five classes."""
    count = min(_CANDIDATES, len(split))
    places = np.linspace(0, len(split) - 1, count).astype(int)
    classifier = attacks.Classifier(peers.monte_carlo(model, graph.bank))
    predictions = classifier.predict(split.images[places])
    correct = places[predictions == split.labels[places]]
    _, first = np.unique(split.labels[correct], return_index=True)
    return correct[np.sort(first)[:_NUM_IMAGES]]
