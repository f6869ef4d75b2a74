"""Names of classes, with which the pictures speak of them."""

import pytest

from peernets_tf import datasets


@pytest.mark.parametrize(
    ("dataset", "label", "name"),
    [
        ("cifar10", 0, "airplane"),
        ("cifar10", 9, "truck"),
        ("mnist", 7, "7"),
        ("mnist5k", 0, "0"),
        ("cifar100", 17, "class 17"),
        ("data.npz", 2, "class 2"),
        ("", 2, "class 2"),
        ("cifar10", 10, "class 10"),
    ],
)
def test_names(dataset, label, name):
    assert datasets.class_name(dataset, label) == name
