"""CIFAR-10 with its test images in the order of the original files."""

import dataclasses
import os

import numpy as np

from peernets_tf import datasets


def load(
    name: str = "cifar10", data_dir: str | None = None
) -> datasets.Dataset:
    """Loads a data set, CIFAR-10's test images in the original files' order.

    TensorFlow Datasets stores them in a shuffled order. A submission to the
    challenge, an `attack.npy`, has them in the original order.

    Args:
        name: str, see `peernets_tf.datasets.load`.
        data_dir: str, the TensorFlow Datasets directory; None for its default.

    Raises:
        DataError: if the data set can be neither read nor downloaded.
    """
    dataset = datasets.load(name, data_dir)
    if name != "cifar10":
        return dataset
    import tensorflow_datasets as tfds

    # `datasets.load` has downloaded what was missing.
    examples = tfds.load(
        "cifar10",
        split="test",
        data_dir=os.path.expanduser(data_dir) if data_dir else None,
        batch_size=-1,
        decoders=tfds.decode.PartialDecoding({"id": True}),
    )
    # The ids are test_00001, test_00002, ...
    order = np.argsort(tfds.as_numpy(examples)["id"])
    test = datasets.Split(
        images=dataset.test.images[order], labels=dataset.test.labels[order]
    )
    return dataclasses.replace(dataset, test=test)
