"""One evaluation by a suite of attacks, and the record of it."""

from __future__ import annotations

import time
from typing import Any

import keras

from peernets_tf import datasets, records
from peernets_tf.evaluation import sharing
from peernets_tf.evaluation.batch_rows import check_suite_row
from peernets_tf.evaluation.config import (
    check_fits,
    check_graphs,
    check_rejection,
    check_transfer_model,
)
from peernets_tf.evaluation.resumable import (
    open_log,
    target_identity,
    transfer_identity,
    weights_guard,
)
from peernets_tf.evaluation.suite_config import SuiteConfig
from peernets_tf.evaluation.suite_loop import run_suite
from peernets_tf.evaluation.suites import SUITES
from peernets_tf.evaluation.threat_model import choose_graphs


def evaluate_suite(
    model: keras.Model,
    dataset: datasets.Dataset,
    config: SuiteConfig,
    *,
    checkpoint: str,
    provenance: records.Provenance,
    transfer_model: keras.Model | None = None,
) -> records.SuiteRecord:
    """Attacks the test images with a suite and writes the record.

    An evaluation that was interrupted resumes after its last whole batch, if
    the folder `config.output_dir` holds the same one (see `suite_identity`).

    Args:
        model: a Keras model from images in [0, 1] to logits; not changed.
        dataset: the `Dataset`.
        config: the `SuiteConfig`.
        checkpoint: str, the file or preset that the model was loaded from.
        provenance: the `records.Provenance` of this start.
        transfer_model: the model of `config.transfer_from`, None without it.

    Returns:
        The `records.SuiteRecord` that is in record.json.

    Raises:
        UserError: if the configuration does not fit the model or the data set,
            or the folder holds another run.
        AttackError: if the evaluation would be meaningless.
        IncompleteError: if batches of other shards are missing in the last
            attack of the suite. In each one before it, a shard waits for them.
    """
    start = time.monotonic()
    check_rejection(model, dataset, config.rejected_as)
    check_fits(model, dataset, config.rejected_as)
    check_transfer_model(transfer_model, dataset, config)
    check_graphs(model, config.graphs, config.backward, seed=config.seed)
    # Encodes the peers before anything is written, since they may not fit.
    graphs = choose_graphs(
        model,
        dataset.train.images,
        config.graphs,
        seed=config.seed,
        labels=dataset.train.labels,
    )
    test = dataset.test.first(config.test_size)
    weights_sha256, guard = weights_guard(model)
    with records.lock_folder(config.output_dir, config.shard.name):
        log, first_start = open_log(
            dataset,
            config,
            suite_identity(model, dataset, config, transfer_model),
            provenance,
            check_suite_row,
            guard,
        )
        print(
            f"Attacking {model.name} on {dataset.name} with the suite "
            f"{config.suite} in {config.output_dir}",
            flush=True,
        )
        found = run_suite(
            model,
            test,
            config,
            graphs=graphs,
            log=log,
            transfer_model=transfer_model,
        )
        seconds = time.monotonic() - start
        record = records.SuiteRecord(
            model=model.name,
            checkpoint=checkpoint,
            weights_sha256=weights_sha256,
            precision=config.precision,
            dataset=dataset.name,
            test_size=len(test),
            threat_model=graphs.record if graphs else None,
            transfer_from=config.transfer_from,
            result=found.result,
            provenance=records.with_seconds(first_start, seconds),
        )
        return sharing.write_once(record, config.output_dir, config.shard, log)


def suite_identity(
    model: keras.Model,
    dataset: datasets.Dataset,
    config: SuiteConfig,
    transfer_model: keras.Model | None = None,
) -> dict[str, Any]:
    """Returns all that the figures of a suite depend on, as JSON values."""
    return {
        "kind": records.SuiteRecord.kind,
        **target_identity(model, dataset, config),
        "suite": config.suite,
        "budget": config.budget,
        "backward": config.backward,
        **transfer_identity(transfer_model),
        # With all defaults of this version.
        "steps": [
            {
                "name": step.name,
                "backward": step.backward,
                "only_survivors": step.only_survivors,
                "epsilon": step.epsilon,
                "attack": repr(
                    step.make(
                        config.norm,
                        config.radius,
                        budget=config.budget,
                        num_classes=dataset.num_classes,
                        may_stop=False,
                        is_random=True,
                    )
                ),
            }
            for step in SUITES[config.suite]
        ],
    }
