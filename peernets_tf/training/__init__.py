"""Training: recipes, optimizers, checkpoints, and the loop that resumes."""

from peernets_tf.training.checkpoint import Checkpoint
from peernets_tf.training.loop import (
    FitPlan,
    Fitted,
    count_correct,
    fit,
    fit_batches,
)
from peernets_tf.training.optimizers import (
    OPTIMIZERS,
    SCHEDULES,
    compile_model,
    compile_with,
    learning_rate_schedule,
)
from peernets_tf.training.publishing import (
    PublishingConfig,
    model_card,
    publish,
)
from peernets_tf.training.recipes import Recipe, default_model, recipe
from peernets_tf.training.run import TrainingConfig, train

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "Checkpoint",
    "FitPlan",
    "Fitted",
    "PublishingConfig",
    "Recipe",
    "TrainingConfig",
    "compile_model",
    "compile_with",
    "count_correct",
    "default_model",
    "fit",
    "fit_batches",
    "learning_rate_schedule",
    "model_card",
    "publish",
    "recipe",
    "train",
]
