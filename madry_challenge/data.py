"""CIFAR-10 with its test images in CIFAR-10's own order."""

import dataclasses

import numpy as np

from peernets_tf import data


def load(data_dir: str | None = None) -> data.Dataset:
    """Reads CIFAR-10, the test images in the order of the original files.

    TensorFlow Datasets shuffles them once and for all; adversarial images of
    others, an `attack.npy`, come in the original's order.

    Args:
        data_dir: str, the TensorFlow Datasets directory; None for its default.

    Raises:
        DataError: if it can be neither read nor downloaded.
    """
    dataset = data.load("cifar10", data_dir)
    import tensorflow_datasets as tfds

    examples = tfds.load(
        "cifar10",
        split="test",
        data_dir=data_dir,
        batch_size=-1,
        decoders=tfds.decode.PartialDecoding({"id": True}),
    )
    # test_00001 and so on.
    order = np.argsort(tfds.as_numpy(examples)["id"])
    test = data.Split(
        images=dataset.test.images[order], labels=dataset.test.labels[order]
    )
    return dataclasses.replace(dataset, test=test)
