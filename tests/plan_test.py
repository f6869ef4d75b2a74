"""Which attacks a configuration stands for, and what it refuses."""

import numpy as np
import pytest

from peernets_tf import attacks, evaluation
from peernets_tf.errors import UserError
from peernets_tf.evaluation import AttackConfig, Strength


def planned(dataset, name, **config):
    return evaluation.plan(AttackConfig(name=name, **config), dataset)


def test_defaults_are_the_attacks_own(stripes):
    for name, norm, epsilon in (
        ("pgd", "linf", 8 / 255),
        ("noise", "linf", 8 / 255),
        ("gradient_descent", "l2", 0.5),
        ("universal.deepfool", "l2", 0.5),
        ("universal.gradient", "l2", 0.5),
    ):
        assert planned(stripes, name) == [
            (
                Strength(norm=norm, epsilon=epsilon),
                attacks.ATTACKS[name](epsilon=epsilon),
            )
        ]


def test_epsilons_norm_and_options(stripes):
    options = {"steps": 3, "loss": "margin"}
    found = planned(
        stripes, "pgd", norm="l2", epsilons=(0.0, 1.5), options=options
    )
    assert found == [
        (
            Strength(norm="l2", epsilon=epsilon),
            attacks.PGD(norm="l2", epsilon=epsilon, steps=3, loss="margin"),
        )
        for epsilon in (0.0, 1.5)
    ]


def test_each_number_of_steps_is_tried_at_each_radius(stripes):
    found = planned(stripes, "pgd", epsilons=(0.1, 0.2), steps=(2, 5))
    pairs = [(0.1, 2), (0.1, 5), (0.2, 2), (0.2, 5)]
    assert found == [
        (
            Strength(norm="linf", epsilon=epsilon, steps=steps),
            attacks.PGD(epsilon=epsilon, steps=steps),
        )
        for epsilon, steps in pairs
    ]
    names = [strength.name for strength, _ in found]
    assert names[0] == "linf_0.1_2_steps"
    assert len(set(names)) == 4


def test_one_number_of_steps_is_an_option(stripes):
    """So what it is called does not change with the way it is given."""
    assert planned(stripes, "pgd", steps=(5,)) == planned(
        stripes, "pgd", options={"steps": 5}
    )
    with pytest.raises(UserError, match="steps must be given once"):
        AttackConfig(name="pgd", steps=(5,), options={"steps": 5})


def test_rhos_are_multiples_of_the_mean_norm_of_training_images(stripes):
    flat = stripes.train.images.reshape(len(stripes.train), -1)
    mean = np.linalg.norm(flat, axis=1).mean()
    ((strength, attack),) = planned(stripes, "noise", rhos=(0.1,))
    assert strength == Strength(norm="l2", epsilon=attack.epsilon, rho=0.1)
    assert attack == attacks.RandomNoise(norm="l2", epsilon=attack.epsilon)
    assert attack.epsilon == pytest.approx(0.1 * mean)


@pytest.mark.parametrize("rho_of", attacks.RHO_READINGS)
def test_rho_is_relative_to_the_norm_that_is_named(rho_of, stripes):
    ((strength, attack),) = planned(
        stripes, "universal.gradient", rhos=(0.1,), rho_of=rho_of
    )
    epsilon = attacks.epsilon_from_rho(stripes.train.images, 0.1, rho_of)
    assert attack.epsilon == strength.epsilon == pytest.approx(epsilon)
    assert strength.rho_of == rho_of
    assert strength.clip


def test_a_strength_says_whether_images_are_clipped(stripes, tmp_path):
    np.save(tmp_path / "v.npy", np.full((12, 12, 1), 0.25))
    file = {"perturbation": str(tmp_path / "v.npy")}
    for name, config in (
        ("universal.gradient", {}),
        ("universal.deepfool", {}),
        ("universal.file", file),
    ):
        options = {"clip": False}
        ((strength, attack),) = planned(
            stripes, name, options=options, **config
        )
        assert not strength.clip
        assert not attack.clip
    ((strength, _),) = planned(stripes, "universal.sequential")
    assert not strength.clip
    ((strength, _),) = planned(stripes, "pgd")
    assert strength.clip


def test_an_attack_without_epsilon_has_one_strength(stripes):
    assert planned(stripes, "deepfool") == [
        (Strength(norm="l2"), attacks.DeepFool())
    ]


def test_search(stripes):
    ((strength, attack),) = planned(
        stripes, "pgd", norm="l2", search=True, options={"steps": 3}
    )
    assert strength == Strength(norm="l2")
    # Images of 12 x 12 x 1.
    assert attack == attacks.SmallestEpsilon(
        attack=attacks.PGD(
            norm="l2", epsilon=1.0, steps=3, stop_when_fooled=True
        ),
        largest_epsilon=12.0,
    )
    ((_, attack),) = planned(stripes, "fgsm", search=True, epsilons=(0.3,))
    assert attack.largest_epsilon == 0.3


def test_a_file_is_as_strong_as_it_is_long(stripes, tmp_path):
    path = str(tmp_path / "v.npy")
    np.save(path, np.full((12, 12, 1), 0.25))
    for norm, epsilon in (("l2", 3.0), ("linf", 0.25)):
        ((strength, attack),) = planned(
            stripes, "universal.file", perturbation=path, norm=norm
        )
        assert strength == Strength(norm=norm, epsilon=epsilon)
        assert isinstance(attack, attacks.FixedPerturbation)


@pytest.mark.parametrize(
    "attack",
    [
        attacks.PGD(epsilon=0.1, steps=7, step_size=0.02, keep_best=False),
        attacks.GradientDescent(epsilon=0.3),
        attacks.RandomNoise(norm="l2", epsilon=0.2),
        attacks.UniversalGradient(epsilon=0.2, passes=2),
    ],
    ids=repr,
)
def test_the_configuration_of_an_attack_stands_for_it(attack, stripes):
    ((_, found),) = evaluation.plan(AttackConfig.of(attack), stripes)
    assert found == attack


def test_a_configuration_holds_no_field_without_a_flag():
    with pytest.raises(UserError, match="`p_init` of square must be 0.8"):
        AttackConfig.of(attacks.Square(epsilon=0.1, p_init=0.05))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"name": "sgd"}, "one of gradient_descent"),
        ({"name": "fgsm", "options": {"steps": 3}}, "steps"),
        ({"name": "fgsm", "steps": (3,)}, "steps"),
        ({"name": "deepfool", "norm": "l2"}, "norm"),
        ({"name": "deepfool", "epsilons": (1.0,)}, "epsilon"),
        ({"name": "noise", "search": True}, "search"),
        ({"name": "noise", "options": {"targeted": False}}, "targeted"),
        ({"name": "pgd", "train_size": 5}, "train_size"),
        ({"name": "fgsm", "perturbation": "a.npy"}, "perturbation"),
        ({"name": "universal.file"}, "perturbation"),
        ({"name": "universal.gradient", "train_size": 0}, "train_size"),
        (
            {"name": "universal.gradient", "options": {"step_size": 0.1}},
            "step_size",
        ),
        (
            {"name": "universal.file", "perturbation": "a", "train_size": 3},
            "train_size",
        ),
        ({"name": "fgsm", "rhos": (0.1,), "epsilons": (1.0,)}, "rho"),
        ({"name": "fgsm", "rhos": (0.1,), "norm": "linf"}, "rho"),
        ({"name": "fgsm", "search": True, "epsilons": (1, 2)}, "one epsilon"),
        ({"name": "fgsm", "search": True, "rhos": (0.1,)}, "rho"),
        ({"name": "fgsm", "rho_of": "centered"}, "rho_of needs rho"),
        ({"name": "fgsm", "rhos": (1,), "rho_of": "all"}, "`rho_of` must be"),
        ({"name": "pgd", "options": {"clip": False}}, "clip"),
        *(
            ({"name": "pgd", "search": True, "options": {option: True}}, option)
            for option in ("keep_best", "stop_when_fooled", "step_size")
        ),
    ],
    ids=str,
)
def test_refuses_what_the_attack_does_not_read(config, message):
    with pytest.raises(UserError, match=message):
        AttackConfig(**config)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"epsilons": (-0.1,)}, "epsilon"),
        ({"epsilons": (0.1, 0.1)}, "linf_0.1, linf_0.1"),
        ({"steps": (2, 2)}, "2_steps, .*2_steps"),
        ({"options": {"restarts": 2, "keep_best": False}}, "keep_best"),
        ({"options": {"loss": "hinge"}}, "loss"),
    ],
    ids=str,
)
def test_refuses_bad_values(config, message, stripes):
    with pytest.raises(UserError, match=message):
        planned(stripes, "pgd", **config)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epsilons": (8.0,)}, "write 8/255"),
        ({"epsilons": (0.1, 8.0), "norm": "linf"}, "write 8/255"),
        ({"epsilons": (float("nan"),)}, "finite"),
        ({"rhos": (float("inf"),)}, "`rho` must be finite"),
        ({"rhos": (-0.1,)}, "`rho` must be finite, at least 0"),
    ],
    ids=str,
)
def test_strengths_are_checked_before_there_is_a_data_set(values, message):
    with pytest.raises(UserError, match=message):
        evaluation.AttackConfig(name="pgd", **values)
    evaluation.AttackConfig(name="pgd", norm="l2", epsilons=(8.0,))
