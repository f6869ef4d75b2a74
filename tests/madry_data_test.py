"""CIFAR-10 in the order of the original files."""

import numpy as np

from madry_challenge import data


def test_the_order_is_cifar10s(data_dir):
    """The labels with which the original's test_batch begins."""
    labels = data.load("cifar10", data_dir).test.labels
    np.testing.assert_array_equal(labels[:10], [3, 8, 8, 0, 6, 6, 1, 6, 3, 1])
