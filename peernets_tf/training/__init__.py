"""Training: recipes, optimizers, checkpoints, and the loop that resumes."""

from typing import TYPE_CHECKING

from peernets_tf import lazy
from peernets_tf.training import processes
from peernets_tf.training.distribution import (
    DISTRIBUTIONS,
    average_devices,
    check_distribution,
    check_shares,
    distributed,
    shared_batch_size,
)
from peernets_tf.training.initial_model import describe, start_from
from peernets_tf.training.model_card import attacks_on, model_card
from peernets_tf.training.optimizers import (
    OPTIMIZERS,
    SCHEDULES,
    compile_model,
    compile_with,
    learning_rate_schedule,
    steps_taken,
)
from peernets_tf.training.published import Preset, presets
from peernets_tf.training.publishing import PublishingConfig, publish
from peernets_tf.training.recipes import Recipe, default_model, recipe
from peernets_tf.training.run import (
    TrainingConfig,
    store_graphs,
    train,
)

if TYPE_CHECKING:
    from peernets_tf.training.accuracy import count_correct, predict_classes
    from peernets_tf.training.checkpoint import Checkpoint
    from peernets_tf.training.loop import (
        FitPlan,
        Fitted,
        check_sizes,
        fit,
        fit_batches,
    )
else:
    __getattr__, __dir__ = lazy.exports(
        __name__,
        Checkpoint="checkpoint",
        FitPlan="loop",
        Fitted="loop",
        check_sizes="loop",
        count_correct="accuracy",
        fit="loop",
        fit_batches="loop",
        predict_classes="accuracy",
    )

__all__ = [
    "DISTRIBUTIONS",
    "OPTIMIZERS",
    "SCHEDULES",
    "Checkpoint",
    "FitPlan",
    "Fitted",
    "Preset",
    "PublishingConfig",
    "Recipe",
    "TrainingConfig",
    "attacks_on",
    "average_devices",
    "check_distribution",
    "check_shares",
    "check_sizes",
    "compile_model",
    "compile_with",
    "count_correct",
    "default_model",
    "describe",
    "distributed",
    "fit",
    "fit_batches",
    "learning_rate_schedule",
    "model_card",
    "predict_classes",
    "presets",
    "processes",
    "publish",
    "recipe",
    "shared_batch_size",
    "start_from",
    "steps_taken",
    "store_graphs",
    "train",
]
