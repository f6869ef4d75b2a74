"""The test images that pictures show."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from peernets_tf import attacks, datasets
from peernets_tf.errors import UserError

_BATCH_SIZE = 100


def correct_images(
    classifiers: Sequence[attacks.Classifier],
    split: datasets.Split,
    count: int,
) -> datasets.Split:
    """Returns the first images that all models classify correctly.

    Args:
        classifiers: the `Classifier`s of the models.
        split: the `Split` to choose from.
        count: int, the number of images; fewer if the split has no more.

    Raises:
        UserError: if there is no such image.
    """
    chosen = np.zeros(0, np.int64)
    for first in range(0, len(split), _BATCH_SIZE):
        part = slice(first, first + _BATCH_SIZE)
        is_correct = np.all(
            [
                classifier.predict(split.images[part]) == split.labels[part]
                for classifier in classifiers
            ],
            axis=0,
        )
        chosen = np.append(chosen, first + np.flatnonzero(is_correct))
        if len(chosen) >= count:
            break
    if not len(chosen):
        raise UserError(
            "all models must classify the same test image correctly. Received: "
            f"models that agree on none of {len(split)}"
        )
    return _subset(split, chosen[:count])


def of_different_classes(split: datasets.Split, count: int) -> datasets.Split:
    """Returns images in which no class comes again before all have come.

    Args:
        split: the `Split` to choose from, of which earlier images are
            preferred.
        count: int, the number of images; fewer if the split has no more.
    """
    seen: dict[int, int] = {}
    turns = []
    for label in split.labels.tolist():
        turns.append(seen.get(label, 0))
        seen[label] = turns[-1] + 1
    return _subset(split, np.argsort(turns, kind="stable")[:count])


def _subset(split: datasets.Split, chosen: NDArray[np.int64]) -> datasets.Split:
    return datasets.Split(
        images=split.images[chosen], labels=split.labels[chosen]
    )
