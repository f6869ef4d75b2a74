"""Judges a model under PGD: `python -m madry_challenge.evaluate`.

    python -m madry_challenge.evaluate --checkpoint=models/adv_trained --watch

Prints the accuracy on test images and on adversarial ones. The attack is the
configuration's; `--num_steps=20 --step_size=1` is the leaderboard's. An
evaluation that was stopped goes on from its last whole batch when the same
command is given again.
"""

import os
import sys
import time
from collections.abc import Iterator
from typing import Any

from absl import flags

from madry_challenge import config, config_flags, data, evaluation, runs
from peernets_tf import (
    attacks,
    command,
    models,
    peers,
    pretrained,
    results,
    tables,
    threat_model,
)
from peernets_tf.attacks.guards import AttackError
from peernets_tf.data import Dataset

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    None,
    "A .keras file, the name of a trained model in checkpoints/, or a folder "
    "that madry_challenge.train writes to: its newest model.",
    required=True,
)
_WATCH = flags.DEFINE_bool(
    "watch",
    False,
    "Whenever the folder --checkpoint has a newer model, judge the newest, "
    "until that is the trained one.",
)
_WATCH_SECONDS = flags.DEFINE_float(
    "watch_seconds", 10.0, "Seconds between looks at the folder.", 0.1
)
_config = config_flags.define(
    "seed", "num_eval_examples", "eval_batch_size", *config_flags.ATTACK
)
_BACKWARD = flags.DEFINE_enum(
    "backward",
    "exact",
    attacks.BACKWARDS,
    "The gradient of PeerRegularization layers that the attack follows.",
)
_NUM_PEERS = flags.DEFINE_integer(
    "num_peers", None, "N, peers in a graph. Default: the checkpoint's.", 1
)
_NUM_GRAPHS = flags.DEFINE_integer(
    "num_graphs", None, "M, graphs averaged. Default: the checkpoint's.", 1
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir",
    "runs/madry_evaluations",
    "Where a folder for each model goes, with its records.",
)
_DATASET = flags.DEFINE_string(
    "dataset", "cifar10", "A data set of TFDS, or the path of an .npz file."
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "TensorFlow Datasets directory. Default: TFDS's own."
)


def evaluate(argv: list[str]) -> None:
    """Evaluates one model, or with --watch the newest, again and again."""
    if argv[1:]:
        raise ValueError(f"not a flag: {' '.join(argv[1:])}")
    environment = results.environment()
    settings = _config()
    # Now, not after the data are read.
    evaluation.attack_of(settings)
    path = pretrained.path_of(_CHECKPOINT.value)
    if _WATCH.value:
        if path.endswith(".keras"):
            raise ValueError(f"--watch takes a folder, not {path}")
        dataset = data.load(_DATASET.value, _DATA_DIR.value)
        for newest in _new_models(path):
            try:
                _evaluate(newest, settings, dataset, environment)
            except AttackError as error:
                # One checkpoint that diverged is no reason to stop watching.
                print(f"{newest}: {error}", file=sys.stderr, flush=True)
        return
    model_path: str | None = path
    if os.path.isdir(path):
        model_path = runs.newest_model(path)
    if model_path is None:
        raise ValueError(f"no model in {path} yet: --watch waits for one")
    dataset = data.load(_DATASET.value, _DATA_DIR.value)
    _evaluate(model_path, settings, dataset, environment)


def _new_models(folder: str) -> Iterator[str]:
    """Yields the newest model of a folder, whenever there is a newer one."""
    done = None
    while done is None or os.path.basename(done) != "model.keras":
        newest = runs.newest_model(folder)
        if newest is None or newest == done:
            where = folder if os.path.isdir(folder) else f"{folder} (not there)"
            print(f"Waiting for a new model in {where}", flush=True)
            while newest is None or newest == done:
                time.sleep(_WATCH_SECONDS.value)
                newest = runs.newest_model(folder)
        yield newest
        done = newest


def _evaluate(
    path: str,
    settings: config.Config,
    dataset: Dataset,
    environment: dict[str, Any],
) -> None:
    """Attacks one model, prints its accuracies, writes its record."""
    start = time.monotonic()
    model = models.load(path)
    if not peers.peer_layers(model):
        for flag in (_BACKWARD, _NUM_PEERS, _NUM_GRAPHS):
            if flag.present:
                raise ValueError(
                    f"--{flag.name} is for PeerNets; {model.name} has no "
                    "PeerRegularization layer"
                )
    weights_sha256 = results.weights_sha256(model)
    graphs = threat_model.set_graphs(
        model,
        model,
        dataset.train.images,
        num_peers=_NUM_PEERS.value,
        num_graphs=_NUM_GRAPHS.value,
        seed=settings.tf_random_seed,
    )
    stem = os.path.splitext(path)[0].replace(os.sep, "_").strip("._")
    measurement = evaluation.Evaluation(
        os.path.join(_OUTPUT_DIR.value, stem),
        model,
        dataset,
        settings,
        graphs,
        environment,
        backward=_BACKWARD.value,
    )
    print(f"Attacking {path}", flush=True)
    case = measurement.run()
    record = results.AttackResult(
        model=model.name,
        checkpoint=path,
        weights_sha256=weights_sha256,
        dataset=dataset.name,
        test_size=case["total"],
        attack="pgd",
        backward=_BACKWARD.value,
        peers=graphs,
        cases=[case],
        seed=settings.tf_random_seed,
        # What the configuration filled in, too.
        flags={
            **command.own_flags(),
            **measurement.identity,
        },
        command=command.line("madry_challenge.evaluate"),
        seconds=round(time.monotonic() - start, 1),
        **measurement.environment,
    )
    record_path = f"{measurement.path}.json"
    results.write_json(record, record_path)
    print(tables.attack_table([record]))
    print(f"Record: {record_path}", flush=True)


if __name__ == "__main__":
    command.run(evaluate)
