"""Runs the steps of a suite, and keeps the worst case for each image."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
from numpy.typing import NDArray

from peernets_tf import datasets, records
from peernets_tf.attacks import Attack, checks
from peernets_tf.errors import AttackError
from peernets_tf.evaluation import attack_loop, sharing, suites
from peernets_tf.evaluation.batch_log import BatchLog
from peernets_tf.evaluation.checklist import Evidence, Outcome, checklist
from peernets_tf.evaluation.strength import Strength
from peernets_tf.evaluation.suite_config import SuiteConfig
from peernets_tf.evaluation.suite_step import Step
from peernets_tf.evaluation.suite_views import Views
from peernets_tf.evaluation.target import Target
from peernets_tf.evaluation.threat_model import ChosenGraphs
from peernets_tf.evaluation.worst_case import (
    FOOLED,
    NOT_ATTACKED,
    ROBUST,
    RobustAccuracy,
)
from peernets_tf.types import LogitsFunction


@dataclasses.dataclass(frozen=True, kw_only=True)
class SuiteBatch:
    """A batch of images under one attack of a suite.

    Attributes:
        images: tuple of ints, their places among all images.
        fooled: tuple of ints, the places of those that fooled the model.
        queries: int, images whose logits the attack computed.
    """

    images: tuple[int, ...]
    fooled: tuple[int, ...]
    queries: int


def run_suite(
    model: keras.Model | LogitsFunction,
    test: datasets.Split,
    config: SuiteConfig,
    *,
    graphs: ChosenGraphs | None,
    log: BatchLog,
    transfer_model: keras.Model | LogitsFunction | None = None,
) -> RobustAccuracy:
    """Runs the steps of a suite, each batch of images once; see `BatchLog`.

    Args:
        model: see `robust_accuracy`.
        test: the `Split` of all images.
        config: the `SuiteConfig`; its `test_size` is not read.
        graphs: the `ChosenGraphs`, None for a model without peers.
        log: the `BatchLog` that batches are read from and written to.
        transfer_model: see `robust_accuracy`.

    Returns:
        A `RobustAccuracy`.

    Raises:
        AttackError: see `robust_accuracy`.
        IncompleteError: if batches of other shards are missing in the last
            step. In each one before it, a shard waits for them.
    """
    views = Views(
        model,
        test.first(config.batch_size).images,
        graphs,
        transfer_model,
        config.rejected_as,
    )
    # Before anything is attacked.
    _check_classes(views.num_classes, graphs)
    steps = suites.steps_of(config.suite, views.traits, config.backward)
    if any(step.attack == "square" for step in steps):
        checks.check_channels_last(test.images.shape)
    checks.checked_labels(test.labels, len(test), views.num_classes)
    target = Target(
        defended=views.defended,
        # Another backward pass would hide a gradient that is stopped.
        attacker=views.attacker("exact"),
        test=test,
        num_classes=views.num_classes,
        batch_size=config.batch_size,
        seed=config.seed,
        rejected_as=config.rejected_as,
        shard=config.shard,
    )
    clean = sharing.all_batches(
        target,
        ["clean"],
        log,
        lambda part: attack_loop.clean_predictions(
            part, log, loss="cross_entropy"
        ),
        of="unperturbed images",
        waits=True,
    )
    predictions = np.concatenate([row.predictions for row in clean])
    correct = predictions == test.labels
    robust = correct.copy()
    outcomes: list[Outcome] = []
    cases: list[records.SuiteCase] = []
    for number, step in enumerate(steps, start=1):
        candidates = robust if step.only_survivors else correct
        where = np.flatnonzero(candidates)[: step.limit]
        outcome = _run_step(
            step, config, views, target, where, log, waits=number < len(steps)
        )
        if step.is_counted:
            robust &= ~outcome.fooled
        outcomes.append(outcome)
        cases.append(_case(outcome, int(robust.sum())))
    evidence = Evidence(
        correct=correct,
        outcomes=tuple(outcomes),
        zero_gradients=sum(row.zero_gradients or 0 for row in clean),
        are_probabilities=views.outputs.are_probabilities,
        variation=views.outputs.variation,
    )
    return RobustAccuracy(
        result=records.SuiteResult(
            suite=config.suite,
            norm=config.norm,
            epsilon=config.radius,
            budget=config.budget,
            total=len(test),
            correct=int(correct.sum()),
            robust=int(robust.sum()),
            rejected_as=config.rejected_as,
            clean_rejected=attack_loop.clean_rejected(target, clean),
            cases=tuple(cases),
            checks=checklist(evidence),
        ),
        correct=correct,
        robust=robust,
        outcomes={o.step.name: _values(o) for o in outcomes},
    )


def _check_classes(num_classes: int, graphs: ChosenGraphs | None) -> None:
    """Raises an `AttackError` if no image could be misclassified.

    Or if peers have labels that the model does not know.
    """
    if num_classes < 2:
        raise AttackError(
            "the model must have at least 2 classes, without that of rejected "
            f"images. Received: {num_classes}"
        )
    labels = graphs.attacker.labels if graphs else None
    if labels is not None and labels.max() >= num_classes:
        raise AttackError(
            "`train_labels` must be below the number of the model's classes, "
            f"{num_classes}. Received: the label {labels.max()}"
        )


def _run_step(
    step: Step,
    config: SuiteConfig,
    views: Views,
    target: Target,
    where: NDArray[np.int_],
    log: BatchLog,
    *,
    waits: bool,
) -> Outcome:
    """Attacks the images at the places `where`; see `sharing.all_batches`."""
    shape = target.test.images.shape[1:]
    epsilon = step.radius(config.norm, config.radius, shape)
    strength = Strength(norm=config.norm, epsilon=epsilon)
    may_stop = views.may_stop(step)
    attack = step.make(
        config.norm,
        epsilon,
        budget=config.budget,
        num_classes=target.num_classes,
        may_stop=may_stop,
        is_random=views.is_random(step),
    )
    attack = views.with_guides(attack, step)
    rows: list[SuiteBatch] = []
    if len(where):
        part = dataclasses.replace(
            target,
            attacker=views.attacker_of(step),
            test=datasets.Split(
                images=target.test.images[where],
                labels=target.test.labels[where],
            ),
            # More restarts are more only from other starts.
            attempt=int(step.role == suites.MORE),
        )
        rows = sharing.all_batches(
            part,
            [step.name],
            log,
            lambda part: _attack(part, step.name, attack, strength, where, log),
            of=step.name,
            waits=waits,
        )
    fooled = np.zeros(len(target.test), bool)
    fooled[[i for row in rows for i in row.fooled]] = True
    attacked = np.zeros_like(fooled)
    attacked[where] = True
    return Outcome(
        step=step,
        attack=repr(attack),
        epsilon=epsilon,
        attacked=attacked,
        fooled=fooled,
        queries=sum(row.queries for row in rows),
        stops_early=attack.always_stops and not may_stop,
    )


def _attack(
    target: Target,
    name: str,
    attack: Attack,
    strength: Strength,
    where: NDArray[np.int_],
    log: BatchLog,
) -> list[SuiteBatch]:
    """Attacks the images of a target, which are those at `where` of all."""
    rows: list[SuiteBatch] = []
    with target.bar(name) as bar:
        for number, batch in target.batches():
            start = number * target.batch_size
            images = where[start : start + len(batch)]
            key = f"{name}/{number}"
            row = log.get(key, SuiteBatch)
            if row is None:
                found = target.perturb(attack, strength, number, batch)
                is_fooled = found.predictions != batch.labels
                row = SuiteBatch(
                    images=tuple(images.tolist()),
                    fooled=tuple(images[is_fooled].tolist()),
                    queries=found.queries,
                )
                log.add(key, row)
                bar.add(len(batch), len(row.fooled))
            elif row.images != tuple(images.tolist()):
                raise log.damaged(
                    key, "is of other images than those left to attack"
                )
            else:
                bar.resume(len(batch), len(row.fooled))
            rows.append(row)
    return rows


def _case(outcome: Outcome, robust: int) -> records.SuiteCase:
    step = outcome.step
    return records.SuiteCase(
        name=step.name,
        attack=outcome.attack,
        access=step.access,
        backward=step.backward,
        epsilon=outcome.epsilon,
        is_counted=step.is_counted,
        attacked=int(outcome.attacked.sum()),
        fooled=int(outcome.fooled.sum()),
        robust=robust,
        queries=outcome.queries,
    )


def _values(outcome: Outcome) -> NDArray[np.int8]:
    values = np.where(outcome.fooled, FOOLED, ROBUST)
    return np.where(outcome.attacked, values, NOT_ATTACKED).astype(np.int8)
