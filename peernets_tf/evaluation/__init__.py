"""Attacks a model on test images and counts: evaluation of robustness.

`evaluate` is the one evaluation of `peernets_tf.evaluate` and of
`madry_challenge`:

    evaluate(model, dataset, EvaluationConfig(
        attack=AttackConfig(name="pgd", epsilons=(8 / 255,)),
        output_dir="runs/attacks/example",
    ), checkpoint="model.keras", provenance=provenance)
"""

from typing import TYPE_CHECKING

from peernets_tf import lazy
from peernets_tf.evaluation.config import (
    EvaluationConfig,
    backward_passes,
    check_fits,
    check_range,
)
from peernets_tf.evaluation.defaults import (
    default_folder,
    folder_name,
    trained_on,
)
from peernets_tf.evaluation.plan import AttackConfig, plan
from peernets_tf.evaluation.report import print_report
from peernets_tf.evaluation.shard import Shard
from peernets_tf.evaluation.strength import Strength
from peernets_tf.evaluation.suite_config import SuiteConfig
from peernets_tf.evaluation.suites import SUITES
from peernets_tf.evaluation.target_config import TargetConfig
from peernets_tf.evaluation.threat_model import (
    POLICIES,
    ChosenGraphs,
    GraphsConfig,
    choose_graphs,
)
from peernets_tf.evaluation.universal import perturbations_of

if TYPE_CHECKING:
    from peernets_tf.evaluation.explanation import (
        Explanation,
        LayerExplanation,
        PeerGraph,
        draw_graph,
        explain,
    )
    from peernets_tf.evaluation.franken_images import LogFrankenImages
    from peernets_tf.evaluation.image_story import (
        ImageStory,
        ImageView,
        image_shape,
        tell_story,
    )
    from peernets_tf.evaluation.robustness import robust_accuracy
    from peernets_tf.evaluation.run import evaluate, identity
    from peernets_tf.evaluation.story_words import story_text
    from peernets_tf.evaluation.suite_run import evaluate_suite
    from peernets_tf.evaluation.worst_case import RobustAccuracy
else:
    __getattr__, __dir__ = lazy.exports(
        __name__,
        Explanation="explanation",
        ImageStory="image_story",
        ImageView="image_story",
        LayerExplanation="explanation",
        LogFrankenImages="franken_images",
        PeerGraph="explanation",
        RobustAccuracy="worst_case",
        draw_graph="explanation",
        evaluate="run",
        evaluate_suite="suite_run",
        explain="explanation",
        identity="run",
        image_shape="image_story",
        robust_accuracy="robustness",
        story_text="story_words",
        tell_story="image_story",
    )

__all__ = [
    "POLICIES",
    "SUITES",
    "AttackConfig",
    "ChosenGraphs",
    "EvaluationConfig",
    "Explanation",
    "GraphsConfig",
    "ImageStory",
    "ImageView",
    "LayerExplanation",
    "LogFrankenImages",
    "PeerGraph",
    "RobustAccuracy",
    "Shard",
    "Strength",
    "SuiteConfig",
    "TargetConfig",
    "backward_passes",
    "check_fits",
    "check_range",
    "choose_graphs",
    "default_folder",
    "folder_name",
    "draw_graph",
    "evaluate",
    "evaluate_suite",
    "explain",
    "identity",
    "image_shape",
    "perturbations_of",
    "plan",
    "print_report",
    "robust_accuracy",
    "story_text",
    "tell_story",
    "trained_on",
]
