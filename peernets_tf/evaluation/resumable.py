"""What all evaluations share to resume after a kill, and to stay sound."""

from __future__ import annotations

import dataclasses
import functools
import glob
import os
from collections.abc import Callable
from typing import Any

import keras

from peernets_tf import datasets, models, records
from peernets_tf.errors import AttackError
from peernets_tf.evaluation.batch_log import BatchLog
from peernets_tf.evaluation.config import EvaluationConfig
from peernets_tf.evaluation.suite_config import SuiteConfig
from peernets_tf.evaluation.threat_model import describe_graphs

Config = EvaluationConfig | SuiteConfig


def target_identity(
    model: keras.Model, dataset: datasets.Dataset, config: Config
) -> dict[str, Any]:
    """Returns what is attacked, as the JSON values of a run's identity.

    Stored graphs of peers are part of the weights' hash if they are used.
    Drawn graphs are known by their seed: their features, computed anew, may
    differ in the last bit.
    """
    graphs = describe_graphs(model, config.graphs, seed=config.seed)
    seeds = [graphs.defended.seed, graphs.attacker.seed] if graphs else []
    return {
        "model": model.name,
        "weights_sha256": models.weights_sha256(
            model, with_peers=None in seeds
        ),
        "config_sha256": models.config_sha256(model),
        "dataset": dataset.name,
        "dataset_sha256": dataset.sha256,
        "test_size": len(dataset.test.first(config.test_size)),
        "batch_size": config.batch_size,
        "seed": config.seed,
        "threat_model": graphs and dataclasses.asdict(graphs),
        "rejected_as": config.rejected_as,
        "precision": config.precision,
    }


def open_log(
    dataset: datasets.Dataset,
    config: Config,
    identity: dict[str, Any],
    provenance: records.Provenance,
    check: Callable[..., None],
    guard: Callable[[], None],
) -> tuple[BatchLog, records.Provenance]:
    """Claims the folder of an evaluation and opens its log.

    Args:
        dataset: the `Dataset`.
        config: the configuration, whose `output_dir` is locked. Rows are added
            to a file of its shard, and read from those of all shards.
        identity: dict of JSON values, all that the figures depend on.
        provenance: the `records.Provenance` of this start.
        check: `batch_rows.check_row`, or a function with its arguments.
        guard: see `BatchLog`.

    Returns:
        The `BatchLog`, and the `records.Provenance` of the first start.

    Raises:
        UserError: if the folder holds another run, or a log is damaged.
    """
    folder = config.output_dir
    with records.take_turn(folder):
        first_start = records.claim(
            folder, identity, provenance, makes="record.json"
        )
    suffix = f"-{config.shard.name}" if config.shard.name else ""
    log = BatchLog(
        os.path.join(folder, f"batches{suffix}.jsonl"),
        run=records.run_id(folder),
        check=functools.partial(
            check,
            test_size=len(dataset.test.first(config.test_size)),
            batch_size=config.batch_size,
            num_classes=dataset.num_classes + (config.rejected_as is not None),
        ),
        others=os.path.join(glob.escape(folder), "batches*.jsonl"),
        guard=guard,
    )
    return log, first_start


def weights_guard(model: keras.Model) -> tuple[str, Callable[[], None]]:
    """Returns the hash of weights and peers, and a check of the weights.

    The check raises an `AttackError` if the weights have changed since.
    """
    before = models.weights_sha256(model, with_peers=False)

    def check() -> None:
        if models.weights_sha256(model, with_peers=False) != before:
            raise AttackError(
                "the attack must not change the model's weights, but did: the "
                "figures would be of another model"
            )

    return models.weights_sha256(model), check


def transfer_identity(
    transfer_model: keras.Model | None,
) -> dict[str, str | None]:
    """Returns the hashes of the model on which images are made, if any."""
    if transfer_model is None:
        return {"transfer_sha256": None, "transfer_config_sha256": None}
    return {
        "transfer_sha256": models.weights_sha256(transfer_model),
        "transfer_config_sha256": models.config_sha256(transfer_model),
    }
