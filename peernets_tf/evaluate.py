"""Attacks a model on test images: `python -m peernets_tf.evaluate`.

    python -m peernets_tf.evaluate --checkpoint=cifar10_pr_resnet32 --attack=pgd
    python -m peernets_tf.evaluate --checkpoint=model.keras --suite=autoattack

Prints and records the accuracy before and after the attack. To attack a model
of your own, give --checkpoint=model.keras and --dataset=data.npz. The model
must take images in [0, 1] and return logits. Run the same command again to
resume an interrupted evaluation after its last complete batch.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import sys
from collections.abc import Iterator
from typing import Any

from absl import flags

from peernets_tf import (
    attacks,
    datasets,
    evaluation,
    lazy,
    models,
    quiet,
    records,
)
from peernets_tf.cli import (
    app,
    attack_flags,
    graph_flags,
    layer_flags,
    shared_flags,
    sharing_flags,
    suite_flags,
    workers,
)
from peernets_tf.errors import IncompleteError
from peernets_tf.lazy import keras

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    None,
    "Model to attack: a .keras file or the name of a published model: "
    f"{', '.join(models.preset_names())} (required).",
    required=True,
)
_ATTACK_FLAGS = attack_flags.AttackFlags()
_SUITE_FLAGS = suite_flags.SuiteFlags()
_DATASET = shared_flags.define_dataset(
    None, "the one that the checkpoint's record names"
)
_DATA_DIR = shared_flags.define_data_dir()
_SEED = shared_flags.define_seed()
_TEST_SIZE = flags.DEFINE_integer(
    "test_size",
    None,
    "Number of test images to attack, the first ones (default: all).",
    1,
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 100, "Test images per batch (default: 100).", 1
)
_PRECISION = flags.DEFINE_enum(
    "precision",
    None,
    models.PRECISIONS,
    "Precision of the attacked model, in predictions and attacks. "
    "mixed_bfloat16: layers compute in bfloat16, but the last one and the "
    "neighbour search in float32 (default: as the model was saved).",
)
_REJECTED_AS = flags.DEFINE_enum(
    "rejected_as",
    None,
    attacks.REJECTED_AS,
    "What a rejected adversarial image counts as, for a model whose last logit "
    "is that of rejection, such as MagNet. wrong: an untargeted attack "
    "succeeds if the image is rejected. right: it succeeds only if the image "
    "is accepted and misclassified. A rejected unperturbed image counts as "
    "wrong (default: none, for a model without rejection).",
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir",
    None,
    "Folder for record.json and for the batches from which an interrupted "
    "evaluation resumes. Without --backward it holds the folders exact and "
    "identity if the attack runs twice (default: a folder in runs/attacks, "
    "named after checkpoint, attack, backward pass and graphs).",
)
_LAYER_FLAGS = layer_flags.LayerFlags()
_GRAPH_FLAGS = graph_flags.GraphFlags()
_SHARING_FLAGS = sharing_flags.SharingFlags()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """The model and test images to attack, and the attack.

    Attributes:
        checkpoint: str, a .keras file or the name of a preset.
        dataset: str, a data set's name.
        data_dir: str or None, the folder of TensorFlow Datasets.
        backward: str or None, the backward pass that the attack follows; None
            for all by which the model should be judged.
        output_dir: str or None, the folder of the results; None for a folder
            named after what is evaluated.
        workers: int, the processes of this machine that share the batches.
        is_worker: bool, whether this is one of them.
        evaluation: the `EvaluationConfig` of the exact backward pass, or of the
            chosen one; or the `SuiteConfig`.

    Raises:
        DataError: if there is no such data set.
    """

    checkpoint: str
    dataset: str
    data_dir: str | None
    backward: str | None
    output_dir: str | None
    workers: int
    is_worker: bool
    evaluation: evaluation.EvaluationConfig | evaluation.SuiteConfig

    def __post_init__(self) -> None:
        datasets.check_name(self.dataset)


def _parse(arguments: list[str]) -> Config:
    app.refuse_arguments(arguments)
    shared_flags.check_model(_CHECKPOINT.value, "--checkpoint")
    return Config(
        checkpoint=_CHECKPOINT.value,
        dataset=_DATASET.value
        or evaluation.trained_on(models.preset_path(_CHECKPOINT.value)),
        data_dir=_DATA_DIR.value,
        backward=_LAYER_FLAGS.backward,
        output_dir=_OUTPUT_DIR.value,
        workers=_SHARING_FLAGS.workers,
        is_worker=_SHARING_FLAGS.is_worker,
        evaluation=_parse_evaluation(
            graphs=_GRAPH_FLAGS.graphs(),
            backward=_LAYER_FLAGS.backward or "exact",
            test_size=_TEST_SIZE.value,
            batch_size=_BATCH_SIZE.value,
            seed=_SEED.value,
            rejected_as=_REJECTED_AS.value,
            precision=_PRECISION.value,
            transfer_from=_SUITE_FLAGS.transfer_from,
            shard=_SHARING_FLAGS.shard(),
            output_dir=_OUTPUT_DIR.value or "",
        ),
    )


def _parse_evaluation(
    **config: Any,
) -> evaluation.EvaluationConfig | evaluation.SuiteConfig:
    """Returns the evaluation by one attack, or by a suite.

    Args:
        **config: the fields that both have.
    """
    suite = _SUITE_FLAGS.suite(_ATTACK_FLAGS, **config)
    if suite is None:
        return evaluation.EvaluationConfig(
            attack=_ATTACK_FLAGS.attack(),
            temperature=_LAYER_FLAGS.temperature,
            ablation=_LAYER_FLAGS.ablation(_SEED.value),
            **config,
        )
    _LAYER_FLAGS.check_suite()
    return suite


def _needs_keras(config: Config) -> bool:
    return config.workers == 1 or config.is_worker


def _run(config: Config, provenance: records.Provenance | None) -> None:
    if not _needs_keras(config):
        workers.run("peernets_tf.evaluate", sys.argv[1:], config.workers)
        evaluation.print_report(_folders_of_workers(config))
        return
    assert provenance is not None
    if config.is_worker:
        # The command that started the workers has no --shard.
        command = re.sub(r" --shard[= ]\S+", "", provenance.command)
        provenance = dataclasses.replace(
            provenance,
            command=command,
            flags={**provenance.flags, "shard": None},
        )
    model = _load(config)
    dataset = datasets.load(config.dataset, config.data_dir)
    if isinstance(config.evaluation, evaluation.SuiteConfig):
        _run_suite(config, config.evaluation, model, dataset, provenance)
        return
    source = _load_transfer(config)
    planned = _evaluations(config, config.evaluation, source or model)
    for each in planned:
        with _shard_may_end(config):
            evaluation.evaluate(
                model,
                dataset,
                each,
                checkpoint=config.checkpoint,
                provenance=provenance,
                transfer_model=source,
            )
    if config.is_worker:
        return
    folders = [each.output_dir for each in planned]
    # One backward pass alone could flatter the model.
    if all(os.path.exists(_record_path(folder)) for folder in folders):
        evaluation.print_report(folders)


def _load(config: Config) -> keras.Model:
    path = models.preset_path(config.checkpoint)
    return models.load(path, config.evaluation.precision)


def _load_transfer(config: Config) -> keras.Model | None:
    name = config.evaluation.transfer_from
    return None if name is None else models.load(models.preset_path(name))


def _run_suite(
    config: Config,
    suite: evaluation.SuiteConfig,
    model: keras.Model,
    dataset: datasets.Dataset,
    provenance: records.Provenance,
) -> None:
    folder = _folder(config, suite)
    with _shard_may_end(config):
        evaluation.evaluate_suite(
            model,
            dataset,
            dataclasses.replace(suite, output_dir=folder),
            checkpoint=config.checkpoint,
            provenance=provenance,
            transfer_model=_load_transfer(config),
        )
        if not config.is_worker:
            evaluation.print_report([folder])


@contextlib.contextmanager
def _shard_may_end(config: Config) -> Iterator[None]:
    """Prints what to do next if batches of other shards are missing.

    A worker prints nothing: the command that started it waits for the others.
    """
    try:
        yield
    except IncompleteError as error:
        if not config.is_worker:
            print(error, flush=True)


def _folders_of_workers(config: Config) -> list[str]:
    """Returns the folders of the records that the workers have written."""
    if isinstance(config.evaluation, evaluation.SuiteConfig):
        return [_folder(config, config.evaluation)]
    with quiet.starting_tensorflow():
        # Keras loads a PeerNet only after its layers were imported.
        lazy.import_layers()
        source = _load_transfer(config) or _load(config)
    planned = _evaluations(config, config.evaluation, source)
    return [each.output_dir for each in planned]


def _folder(
    config: Config, chosen: evaluation.EvaluationConfig | evaluation.SuiteConfig
) -> str:
    return config.output_dir or evaluation.default_folder(
        config.checkpoint, chosen
    )


def _record_path(folder: str) -> str:
    return os.path.join(folder, "record.json")


def _evaluations(
    config: Config, chosen: evaluation.EvaluationConfig, model: keras.Model
) -> list[evaluation.EvaluationConfig]:
    """Returns the evaluation with each backward pass, in folders of their own.

    Without --backward, a PeerNet is never judged by its exact gradient alone.
    """
    backwards = evaluation.backward_passes(
        model, chosen.attack, config.backward
    )
    planned = []
    for backward in backwards:
        each = dataclasses.replace(chosen, backward=backward)
        folder = _folder(config, each)
        if config.output_dir is not None and len(backwards) > 1:
            folder = os.path.join(folder, backward)
        planned.append(dataclasses.replace(each, output_dir=folder))
    return planned


COMMAND = app.Command(
    module="peernets_tf.evaluate",
    parse=_parse,
    run=_run,
    needs_keras=_needs_keras,
)


def main() -> None:
    """Runs the command."""
    app.main(COMMAND)


if __name__ == "__main__":
    main()
