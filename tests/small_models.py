"""Models that compile fast, for the images and classes of `stripes`."""

import keras
import numpy as np

from peernets_tf import (
    PeerRegularization,
    attacks,
    draw_peers,
    monte_carlo,
    set_peers,
)

SHAPE = (12, 12, 1)


def make_linear(scale=0.1):
    """A model whose logits are weighted sums of the three stripes."""
    inputs = keras.Input(SHAPE)
    dense = keras.layers.Dense(3, use_bias=False)
    outputs = dense(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, outputs, name="linear")
    weights = scale * np.diag([1.0, 0.95, 0.9])
    dense.set_weights([np.kron(weights, np.ones((48, 1)))])
    return model


def make_peernet(dataset, peers_seed=0, num_neighbors=3):
    """A PeerNet of random weights, always the same, with two graphs of six."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input(SHAPE)
    x = keras.layers.Conv2D(4, 4, strides=4)(inputs)
    # The default attention would leave no exact gradient but rounding, because
    # all its logits have one sign here.
    x = PeerRegularization(num_neighbors, attention="softplus")(x)
    x = keras.layers.Flatten()(x)
    outputs = keras.layers.Dense(3)(x)
    model = keras.Model(inputs, outputs, name="peernet")
    images = dataset.train.images
    set_peers(model, draw_peers(images, 6, 2, seed=peers_seed))
    return model


def classifiers(models):
    """Returns a classifier of each model; a PeerNet's averages its graphs."""
    return [attacks.Classifier(monte_carlo(model)) for model in models]
