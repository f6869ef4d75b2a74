"""Learning rates over the steps of a training, and refused names."""

import dataclasses

import numpy as np
import pytest

from peernets_tf import models, training
from peernets_tf.errors import UserError

RECIPE = training.recipe("pr_resnet32", "cifar10")


def test_step_schedule_is_table_1s():
    rate = training.learning_rate_schedule(RECIPE, steps_per_epoch=10)
    expected = {0: 1e-2, 999: 1e-2, 1000: 1e-3, 1750: 1e-4, 2500: 1e-5}
    for step, value in expected.items():
        np.testing.assert_allclose(rate(step), value, rtol=1e-6)


def test_a_training_that_ends_before_the_first_step_down():
    short = dataclasses.replace(RECIPE, epochs=100)
    assert training.learning_rate_schedule(short, steps_per_epoch=10) == 1e-2


def test_cosine():
    recipe = dataclasses.replace(
        RECIPE, schedule="cosine", epochs=10, learning_rate=0.5
    )
    rate = training.learning_rate_schedule(recipe, steps_per_epoch=10)
    expected = {0: 0.05, 5: 0.275, 10: 0.5, 55: 0.25, 100: 0.0, 110: 0.0}
    for step, value in expected.items():
        np.testing.assert_allclose(rate(step), value, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "steps"), [("momentum", [-1.0, -1.5]), ("nesterov", [-1.5, -1.75])]
)
def test_momentum_and_its_look_ahead(name, steps):
    recipe = dataclasses.replace(
        RECIPE,
        optimizer=name,
        momentum=0.5,
        schedule="constant",
        learning_rate=1.0,
    )
    model = models.build("lenet5", (12, 12, 1), 3)
    training.compile_model(model, recipe, steps_per_epoch=10)
    bias = model.trainable_variables[-1]
    found = []
    for _ in steps:
        before = np.array(bias)
        model.optimizer.apply(
            [np.ones(v.shape, "float32") for v in model.trainable_variables]
        )
        found.append(float((np.array(bias) - before)[0]))
    np.testing.assert_allclose(found, steps, rtol=1e-5)


@pytest.mark.parametrize("name", ["schedule", "optimizer"])
def test_refuses_unknown_names(name):
    model = models.build("lenet5", (12, 12, 1), 3)
    recipe = dataclasses.replace(RECIPE, **{name: "other"})
    with pytest.raises(UserError, match=f"{name}=other"):
        training.compile_model(model, recipe, steps_per_epoch=10)
