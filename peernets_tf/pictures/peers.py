"""The pictures of what a PeerNet leans on."""

import keras

from peernets_tf import attacks, datasets, evaluation, peers
from peernets_tf.pictures.examples import correct_images, of_different_classes
from peernets_tf.pictures.franken import franken_picture
from peernets_tf.pictures.neighbors import neighbors_picture
from peernets_tf.pictures.style import Picture

_NUM_IMAGES = 5
# Correctly classified images among which five different classes are sought.
_NUM_CANDIDATES = 50


def peer_pictures(
    model: keras.Model, dataset: datasets.Dataset, *, seed: int = 0
) -> list[Picture]:
    """Returns Figures 1 and 3 of the paper for one model.

    Five test images of different classes are shown, which the model classifies
    correctly. They are attacked with PGD-20 through the identity backward pass.

    Args:
        model: a built Keras model from images in [0, 1] to logits; not
            changed.
        dataset: the `Dataset`.
        seed: int, the seed of the peers and of the attack. With the seed of
            the model's training the peers are those that the model stores.

    Returns:
        A list of two `Picture`s; none for a model without PeerRegularization
        layers.

    Raises:
        UserError: if the images do not fit the model, or it classifies none
            correctly.
    """
    if not peers.peer_layers(model):
        return []
    evaluation.check_fits(model, dataset)
    graph = evaluation.draw_graph(model, dataset, seed=seed)
    classifier = attacks.Classifier(peers.monte_carlo(model, graph.bank))
    correct = correct_images([classifier], dataset.test, _NUM_CANDIDATES)
    story = evaluation.tell_story(
        model,
        of_different_classes(correct, _NUM_IMAGES).images,
        graph,
        backwards=("identity",),
        seed=seed,
    )
    return [
        neighbors_picture(story, dataset.name, image=0),
        franken_picture(story, dataset.name),
    ]
