"""Attacks by name, with the arguments that they say they take."""

import numpy as np
import pytest

from peernets_tf.attacks import ATTACKS, SearchableAttack


@pytest.mark.parametrize("name", ATTACKS)
def test_options_are_arguments(name):
    """What an attack is said to take, it takes, and nothing else."""
    if name.startswith("cleverhans"):
        pytest.importorskip("cleverhans", reason="pip install cleverhans")
    values = {
        "epsilon": 0.25,
        "norm": "l2",
        "steps": 3,
        "step_size": 0.1,
        "loss": "dlr",
        "random_start": False,
        "restarts": 2,
        "targeted": True,
        "keep_best": True,
        "stop_when_fooled": True,
        "passes": 2,
        "queries": 7,
        "num_targets": 3,
        "expectation": 4,
        "num_groups": 6,
        "num_components": 8,
        "samples": 9,
        "delta": 0.02,
        "learning_rate": 0.04,
        "p_init": 0.3,
        "rescale_schedule": False,
        "batch_size": 5,
        "fooling_rate": 0.5,
        "clip": False,
        "max_steps": 4,
        "overshoot": 0.1,
    }
    if name == "apgd":
        # It follows its own targets or those of the labels.
        values["targeted"] = False
    if name == "finite_difference":
        # It takes groups or components.
        values["num_components"] = 0
    taken = ATTACKS[name].options()
    needed = {"perturbation": np.zeros((2, 2, 1)), "source": ""}
    if name != "universal.file":
        needed = {}
    attack = ATTACKS[name](**needed, **{key: values[key] for key in taken})
    assert attack.name == name
    for key in taken:
        assert getattr(attack, key) == values[key]
    for key in set(values) - taken - ATTACKS[name].internal:
        with pytest.raises(TypeError):
            ATTACKS[name](**needed, **{key: values[key]})


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_says_what_it_is(name):
    """What commands ask the class, so that they need no lists of names."""
    cls = ATTACKS[name]
    assert cls.norm in ("linf", "l2")
    assert cls.loss in ("cross_entropy", "margin", None)
    # These increase a loss without its gradient.
    estimates = name in ("finite_difference", "nes", "spsa")
    assert cls.follows_gradient == (cls.loss is not None and not estimates)
    assert cls.targeted is False
    assert cls.is_universal == name.startswith("universal.")
    searchable = ("gradient_descent", "fgsm", "pgd", "apgd")
    assert issubclass(cls, SearchableAttack) == (name in searchable)
    assert not cls.internal & cls.options()
