"""Every stream of random numbers outside the layers, by name.

A command has one seed. What it draws for one purpose depends on that seed and
on the purpose's stream, so that no two purposes share random numbers. The
values are part of every published record: do not change or reuse them.
"""

import enum

import numpy as np


class Stream(enum.IntEnum):
    """What random numbers are drawn for."""

    BATCH_ORDER = 0
    AUGMENTATION = 1
    VALIDATION_PEERS = 2
    # The graphs that a trained model keeps, and those drawn for --num_peers.
    MODEL_PEERS = 3
    # The graphs that an attacker draws who knows only their distribution.
    ATTACKER_PEERS = 5
    # The graphs of the defended model that no attacker has seen.
    FRESH_PEERS = 6
    # The noise of Gaussian data augmentation.
    TRAINING_NOISE = 7
    PGD_START = 10
    NOISE = 11
    UNIVERSAL_ORDER = 12
    TARGET_LABELS = 13
    # The seed that an attack receives for each batch.
    ATTACK = 14
    SQUARE = 15
    APGD_START = 20
    FAB_START = 21


def generator(stream: Stream, *key: int) -> np.random.Generator:
    """Returns a random generator for one stream.

    Args:
        stream: the `Stream`.
        *key: ints, the command's seed first, then what is drawn anew for each,
            such as the number of an epoch or a batch.
    """
    return np.random.default_rng((int(stream), *key))
