"""NumPy's numbers are Python's wherever they are written down."""

import dataclasses

import numpy as np
import pytest

from peernets_tf import attacks, evaluation, training
from peernets_tf.adaptive import Ablation

RECIPE = training.recipe("lenet5", "mnist")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (attacks.PGD(epsilon=np.float64(0.25)), attacks.PGD(epsilon=0.25)),
        (attacks.PGD(steps=np.int64(3)), attacks.PGD(steps=3)),
        (attacks.PGD(targeted=np.True_), attacks.PGD(targeted=True)),
        (
            evaluation.AttackConfig(
                name="pgd",
                epsilons=(np.float32(0.25),),
                options={"steps": np.int32(3)},
            ),
            evaluation.AttackConfig(
                name="pgd", epsilons=(0.25,), options={"steps": 3}
            ),
        ),
        (
            evaluation.SuiteConfig(epsilon=np.float32(0.25), output_dir="a"),
            evaluation.SuiteConfig(epsilon=0.25, output_dir="a"),
        ),
        (
            evaluation.GraphsConfig(num_peers=np.int64(5)),
            evaluation.GraphsConfig(num_peers=5),
        ),
        (Ablation(num_neighbors=np.int64(5)), Ablation(num_neighbors=5)),
        (
            dataclasses.replace(RECIPE, learning_rate=np.float64(0.5)),
            dataclasses.replace(RECIPE, learning_rate=0.5),
        ),
    ],
    ids=lambda config: type(config).__name__,
)
def test_a_configuration_holds_plain_numbers(ours, theirs):
    assert repr(ours) == repr(theirs)


def test_an_array_stays_an_array():
    perturbation = np.zeros((2, 2, 1), "float32")
    attack = attacks.FixedPerturbation(perturbation=perturbation, source="")
    assert isinstance(attack.perturbation, np.ndarray)
