"""Recipes are those of Table 1 and Section 4.1."""

import dataclasses

import pytest

from peernets_tf import models
from peernets_tf.errors import UserError
from peernets_tf.training import default_model, recipe

# Table 1: optimizer, epochs, batch, momentum, learning rate, L2, decay.
TABLE_1 = {
    ("lenet5", "mnist"): ("adam", 100, 128, None, 1e-3, 1e-4, "constant"),
    ("pr_lenet5", "mnist"): ("adam", 100, 32, None, 1e-3, 1e-4, "constant"),
    ("resnet32", "cifar10"): ("momentum", 350, 128, 0.9, 1e-1, 1e-3, "step"),
    ("pr_resnet32", "cifar10"): ("momentum", 350, 64, 0.9, 1e-2, 1e-3, "step"),
    ("resnet110", "cifar100"): ("momentum", 350, 128, 0.9, 1e-1, 2e-3, "step"),
    ("pr_resnet110", "cifar100"): (
        "momentum",
        350,
        64,
        0.9,
        1e-2,
        2e-3,
        "step",
    ),
}


@pytest.mark.parametrize(("row", "expected"), TABLE_1.items())
def test_table_1(row, expected):
    found = recipe(*row)
    assert (
        found.optimizer,
        found.epochs,
        found.batch_size,
        found.momentum if found.optimizer == "momentum" else None,
        found.learning_rate,
        found.l2,
        found.schedule,
    ) == expected
    if found.schedule == "step":
        assert found.decay_epochs == (100, 175, 250)
        assert found.decay_factor == 0.1


def test_monte_carlo_runs_of_section_4_1():
    for model, dataset, num_peers in [
        ("pr_lenet5", "mnist", 50),
        ("pr_resnet32", "cifar10", 50),
        ("pr_resnet110", "cifar100", 500),
    ]:
        found = recipe(model, dataset)
        assert (found.num_peers, found.num_graphs) == (num_peers, 10)


def test_default_models():
    assert default_model("cifar10") == "pr_resnet32"
    assert default_model("cifar100") == "pr_resnet110"
    assert default_model("mnist") == "pr_lenet5"
    assert default_model("own.npz") == "pr_lenet5"


def test_every_network_has_a_recipe():
    for name in models.MODEL_NAMES:
        wide = recipe(name, "cifar10")
        assert wide == recipe(name.removesuffix("_v2"), "cifar10")
        assert wide.noise_std == (0.05 if name.startswith("brelu_") else 0)
    with pytest.raises(UserError, match="model=vgg"):
        recipe("vgg", "cifar10")


def test_a_rival_is_trained_as_the_network_that_it_defends():
    rival = recipe("brelu_resnet32", "cifar10")
    network = recipe("resnet32", "cifar10")
    assert dataclasses.replace(rival, noise_std=0.0) == network


@pytest.mark.parametrize(
    ("model", "dataset", "augment"),
    [
        ("resnet32", "cifar10", True),
        ("pr_resnet110_v2", "cifar100", True),
        ("resnet32", "own.npz", False),
        ("lenet5", "cifar10", False),
        ("lenet5", "mnist", False),
    ],
)
def test_only_resnets_on_cifar_are_augmented(model, dataset, augment):
    assert recipe(model, dataset).augment == augment
