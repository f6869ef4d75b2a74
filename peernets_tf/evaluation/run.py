"""One evaluation: a model, a data set, an attack, and the record of it all."""

import dataclasses
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

import keras

from peernets_tf import (
    adaptive,
    attacks,
    datasets,
    peers,
    records,
)
from peernets_tf.evaluation import attack_loop, universal
from peernets_tf.evaluation.batch_log import BatchLog
from peernets_tf.evaluation.batch_rows import check_row
from peernets_tf.evaluation.config import (
    EvaluationConfig,
    check_fits,
    check_peers,
    needs_components,
    needs_labels,
)
from peernets_tf.evaluation.plan import Strength, plan
from peernets_tf.evaluation.resumable import (
    open_log,
    target_identity,
    unchanged_weights,
)
from peernets_tf.evaluation.target import Target
from peernets_tf.evaluation.threat_model import ChosenGraphs, choose_graphs


def evaluate(
    model: keras.Model,
    dataset: datasets.Dataset,
    config: EvaluationConfig,
    *,
    checkpoint: str,
    provenance: records.Provenance,
) -> records.AttackRecord:
    """Attacks the test images, writes the record and prints its table.

    An evaluation that was interrupted resumes after its last whole batch, if
    the folder `config.output_dir` holds the same one (see `identity`).

    Args:
        model: a Keras model from images in [0, 1] to logits; not changed.
        dataset: the `Dataset`.
        config: the `EvaluationConfig`.
        checkpoint: str, the file or preset that the model was loaded from.
        provenance: the `records.Provenance` of this start.

    Returns:
        The `records.AttackRecord` that is in record.json.

    Raises:
        UserError: if the configuration does not fit the model or the data set,
            or the folder holds another run.
        AttackError: if the figures would mean nothing.
    """
    start = time.monotonic()
    check_fits(model, dataset)
    check_peers(model, config)
    planned = plan(config.attack, dataset)
    labels = dataset.train.labels if needs_labels(config.attack) else None
    with adaptive.ablated(model, config.ablation):
        # Encodes the peers before anything is written, since they may not fit.
        graphs = choose_graphs(
            model,
            dataset.train.images,
            config.graphs,
            seed=config.seed,
            labels=labels,
        )
        with records.lock_folder(config.output_dir):
            return _evaluate(
                model,
                dataset,
                config,
                planned,
                graphs,
                checkpoint,
                provenance,
                start,
            )


def _evaluate(
    model: keras.Model,
    dataset: datasets.Dataset,
    config: EvaluationConfig,
    planned: Sequence[tuple[Strength, attacks.Attack]],
    graphs: ChosenGraphs | None,
    checkpoint: str,
    provenance: records.Provenance,
    start: float,
) -> records.AttackRecord:
    """Attacks, writes the record and prints it; the folder is locked."""
    log, first_start = open_log(
        dataset,
        config,
        identity(model, dataset, config),
        provenance,
        check_row,
    )
    target = _target(model, dataset, config, graphs, planned[0][1].targeted)
    guides = None
    if graphs and needs_labels(config.attack):
        guides = adaptive.Guides(
            model=model,
            bank=graphs.attacker,
            backward=config.backward,
            temperature=config.temperature,
        )
    print(
        f"Attacking {model.name} on {dataset.name} with {config.attack.name} "
        f"in {config.output_dir}",
        flush=True,
    )
    with unchanged_weights(model) as weights_sha256:
        cases = _attack(target, dataset, config, planned, guides, log)
    record = records.AttackRecord(
        model=model.name,
        checkpoint=checkpoint,
        weights_sha256=weights_sha256,
        dataset=dataset.name,
        test_size=len(target.test),
        attack=config.attack.name,
        is_universal=config.attack.attack_type.is_universal,
        follows_gradient=config.attack.attack_type.follows_gradient,
        backward=config.backward,
        ablation=config.ablation.name,
        num_neighbors=config.ablation.num_neighbors,
        threat_model=graphs.record if graphs else None,
        cases=cases,
        provenance=records.with_seconds(first_start, time.monotonic() - start),
    )
    path = os.path.join(config.output_dir, "record.json")
    records.write(record, path)
    return record


def _attack(
    target: Target,
    dataset: datasets.Dataset,
    config: EvaluationConfig,
    planned: Sequence[tuple[Strength, attacks.Attack]],
    guides: adaptive.Guides | None,
    log: BatchLog,
) -> tuple[records.AttackCase, ...]:
    """Attacks the test images at each strength."""
    follows_gradient = config.attack.attack_type.follows_gradient
    loss = planned[0][1].loss if follows_gradient else None
    clean = attack_loop.clean_predictions(target, log, loss=loss)
    _warn_of_masked_gradients(clean, len(target.test))
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
        name = f"{config.attack.name}_{strength.name}"
        cases.append(
            attack_loop.attack_images(
                target, attack, strength, clean, log, name=name
            )
        )
    return tuple(cases)


def print_report(folders: Sequence[str]) -> None:
    """Prints the evaluations of one model, one for each backward pass.

    Args:
        folders: sequence of str, the `output_dir` of each evaluation.
    """
    paths = [os.path.join(folder, "record.json") for folder in folders]
    print(records.report(paths), flush=True)
    if len(paths) > 1:
        print(
            "\nThe exact gradient of a PeerNet is masked: judge the model by "
            "the lower accuracy of the two, not by the exact row alone.",
            flush=True,
        )


def identity(
    model: keras.Model, dataset: datasets.Dataset, config: EvaluationConfig
) -> dict[str, Any]:
    """Returns all that the figures of an evaluation depend on, as JSON values.

    See `target_identity`.
    """
    attack = config.attack
    train_size = None
    if attack.is_fitted or needs_components(attack):
        train_size = len(attack.training_images(dataset))
    return {
        "kind": records.AttackRecord.kind,
        **target_identity(model, dataset, config),
        "backward": config.backward,
        "temperature": config.temperature,
        # As in `resumable.target_identity`.
        **({"ablation": repr(config.ablation)} if config.ablation else {}),
        # With all defaults of this version, and the hash of a file.
        "attacks": [
            {
                "norm": strength.norm,
                "epsilon": strength.epsilon,
                "rho": strength.rho,
                # As in `resumable.target_identity`.
                **({} if strength.clip else {"clip": False}),
                "attack": repr(attack),
            }
            for strength, attack in plan(config.attack, dataset)
        ],
        "train_size": train_size,
    }


def _target(
    model: keras.Model,
    dataset: datasets.Dataset,
    config: EvaluationConfig,
    graphs: ChosenGraphs | None,
    targeted: bool,
) -> Target:
    """Returns the defended model and the attacker's view of it."""
    defended = peers.monte_carlo(model, graphs.defended if graphs else None)
    attacker = peers.monte_carlo(model, graphs.attacker if graphs else None)
    if graphs and graphs.record.expectation:
        attacker = adaptive.random_graphs(
            model, graphs.attacker, graphs.record.expectation
        )
    return Target(
        defended=attacks.Classifier(defended),
        attacker=attacks.Classifier(
            adaptive.bpda(attacker, config.backward, config.temperature)
        ),
        test=dataset.test.first(config.test_size),
        num_classes=dataset.num_classes,
        batch_size=config.batch_size,
        seed=config.seed,
        targeted=targeted,
    )


def _fit(
    attack: attacks.UniversalAttack,
    strength: Strength,
    classifier: attacks.Classifier,
    dataset: datasets.Dataset,
    config: EvaluationConfig,
) -> attacks.FixedPerturbation:
    """Fits a universal perturbation, which the folder keeps."""
    return universal.fit(
        attack,
        classifier,
        config.attack.training_images(dataset).images,
        path=os.path.join(config.output_dir, f"perturbation_{strength.name}"),
        run=records.run_id(config.output_dir),
        seed=config.seed,
    )


def _warn_of_masked_gradients(
    clean: Sequence[attack_loop.CleanBatch], total: int
) -> None:
    masked = sum(row.zero_gradients or 0 for row in clean)
    if masked:
        print(
            f"warning: at {masked} of {total} images the gradient that the "
            "attack follows is exactly zero: gradients are "
            "masked, and the figures below say little about robustness",
            file=sys.stderr,
            flush=True,
        )
