"""CIFAR-10 with its test images in CIFAR-10's own order."""

import dataclasses
import os

import numpy as np

from peernets_tf import data


def load(name: str = "cifar10", data_dir: str | None = None) -> data.Dataset:
    """Reads a data set; CIFAR-10's test images in the original files' order.

    TensorFlow Datasets shuffles them once and for all; adversarial images of
    others, an `attack.npy`, come in the original's order.

    Args:
        name: str, see `peernets_tf.data.load`.
        data_dir: str, the TensorFlow Datasets directory; None for its default.

    Raises:
        DataError: if it can be neither read nor downloaded.
    """
    dataset = data.load(name, data_dir)
    if name != "cifar10":
        return dataset
    import tensorflow_datasets as tfds

    # What was read just now is there, and is not downloaded again.
    examples = tfds.load(
        "cifar10",
        split="test",
        data_dir=os.path.expanduser(data_dir) if data_dir else None,
        batch_size=-1,
        decoders=tfds.decode.PartialDecoding({"id": True}),
    )
    # test_00001 and so on.
    order = np.argsort(tfds.as_numpy(examples)["id"])
    test = data.Split(
        images=dataset.test.images[order], labels=dataset.test.labels[order]
    )
    return dataclasses.replace(dataset, test=test)
