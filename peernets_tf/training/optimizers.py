"""Optimizers and learning rates of recipes, and how every model is compiled."""

from __future__ import annotations

from peernets_tf.errors import UserError
from peernets_tf.lazy import keras
from peernets_tf.training.recipes import Recipe

OPTIMIZERS = ("adam", "momentum", "nesterov")
SCHEDULES = ("constant", "step", "cosine")


def compile_model(
    model: keras.Model, recipe: Recipe, steps_per_epoch: int
) -> None:
    """Compiles a model from images to logits with a recipe's optimizer.

    Args:
        model: a built Keras model.
        recipe: the `Recipe`.
        steps_per_epoch: int, the batches of one epoch.

    Raises:
        UserError: if there is no such optimizer or schedule.
    """
    rate = learning_rate_schedule(recipe, steps_per_epoch)
    if recipe.optimizer == "adam":
        optimizer = keras.optimizers.Adam(rate)
    elif recipe.optimizer in ("momentum", "nesterov"):
        optimizer = keras.optimizers.SGD(
            rate,
            momentum=recipe.momentum,
            nesterov=recipe.optimizer == "nesterov",
        )
    else:
        raise UserError(
            f"`optimizer` must be one of {', '.join(OPTIMIZERS)}. Received: "
            f"optimizer={recipe.optimizer}"
        )
    compile_with(model, optimizer)


def compile_with(
    model: keras.Model, optimizer: keras.optimizers.Optimizer
) -> None:
    """Compiles a model with the loss and the metric of all trainings here.

    Args:
        model: a built Keras model from images to logits.
        optimizer: a Keras optimizer, whose variables are built, too.
    """
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    # A checkpoint can only be restored into variables that exist.
    model.optimizer.build(model.trainable_variables)


def steps_taken(model: keras.Model) -> int:
    """Returns the steps that the optimizer of a compiled model has taken."""
    # NumPy cannot read the variables of `tf.distribute`, but Keras can.
    return int(keras.ops.convert_to_numpy(model.optimizer.iterations))


def learning_rate_schedule(
    recipe: Recipe, steps_per_epoch: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Returns a recipe's learning rate, a float or a Keras schedule.

    `"constant"` keeps the rate. `"step"` multiplies it by `decay_factor` after
    each of `decay_epochs` (Table 1). `"cosine"`, for shorter trainings, raises
    it linearly over the first tenth of all steps and lowers it along a cosine
    to zero at the last step.

    Args:
        recipe: the `Recipe`.
        steps_per_epoch: int, the batches of one epoch.

    Raises:
        UserError: if there is no such schedule.
    """
    if recipe.schedule == "constant":
        return recipe.learning_rate
    if recipe.schedule == "step":
        epochs = [e for e in recipe.decay_epochs if e < recipe.epochs]
        if not epochs:
            return recipe.learning_rate
        return keras.optimizers.schedules.PiecewiseConstantDecay(
            # Keras keeps a rate up to and including its boundary.
            [epoch * steps_per_epoch - 1 for epoch in epochs],
            [
                recipe.learning_rate * recipe.decay_factor**i
                for i in range(len(epochs) + 1)
            ],
        )
    if recipe.schedule == "cosine":
        steps = recipe.epochs * steps_per_epoch
        warmup_steps = steps // 10
        return keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.1 * recipe.learning_rate,
            decay_steps=steps - warmup_steps,
            warmup_target=recipe.learning_rate,
            warmup_steps=warmup_steps,
        )
    raise UserError(
        f"`schedule` must be one of {', '.join(SCHEDULES)}. Received: "
        f"schedule={recipe.schedule}"
    )
