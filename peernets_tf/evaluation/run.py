"""One evaluation: a model, a data set, an attack, and the record of it all."""

import time
from typing import Any

import keras

from peernets_tf import (
    adaptive,
    attacks,
    datasets,
    peers,
    records,
)
from peernets_tf.evaluation import sharing
from peernets_tf.evaluation.attack_cases import (
    Plan,
    attack_cases,
    row_names,
)
from peernets_tf.evaluation.batch_rows import check_row
from peernets_tf.evaluation.config import (
    EvaluationConfig,
    check_fits,
    check_peers,
    check_rejection,
    check_transfer_model,
    needs_components,
    needs_labels,
)
from peernets_tf.evaluation.plan import plan
from peernets_tf.evaluation.resumable import (
    open_log,
    target_identity,
    transfer_identity,
    weights_guard,
)
from peernets_tf.evaluation.target import Target
from peernets_tf.evaluation.threat_model import (
    ChosenGraphs,
    attackers_view,
    choose_graphs,
    padded_size,
)


def evaluate(
    model: keras.Model,
    dataset: datasets.Dataset,
    config: EvaluationConfig,
    *,
    checkpoint: str,
    provenance: records.Provenance,
    transfer_model: keras.Model | None = None,
) -> records.AttackRecord:
    """Attacks the test images and writes the record.

    An evaluation that was interrupted resumes after its last whole batch, if
    the folder `config.output_dir` holds the same one (see `identity`).

    Args:
        model: a Keras model from images in [0, 1] to logits; not changed.
        dataset: the `Dataset`.
        config: the `EvaluationConfig`.
        checkpoint: str, the file or preset that the model was loaded from.
        provenance: the `records.Provenance` of this start.
        transfer_model: the model of `config.transfer_from`, None without it.

    Returns:
        The `records.AttackRecord` that is in record.json.

    Raises:
        UserError: if the configuration does not fit the model or the data set,
            or the folder holds another run.
        AttackError: if the evaluation would be meaningless.
        IncompleteError: if batches of other shards are missing.
    """
    start = time.monotonic()
    check_rejection(model, dataset, config.rejected_as)
    check_fits(model, dataset, config.rejected_as)
    check_transfer_model(transfer_model, dataset, config)
    check_peers(model, config, transfer_model)
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
        if graphs and not config.attack.attack_type.follows_gradient:
            graphs = graphs.known()
        guides = _guides(model, config, planned, graphs)
        with records.lock_folder(config.output_dir, config.shard.name):
            weights_sha256, guard = weights_guard(model)
            log, first_start = open_log(
                dataset,
                config,
                identity(model, dataset, config, transfer_model),
                provenance,
                check_row,
                guard,
            )
            target = _target(
                model,
                dataset,
                config,
                graphs,
                transfer_model,
                targeted=planned[0][1].targeted,
            )
            print(
                f"Attacking {model.name} on {dataset.name} with "
                f"{config.attack.name} in {config.output_dir}",
                flush=True,
            )
            cases = sharing.all_batches(
                target,
                row_names(config, planned),
                log,
                lambda part: attack_cases(
                    part, dataset, config, planned, guides, log
                ),
                of=config.output_dir,
                waits=False,
            )
            record = records.AttackRecord(
                model=model.name,
                checkpoint=checkpoint,
                weights_sha256=weights_sha256,
                precision=config.precision,
                dataset=dataset.name,
                test_size=len(target.test),
                attack=config.attack.name,
                is_universal=config.attack.attack_type.is_universal,
                follows_gradient=config.attack.attack_type.follows_gradient,
                backward=config.backward,
                rejected_as=config.rejected_as,
                ablation=config.ablation.name,
                num_neighbors=config.ablation.num_neighbors,
                threat_model=graphs.record if graphs else None,
                transfer_from=config.transfer_from,
                cases=cases,
                provenance=records.with_seconds(
                    first_start, time.monotonic() - start
                ),
            )
            return sharing.write_once(
                record, config.output_dir, config.shard, log
            )


def _guides(
    model: keras.Model,
    config: EvaluationConfig,
    planned: Plan,
    graphs: ChosenGraphs | None,
) -> adaptive.Guides | None:
    """Returns the peers that an attack pulls pixels towards, if it does."""
    if graphs is None or not needs_labels(config.attack):
        return None
    guides = adaptive.Guides(
        model=model,
        bank=graphs.attacker,
        backward=config.backward,
        temperature=config.temperature,
    )
    for _, attack in planned:
        assert isinstance(attack, adaptive.NeighborGuided)
        guides.check_count(attack.guides_per_pixel)
    return guides


def identity(
    model: keras.Model,
    dataset: datasets.Dataset,
    config: EvaluationConfig,
    transfer_model: keras.Model | None = None,
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
        "ablation": repr(config.ablation),
        **transfer_identity(transfer_model),
        # With all defaults of this version, and the hash of a file.
        "attacks": [
            {
                "norm": strength.norm,
                "epsilon": strength.epsilon,
                "rho": strength.rho,
                "clip": strength.clip,
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
    transfer_model: keras.Model | None,
    *,
    targeted: bool,
) -> Target:
    """Returns the defended model and the attacker's view of it, or of another.

    Another model attacks through its stored graphs, and rejects nothing.
    """
    defended = peers.monte_carlo(model, graphs.defended if graphs else None)
    if transfer_model is None:
        attacker = attackers_view(model, graphs)
    else:
        attacker = peers.monte_carlo(transfer_model)
    attacker = adaptive.bpda(attacker, config.backward, config.temperature)
    if config.rejected_as == "right" and transfer_model is None:
        attacker = attacks.Rejecting(attacker)
    test = dataset.test.first(config.test_size)
    batch_size = min(config.batch_size, len(test))
    return Target(
        defended=attacks.Classifier(
            defended, batch_size=padded_size(model, batch_size)
        ),
        attacker=attacks.Classifier(
            attacker,
            batch_size=padded_size(transfer_model or model, batch_size),
        ),
        test=test,
        num_classes=dataset.num_classes,
        batch_size=config.batch_size,
        seed=config.seed,
        targeted=targeted,
        rejected_as=config.rejected_as,
        shard=config.shard,
    )
