"""Table 6 in one command: `python -m madry_challenge.compare`.

Trains ResNet-32 on adversarial images, with the challenge's hyper-parameters
(A) and with the paper's (B), PR-ResNet-32 on images, and, which the paper does
not, ResNet-32 on images and PR-ResNet-32 on adversarial ones; then attacks all
with the same PGD on the same images, PeerNets a second time with the surrogate
gradient. What was stopped goes on when the same command is given again.

Of --config, and of flags, the attack is that of all trainings and of the test;
how it says to train is how ResNet-32 A is, in budgets but `full` in fewer
steps. Checkpoints and test images are the budget's.
"""

import dataclasses
import os
import sys
import time
from typing import Any

import keras
from absl import flags

from madry_challenge import (
    comparison,
    config,
    config_flags,
    data,
    evaluation,
    runs,
    training,
)
from peernets_tf import (
    command,
    models,
    pretrained,
    results,
    threat_model,
)
from peernets_tf.data import Dataset
from peernets_tf.evaluation import check_fits

_BUDGET = flags.DEFINE_enum(
    "budget",
    "full",
    list(comparison.BUDGETS),
    "full: the published schedules, for a GPU. hour: an hour of two CPU "
    "cores. smoke: some steps, to see that it runs.",
)
_BACKWARD = flags.DEFINE_enum(
    "backward",
    "identity",
    ["identity", "soft"],
    "The surrogate gradient of PeerRegularization layers.",
)
_CHECKPOINT = flags.DEFINE_multi_string(
    "checkpoint",
    [],
    "ROW=PATH: a .keras file, or the name of a trained model in checkpoints/, "
    "instead of a training. Rows: resnet32, resnet32_a, resnet32_b, "
    "pr_resnet32, pr_resnet32_exact, pr_resnet32_surrogate. May be repeated.",
)
_config = config_flags.define("seed", "eval_batch_size", *config_flags.ATTACK)
_ATTACK_MODE = flags.DEFINE_enum(
    "attack_mode",
    "train",
    training.MODES,
    "How batches are attacked in training, see madry_challenge.train.",
)
_NUM_PEERS = flags.DEFINE_integer("num_peers", 50, "N, peers in a graph.", 1)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir",
    None,
    "Where trainings and the record go. Default: runs/compare_BUDGET.",
)
_DATASET = flags.DEFINE_string(
    "dataset", "cifar10", "A data set of TFDS, or the path of an .npz file."
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "TensorFlow Datasets directory. Default: TFDS's own."
)


def compare(argv: list[str]) -> None:
    """Trains, attacks, writes the record, prints the table."""
    if argv[1:]:
        raise ValueError(f"not a flag: {' '.join(argv[1:])}")
    started = time.monotonic()
    training.check_backend()
    environment = results.environment()
    challenge = _config()
    # Now, not after the trainings.
    evaluation.attack_of(challenge)
    budget = comparison.BUDGETS[_BUDGET.value]
    rows = comparison.rows(challenge, budget, _BACKWARD.value)
    dataset = data.load(_DATASET.value, _DATA_DIR.value)
    given = _given_models(rows, dataset)
    if _NUM_PEERS.value > len(dataset.train):
        raise ValueError(
            f"--num_peers={_NUM_PEERS.value} is more than the "
            f"{len(dataset.train)} training images"
        )
    if _BUDGET.value == "full" and not keras.distribution.list_devices("gpu"):
        print(
            "warning: without a GPU this takes weeks: --budget=hour is for two "
            "CPU cores",
            file=sys.stderr,
            flush=True,
        )
    output_dir = _OUTPUT_DIR.value or os.path.join(
        "runs", f"compare_{_BUDGET.value}"
    )
    attack = dataclasses.replace(
        challenge, num_eval_examples=budget.num_eval_examples
    )
    measured: dict[str, dict[str, Any]] = {}
    for number, row in enumerate(rows, start=1):
        print(f"\n[{number}/{len(rows)}] {row.name} on {row.trained_on}")
        folder = os.path.join(output_dir, row.key)
        if row.key in given:
            path, model = given[row.key]
            print(f"From {path}", flush=True)
            origin = {"checkpoint": path, "steps": [None], "training": None}
        else:
            start = measured[row.start] if row.start else None
            model, origin = _train(row, start, folder, dataset, environment)
        measured[row.key] = {
            "key": row.key,
            "name": row.name,
            "network": row.network,
            "trained_on": row.trained_on,
            **origin,
            **_measure(
                model, folder, dataset, attack, budget.num_graphs, environment
            ),
        }
    record = comparison.ComparisonResult(
        rows=list(measured.values()),
        budget=_BUDGET.value,
        dataset=dataset.name,
        test_size=measured[rows[0].key]["cases"][0]["total"],
        seed=challenge.tf_random_seed,
        # What the configuration filled in, too.
        flags={
            **command.own_flags(),
            "attack": repr(evaluation.attack_of(challenge)),
            "eval_batch_size": challenge.eval_batch_size,
        },
        command=command.line("madry_challenge.compare"),
        seconds=round(time.monotonic() - started, 1),
        **environment,
    )
    path = os.path.join(output_dir, "record.json")
    results.write_json(record, path)
    print(f"\n{comparison.table(record)}\nRecord: {path}")


def _given_models(
    rows: list[comparison.Row], dataset: Dataset
) -> dict[str, tuple[str, keras.Model]]:
    """Returns the files of --checkpoint and their models, by row."""
    networks = {row.key: row.network for row in rows}
    found: dict[str, tuple[str, keras.Model]] = {}
    for text in _CHECKPOINT.value:
        key, _, name = text.partition("=")
        if key not in networks or not name:
            raise ValueError(
                f"--checkpoint={text}: write ROW=PATH, with a row of "
                f"{', '.join(networks)}"
            )
        if key in found:
            raise ValueError(f"--checkpoint={text}: {key} is given twice")
        path = pretrained.path_of(name)
        model = models.load(path)
        if model.name != networks[key]:
            raise ValueError(
                f"--checkpoint={text}: it holds {model.name}, not "
                f"{networks[key]}"
            )
        check_fits(model, dataset)
        found[key] = path, model
    return found


def _train(
    row: comparison.Row,
    start: dict[str, Any] | None,
    folder: str,
    dataset: Dataset,
    environment: dict[str, Any],
) -> tuple[keras.Model, dict[str, Any]]:
    """Trains a row's network, from another's weights or from random ones."""
    settings = dataclasses.replace(row.settings, model_dir=folder)
    options = runs.Options(
        network=row.network,
        attack_mode=_ATTACK_MODE.value,
        backward=row.backward,
        augment=dataset.name.startswith("cifar"),
        num_peers=_NUM_PEERS.value,
        num_graphs=1,
        validation_size=min(1000, settings.num_eval_examples),
        initial_model=start["checkpoint"] if start else None,
    )
    steps = settings.max_num_training_steps
    print(f"Training for {steps} steps in {folder}", flush=True)
    model, checkpoint = runs.train(options, settings, dataset, environment)
    history = checkpoint.history
    return model, {
        "checkpoint": os.path.join(folder, "model.keras"),
        "steps": [*(start["steps"] if start else []), steps],
        "training": {
            "settings": dataclasses.asdict(settings),
            "options": dataclasses.asdict(options),
            "history": history,
            "seconds": round(sum(entry["seconds"] for entry in history), 1),
            "environment": checkpoint.environment,
        },
    }


def _measure(
    model: keras.Model,
    folder: str,
    dataset: Dataset,
    attack: config.Config,
    num_graphs: int,
    environment: dict[str, Any],
) -> dict[str, Any]:
    """Attacks a network with each gradient, and logs in its folder."""
    weights_sha256 = results.weights_sha256(model)
    graphs = threat_model.set_graphs(
        model,
        model,
        dataset.train.images,
        num_peers=_NUM_PEERS.value,
        num_graphs=num_graphs,
        seed=attack.tf_random_seed,
    )
    cases = []
    for backward in ("exact", _BACKWARD.value) if graphs else ("exact",):
        print(f"Attacking with the {backward} gradient")
        measurement = evaluation.Evaluation(
            folder,
            model,
            dataset,
            attack,
            graphs,
            environment,
            backward=backward,
        )
        cases.append(
            {
                "backward": backward,
                **measurement.run(),
                "environment": measurement.environment,
            }
        )
    return {
        "weights_sha256": weights_sha256,
        "peers": graphs,
        "cases": cases,
    }


if __name__ == "__main__":
    command.run(compare)
