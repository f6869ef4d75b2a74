import numpy as np
import pytest

from peernets_tf.attacks import PGD, catalogue


@pytest.mark.parametrize("name", catalogue.NAMES)
def test_options_are_arguments(name):
    """What an attack is said to take, it takes, and nothing else."""
    if name.startswith("cleverhans"):
        pytest.importorskip("cleverhans", reason="pip install cleverhans")
    values = {
        "epsilon": 0.25,
        "norm": "l2",
        "steps": 3,
        "step_size": 0.1,
        "loss": "margin",
        "random_start": False,
        "restarts": 2,
        "targeted": True,
        "keep_best": True,
        "stop_when_fooled": True,
        "passes": 2,
        "batch_size": 5,
        "fooling_rate": 0.5,
        "max_steps": 4,
        "overshoot": 0.1,
    }
    taken = catalogue.options(name)
    if name == "pgd":
        # Several restarts start anywhere.
        values["random_start"] = True
    attack = catalogue.make(name, **{key: values[key] for key in taken})
    for key in taken:
        assert getattr(attack, key) == values[key]
    # Those that a rival's attack has, and does not look at.
    unused = {"step_size", "steps", "random_start"}
    for key in set(values) - taken - unused:
        with pytest.raises(TypeError):
            catalogue.make(name, **{key: values[key]})


def test_cleverhans_names_its_method():
    pytest.importorskip("cleverhans", reason="pip install cleverhans")
    assert catalogue.make("cleverhans.mim").method == "mim"


@pytest.mark.parametrize(
    ("options", "largest"),
    [
        ({}, 1.0),
        ({"norm": "l2"}, np.sqrt(48)),
        ({"largest_epsilon": 0.3}, 0.3),
    ],
)
def test_a_search_ends_where_all_images_are_in_the_ball(options, largest):
    search = catalogue.make_search(
        "pgd", image_shape=(4, 4, 3), steps=7, **options
    )
    assert search.largest_epsilon == pytest.approx(largest)
    assert isinstance(search.attack, PGD)
    assert search.attack.steps == 7
    assert search.attack.stop_when_fooled
