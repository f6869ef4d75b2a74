"""The challenge's attack, given to `peernets_tf.evaluation`."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import sys
from typing import TYPE_CHECKING

from madry_challenge import data
from madry_challenge.config import Config, attack_of
from peernets_tf import datasets, evaluation, models, records
from peernets_tf.errors import AttackError, UserError
from peernets_tf.lazy import keras, module

if TYPE_CHECKING:
    from madry_challenge import saved_models
else:
    saved_models = module("madry_challenge.saved_models")


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """The evaluation of a model, or of each new model in a folder.

    Attributes:
        checkpoint: str, a .keras file, the name of a preset, or the folder of a
            training, whose newest model is evaluated.
        settings: the `Config`: the attack, `num_eval_examples`,
            `eval_batch_size` and `tf_random_seed`.
        graphs: the `peernets_tf.evaluation.GraphsConfig` of a PeerNet.
        backward: str or None, the backward pass of PeerRegularization layers
            that the attack follows, see `peernets_tf.adaptive.bpda`; None for
            all by which the model should be judged.
        output_dir: str, the folder that gets a folder for each evaluation.
        watch_seconds: float or None. If given, the newest model is evaluated
            whenever there is a newer one, with this time between two looks at
            the folder; until that is the trained one.
        dataset: str, see `peernets_tf.datasets.load`.
        data_dir: str or None, the TensorFlow Datasets directory.

    Raises:
        UserError: if there is no such model, data set or attack, or a file is
            to be watched.
    """

    checkpoint: str
    settings: Config = Config()
    graphs: evaluation.GraphsConfig = evaluation.GraphsConfig()
    backward: str | None = None
    output_dir: str = "runs/madry_evaluations"
    watch_seconds: float | None = None
    dataset: str = "cifar10"
    data_dir: str | None = None

    def __post_init__(self) -> None:
        datasets.check_name(self.dataset)
        attack_of(self.settings)
        if self.watch_seconds is None:
            if not os.path.exists(models.preset_path(self.checkpoint)):
                raise UserError(
                    "--checkpoint must be a .keras file, the --output_dir of "
                    "madry_challenge.train or a published model "
                    f"({', '.join(models.preset_names())}). Received: "
                    f"{self.checkpoint!r}, which does not exist; --watch waits "
                    "for a training's folder"
                )
            return
        # A folder to watch need not exist yet.
        path = models.preset_path(self.checkpoint)
        if path.endswith(".keras") or os.path.isfile(path):
            raise UserError(
                "--watch needs the folder of a training. Received: the file "
                f"{path}; leave out --watch to evaluate a file"
            )


def evaluation_of(
    settings: Config,
    *,
    output_dir: str,
    backward: str = "exact",
    graphs: evaluation.GraphsConfig | None = None,
) -> evaluation.EvaluationConfig:
    """Returns the evaluation that a configuration describes.

    Args:
        settings: the `Config`.
        output_dir: str, the folder of this evaluation alone.
        backward: the backward pass that the attack follows.
        graphs: see `EvaluateConfig`; None for those that the model stores.
    """
    return evaluation.EvaluationConfig(
        attack=evaluation.AttackConfig.of(attack_of(settings)),
        graphs=graphs or evaluation.GraphsConfig(),
        backward=backward,
        test_size=settings.num_eval_examples,
        batch_size=settings.eval_batch_size,
        seed=settings.tf_random_seed,
        output_dir=output_dir,
    )


def with_settings(
    provenance: records.Provenance, settings: Config
) -> records.Provenance:
    """Returns the provenance with the values that config.json filled in.

    Args:
        provenance: the `records.Provenance` of a command. Flags that were not
            given are None in it.
        settings: the `Config` that the command uses.
    """
    filled_in = {
        "seed": settings.tf_random_seed,
        "num_eval_examples": settings.num_eval_examples,
        "eval_batch_size": settings.eval_batch_size,
        "attack": repr(attack_of(settings)),
    }
    return dataclasses.replace(
        provenance,
        seed=settings.tf_random_seed,
        flags={**provenance.flags, **filled_in},
    )


def evaluate(config: EvaluateConfig, provenance: records.Provenance) -> None:
    """Evaluates one model, or each new model of a folder.

    Raises:
        UserError: if there is no model, or one cannot be evaluated. While a
            folder is watched, a model that cannot be loaded and an
            `AttackError` are printed, and the watch goes on: a checkpoint that
            diverged says nothing about the next.
    """
    provenance = with_settings(provenance, config.settings)
    path = models.preset_path(config.checkpoint)
    if config.watch_seconds is None:
        newest = saved_models.newest(path) if os.path.isdir(path) else path
        if newest is None:
            raise UserError(
                f"{path} holds no model yet: give --watch to wait for one"
            )
        # Before the data, which may have to be downloaded.
        model = models.load(newest)
        dataset = data.load(config.dataset, config.data_dir)
        # A record names a published model by its name.
        name = newest if os.path.isdir(path) else config.checkpoint
        evaluate_model(model, name, dataset, config, provenance)
        return
    dataset = data.load(config.dataset, config.data_dir)
    for newest in saved_models.watch(path, config.watch_seconds):
        try:
            model = models.load(newest)
        except UserError as error:
            # One that diverged, whose weights are not finite.
            print(f"{newest}: {error}", file=sys.stderr, flush=True)
            continue
        try:
            evaluate_model(model, newest, dataset, config, provenance)
        except AttackError as error:
            print(f"{newest}: {error}", file=sys.stderr, flush=True)


def evaluate_model(
    model: keras.Model,
    path: str,
    dataset: datasets.Dataset,
    config: EvaluateConfig,
    provenance: records.Provenance,
) -> list[records.AttackRecord]:
    """Evaluates a model of a file or preset, with each backward pass.

    Evaluations of other models or with other attacks get folders of their own
    in `config.output_dir`, so that each can be resumed.
    """
    evaluation.check_fits(model, dataset)
    attack = evaluation.AttackConfig.of(attack_of(config.settings))
    print(f"Attacking {path}", flush=True)
    made, folders = [], []
    for backward in evaluation.backward_passes(model, attack, config.backward):
        described = evaluation_of(
            config.settings,
            output_dir=config.output_dir,
            backward=backward,
            graphs=config.graphs,
        )
        folders.append(_folder(path, model, dataset, described))
        made.append(
            evaluation.evaluate(
                model,
                dataset,
                dataclasses.replace(described, output_dir=folders[-1]),
                checkpoint=path,
                provenance=provenance,
            )
        )
    evaluation.print_report(folders)
    return made


def _folder(
    path: str,
    model: keras.Model,
    dataset: datasets.Dataset,
    described: evaluation.EvaluationConfig,
) -> str:
    """Returns the folder of one evaluation, named by its identity."""
    identity = evaluation.identity(model, dataset, described)
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:8]
    stem = os.path.splitext(path)[0].replace(os.sep, "_").strip("._")
    return os.path.join(
        described.output_dir, stem, f"attack_{described.backward}_{digest}"
    )
