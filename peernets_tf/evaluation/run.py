"""One evaluation: a model, a data set, an attack, and the record of it all."""

import dataclasses
import functools
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
    models,
    peers,
    records,
)
from peernets_tf.errors import AttackError
from peernets_tf.evaluation import attack_loop, universal
from peernets_tf.evaluation.batch_log import BatchLog
from peernets_tf.evaluation.batch_rows import check_row
from peernets_tf.evaluation.config import (
    EvaluationConfig,
    check_fits,
    check_peers,
    needs_labels,
)
from peernets_tf.evaluation.plan import Strength, plan
from peernets_tf.evaluation.threat_model import (
    ChosenGraphs,
    choose_graphs,
    describe_graphs,
)


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
    first_start = records.claim(
        config.output_dir, identity(model, dataset, config), provenance
    )
    log = BatchLog(
        os.path.join(config.output_dir, "batches.jsonl"),
        run=records.run_id(config.output_dir),
        check=functools.partial(
            check_row,
            test_size=len(dataset.test.first(config.test_size)),
            batch_size=config.batch_size,
            num_classes=dataset.num_classes,
        ),
    )
    weights_sha256 = models.weights_sha256(model)
    target = _target(model, dataset, config, graphs, planned[0][1].targeted)
    print(
        f"Attacking {model.name} on {dataset.name} with {config.attack.name} "
        f"in {config.output_dir}",
        flush=True,
    )
    clean = attack_loop.clean_predictions(target, log, loss=planned[0][1].loss)
    _warn_of_masked_gradients(clean, len(target.test))
    # A function compiled for test batches rounds differently: a perturbation
    # must not depend on their size.
    fit_classifier = attacks.Classifier(target.attacker.logits_fn)
    guides = None
    if graphs and needs_labels(config.attack):
        guides = adaptive.Guides(
            model=model,
            bank=graphs.attacker,
            backward=config.backward,
            temperature=config.temperature,
        )
    cases = []
    for strength, attack in planned:
        if isinstance(attack, attacks.UniversalAttack):
            attack = _fit(attack, strength, fit_classifier, dataset, config)
        if isinstance(attack, adaptive.NeighborGuided):
            attack = dataclasses.replace(attack, guides=guides)
        name = f"{config.attack.name}_{strength.name}"
        cases.append(
            attack_loop.attack_images(
                target, attack, strength, clean, log, name=name
            )
        )
    if models.weights_sha256(model) != weights_sha256:
        raise AttackError(
            "the attack must not change the model's weights, but did: the "
            "figures would be of another model"
        )
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
        cases=tuple(cases),
        provenance=records.with_seconds(first_start, time.monotonic() - start),
    )
    path = os.path.join(config.output_dir, "record.json")
    records.write(record, path)
    return record


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

    Stored graphs of peers are part of the weights' hash if they are used.
    Drawn graphs are known by their seed: their features, computed anew, may
    differ in the last bit.
    """
    graphs = describe_graphs(model, config.graphs, seed=config.seed)
    seeds = [graphs.defended.seed, graphs.attacker.seed] if graphs else []
    attack = config.attack
    train_size = None
    if attack.is_fitted:
        train_size = len(attack.training_images(dataset))
    return {
        "kind": records.AttackRecord.kind,
        "model": model.name,
        "weights_sha256": models.weights_sha256(
            model, with_peers=None in seeds
        ),
        "dataset": dataset.name,
        "dataset_sha256": dataset.sha256,
        "test_size": len(dataset.test.first(config.test_size)),
        "batch_size": config.batch_size,
        "seed": config.seed,
        "threat_model": _threat_model(graphs),
        "backward": config.backward,
        "temperature": config.temperature,
        # As in `_threat_model`.
        **({"ablation": repr(config.ablation)} if config.ablation else {}),
        # With all defaults of this version, and the hash of a file.
        "attacks": [
            {
                "norm": strength.norm,
                "epsilon": strength.epsilon,
                "rho": strength.rho,
                # As in `_threat_model`.
                **({} if strength.clip else {"clip": False}),
                "attack": repr(attack),
            }
            for strength, attack in plan(config.attack, dataset)
        ],
        "train_size": train_size,
    }


def _threat_model(graphs: records.ThreatModel | None) -> dict[str, Any] | None:
    """Returns what an identity says of graphs.

    What later versions can vary is named only if it is, so that the folders of
    earlier ones resume.
    """
    if graphs is None:
        return None
    fields = dataclasses.asdict(graphs)
    return {name: value for name, value in fields.items() if value is not None}


def _target(
    model: keras.Model,
    dataset: datasets.Dataset,
    config: EvaluationConfig,
    graphs: ChosenGraphs | None,
    targeted: bool,
) -> attack_loop.Target:
    """Returns the defended model and the attacker's view of it."""
    defended = peers.monte_carlo(model, graphs.defended if graphs else None)
    attacker = peers.monte_carlo(model, graphs.attacker if graphs else None)
    if graphs and graphs.record.expectation:
        attacker = adaptive.random_graphs(
            model, graphs.attacker, graphs.record.expectation
        )
    return attack_loop.Target(
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
