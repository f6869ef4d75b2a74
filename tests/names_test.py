"""Names and radii are written as people write them."""

import pytest

from peernets_tf.records import (
    checkpoint_name,
    dataset_name,
    graphs_text,
    network_name,
    radius_text,
)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("pr_resnet32", "PR-ResNet-32"),
        ("pr_resnet110_v2", "PR-ResNet-110 v2"),
        ("lenet5", "LeNet-5"),
        ("my_model", "my_model"),
        ("expr_net", "expr_net"),
        ("magnet_lenet5", "MagNet + LeNet-5"),
        ("brelu_resnet32", "BReLU ResNet-32"),
    ],
)
def test_names_of_models(model, name):
    assert network_name(model) == name


@pytest.mark.parametrize(
    ("checkpoint", "name"),
    [
        ("cifar10_pr_resnet32", "PR-ResNet-32"),
        ("cifar10_pr_resnet32_long", "PR-ResNet-32 (long)"),
        ("cifar10_pr_resnet32_three_days", "PR-ResNet-32 (three days)"),
        ("runs/cifar10_pr_resnet32_long/model.keras", "PR-ResNet-32"),
        ("cifar10_pr_resnet32_mine.keras", "PR-ResNet-32"),
        ("another", "PR-ResNet-32"),
    ],
)
def test_names_of_checkpoints(checkpoint, name):
    assert checkpoint_name("pr_resnet32", "cifar10", checkpoint) == name


def test_names_of_data_sets():
    assert dataset_name("cifar10") == "CIFAR-10"
    assert dataset_name("data/mine.npz") == "data/mine.npz"


@pytest.mark.parametrize(
    ("epsilon", "norm", "text"),
    [
        (8 / 255, "linf", "8/255"),
        (0.5 / 255, "linf", "0.5/255"),
        (0.3, "linf", "0.3"),
        (8 / 255, "l2", "0.0314"),
        (0.5, "l2", "0.5"),
    ],
)
def test_radii(epsilon, norm, text):
    assert radius_text(epsilon, norm) == text


def test_graphs():
    assert graphs_text(10, 50) == "10 graphs of 50 peers"
    assert graphs_text(1, 1) == "1 graph of 1 peer"
