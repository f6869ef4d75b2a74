"""Streams of random numbers: fixed values, and none shared."""

import numpy as np

from peernets_tf.seeds import Stream, generator


def test_values_are_those_of_the_published_records():
    assert {stream.name: stream.value for stream in Stream} == {
        "BATCH_ORDER": 0,
        "AUGMENTATION": 1,
        "VALIDATION_PEERS": 2,
        "MODEL_PEERS": 3,
        "ATTACKER_PEERS": 5,
        "FRESH_PEERS": 6,
        "TRAINING_NOISE": 7,
        "PGD_START": 10,
        "NOISE": 11,
        "UNIVERSAL_ORDER": 12,
        "TARGET_LABELS": 13,
        "ATTACK": 14,
        "SQUARE": 15,
        "APGD_START": 20,
        "FAB_START": 21,
    }


def test_each_key_has_its_own_numbers():
    def draw(*key):
        return tuple(generator(*key).integers(2**31, size=4))

    keys = [(stream, seed) for stream in Stream for seed in (0, 1)]
    keys += [(Stream.PGD_START, 0, 1)]
    assert len({draw(*key) for key in keys}) == len(keys)
    assert draw(Stream.NOISE, 7) == tuple(
        np.random.default_rng((11, 7)).integers(2**31, size=4)
    )
