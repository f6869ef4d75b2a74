"""Attacks a model's test images at each strength of an evaluation."""

import dataclasses
import os
import sys
from collections.abc import Sequence

from peernets_tf import adaptive, attacks, datasets, records
from peernets_tf.evaluation import attack_loop, universal
from peernets_tf.evaluation.batch_log import BatchLog
from peernets_tf.evaluation.config import EvaluationConfig, needs_components
from peernets_tf.evaluation.strength import Strength
from peernets_tf.evaluation.target import Target

Plan = Sequence[tuple[Strength, attacks.Attack]]


def attack_cases(
    target: Target,
    dataset: datasets.Dataset,
    config: EvaluationConfig,
    planned: Plan,
    guides: adaptive.Guides | None,
    log: BatchLog,
) -> tuple[records.AttackCase, ...]:
    """Attacks the target's batches at each strength.

    Args:
        target: the `Target`.
        dataset: the `Dataset`, to whose training images a universal
            perturbation is fitted.
        config: the `EvaluationConfig`.
        planned: sequence of each `Strength` with its attack, from `plan`.
        guides: the `adaptive.Guides` of an attack that needs them, or None.
        log: the `BatchLog` that batches are read from and written to.

    Returns:
        An `AttackCase` for each strength; none if the target's batches are not
        all batches.

    Raises:
        AttackError: see `attack_loop.attack_batches`.
    """
    follows_gradient = config.attack.attack_type.follows_gradient
    loss = planned[0][1].loss if follows_gradient else None
    clean = attack_loop.clean_predictions(target, log, loss=loss)
    if target.shard.is_whole:
        _warn_of_masked_gradients(clean)
    # A function compiled for test batches rounds differently: a perturbation
    # must not depend on their size.
    fit_classifier = attacks.Classifier(target.attacker.logits_fn)
    components = None
    if needs_components(config.attack):
        images = config.attack.training_images(dataset).images
        components = attacks.principal_components(
            images, config.attack.options["num_components"]
        )
    cases = []
    for strength, attack in planned:
        if isinstance(attack, attacks.UniversalAttack):
            attack = _fit(attack, strength, fit_classifier, dataset, config)
        if isinstance(attack, adaptive.NeighborGuided):
            attack = dataclasses.replace(attack, guides=guides)
        if isinstance(attack, attacks.FiniteDifference):
            attack = dataclasses.replace(attack, components=components)
        name = _row_name(config, strength)
        if target.shard.is_whole:
            cases.append(
                attack_loop.attack_images(
                    target, attack, strength, clean, log, name=name
                )
            )
        else:
            attack_loop.attack_batches(
                target, attack, strength, clean, log, name=name
            )
    return tuple(cases)


def row_names(config: EvaluationConfig, planned: Plan) -> tuple[str, ...]:
    """Returns what `attack_cases` stores the rows of a batch under."""
    return ("clean", *(_row_name(config, strength) for strength, _ in planned))


def _row_name(config: EvaluationConfig, strength: Strength) -> str:
    """Returns what the rows of a strength are stored under."""
    return f"{config.attack.name}_{strength.name}"


def _fit(
    attack: attacks.UniversalAttack,
    strength: Strength,
    classifier: attacks.Classifier,
    dataset: datasets.Dataset,
    config: EvaluationConfig,
) -> attacks.FixedPerturbation:
    """Fits a universal perturbation, which the folder keeps.

    One shard fits it. The others wait, and go on if that one is killed.
    """
    folder = config.output_dir
    with records.take_turn(folder):
        return universal.fit(
            attack,
            classifier,
            config.attack.training_images(dataset).images,
            path=os.path.join(folder, f"perturbation_{strength.name}"),
            run=records.run_id(folder),
            seed=config.seed,
        )


def _warn_of_masked_gradients(
    clean: Sequence[attack_loop.CleanBatch],
) -> None:
    masked = sum(row.zero_gradients or 0 for row in clean)
    total = sum(len(row.predictions) for row in clean)
    if masked:
        print(
            f"warning: at {masked} of {total} images the gradient that the "
            "attack follows is exactly zero: gradients are "
            "masked, and the figures below say little about robustness",
            file=sys.stderr,
            flush=True,
        )
