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
)
from peernets_tf.evaluation.defaults import default_folder, trained_on
from peernets_tf.evaluation.plan import (
    AttackConfig,
    Strength,
    parse_numbers,
    plan,
)
from peernets_tf.evaluation.threat_model import (
    POLICIES,
    ChosenGraphs,
    GraphsConfig,
    choose_graphs,
)
from peernets_tf.evaluation.universal import perturbations_of

if TYPE_CHECKING:
    from peernets_tf.evaluation.run import evaluate, identity, print_report
else:
    __getattr__, __dir__ = lazy.exports(
        __name__, evaluate="run", identity="run", print_report="run"
    )

__all__ = [
    "POLICIES",
    "AttackConfig",
    "ChosenGraphs",
    "EvaluationConfig",
    "GraphsConfig",
    "Strength",
    "backward_passes",
    "check_fits",
    "choose_graphs",
    "default_folder",
    "evaluate",
    "identity",
    "parse_numbers",
    "perturbations_of",
    "plan",
    "print_report",
    "trained_on",
]
