"""Runs one evaluation in a few lines."""

import sample_records

from peernets_tf import evaluation
from peernets_tf.evaluation import AttackConfig, EvaluationConfig

PGD = AttackConfig(name="pgd", epsilons=(0.1, 0.6), options={"steps": 4})


def evaluate(model, dataset, folder, attack=PGD, **config):
    config = EvaluationConfig(
        attack=attack, output_dir=str(folder), **{"batch_size": 12, **config}
    )
    return evaluation.evaluate(
        model,
        dataset,
        config,
        checkpoint="model.keras",
        provenance=sample_records.make_provenance(seconds=None),
    )
