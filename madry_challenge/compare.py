"""Computes Table 6 of the paper: `python -m madry_challenge.compare`.

    python -m madry_challenge.compare
    python -m madry_challenge.compare --train

The first command attacks the published models, if there is no GPU. The second
trains six networks and attacks them; on a GPU the first does so, too, for the
data set cifar10. All networks are attacked with the same PGD on the same
images. Three networks are in the paper: ResNet-32 trained on adversarial images
with the challenge's hyper-parameters (A) and with the paper's (B), and
PR-ResNet-32 trained on unperturbed images. Three are not: ResNet-32 trained on
unperturbed images, and PR-ResNet-32 trained on adversarial images, once along
the exact gradient and once with the backward pass of --backward (BPDA). Among
the published models there are also a ResNet-32 and a PR-ResNet-32 that were
trained on images of FGSM. Each PeerNet is attacked along the exact gradient and
with that backward pass. Run the same command again to resume an interrupted
comparison.

The attack settings of --config and of the flags apply to every training run and
to the test. The training settings of --config apply only to ResNet-32 A, and
every budget except `full` shortens them. The budget also sets the steps between
checkpoints and the number of test images.
"""

import dataclasses
import os

from absl import flags

from madry_challenge import (
    comparison,
    config_flags,
    options,
    table6,
)
from peernets_tf import devices, lazy, quiet, records
from peernets_tf.cli import app, shared_flags
from peernets_tf.errors import UserError

_DEFAULT_DATASET = "cifar10"

_BUDGET = flags.DEFINE_enum(
    "budget",
    None,
    list(table6.BUDGETS),
    "What is run. minutes: attacks on the published models. day: the same on "
    "1,000 images, also with 10 graphs. These train networks: smoke: a few "
    "steps, to check that the command works. hour: about an hour on two CPU "
    "cores. full: the published schedules, for a GPU (default: full for "
    "cifar10 with a GPU, otherwise hour with --train and minutes without).",
)
_TRAIN = flags.DEFINE_bool(
    "train",
    False,
    "Train the networks, also without a GPU (default: false).",
)
_BACKWARD = flags.DEFINE_enum(
    "backward",
    "identity",
    ["identity", "soft"],
    "Backward pass of PeerRegularization layers (BPDA) in the second attack on "
    "PeerNets and in the last training run (default: identity).",
)
_CHECKPOINT = flags.DEFINE_multi_string(
    "checkpoint",
    [],
    "ROW=PATH, such as resnet32=model.keras: attack this .keras file or "
    "published model in the row, instead of training its network or attacking "
    f"the published one. Rows: {', '.join(table6.KEYS)}. May be repeated "
    "(default: none).",
)
_read_config = config_flags.define(
    "seed", "eval_batch_size", *config_flags.ATTACK
)
_ATTACK_MODE = flags.DEFINE_enum(
    "attack_mode",
    "train",
    options.MODES,
    "Mode of a network while a training batch is attacked. train: training "
    "mode. eval: inference mode. See madry_challenge.train (default: train).",
)
_NUM_PEERS = flags.DEFINE_integer(
    "num_peers", 50, "N, images in each graph of a PeerNet (default: 50).", 1
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir",
    None,
    "Folder for record.json and for a folder of each network (default: "
    "runs/compare_BUDGET).",
)
_DATASET = shared_flags.define_dataset(_DEFAULT_DATASET, _DEFAULT_DATASET)
_DATA_DIR = shared_flags.define_data_dir()


def _parse(arguments: list[str]) -> comparison.CompareConfig:
    app.refuse_arguments(arguments)
    if _BUDGET.value is not None:
        return _config(_BUDGET.value)
    # Refuses wrong flags before Keras starts and looks for a GPU.
    config = _config("hour" if _TRAIN.value else "minutes")
    # The published schedules are those of CIFAR-10.
    if config.dataset != _DEFAULT_DATASET:
        return config
    with quiet.starting_tensorflow():
        lazy.check_backend()
        return _config("full") if devices.has_gpu() else config


def _config(name: str) -> comparison.CompareConfig:
    """Returns what the flags ask for within a budget."""
    budget = table6.BUDGETS[name]
    if _TRAIN.value and not budget.trains:
        raise UserError(
            f"--budget={name} attacks the published models and trains nothing: "
            "leave out --train. Received: --train"
        )
    challenge = _read_config()
    checkpoints = comparison.parse_checkpoints(_CHECKPOINT.value)
    rows = table6.rows(challenge, budget, _BACKWARD.value)
    if not budget.trains:
        checkpoints = {**table6.PUBLISHED, **checkpoints}
        rows = [row for row in rows if row.key in checkpoints]
    for key in checkpoints:
        if key not in {row.key for row in rows}:
            raise UserError(
                f"--checkpoint={key}=PATH needs --budget=minutes or "
                "--budget=day, which train nothing, and no --train. Received: "
                f"budget={name}"
            )
    return comparison.CompareConfig(
        rows=tuple(rows),
        budget=name,
        attack=dataclasses.replace(
            challenge, num_eval_examples=budget.num_eval_examples
        ),
        backward=_BACKWARD.value,
        checkpoints=checkpoints,
        attack_mode=_ATTACK_MODE.value,
        num_peers=_NUM_PEERS.value,
        num_graphs=budget.num_graphs,
        output_dir=_OUTPUT_DIR.value or os.path.join("runs", f"compare_{name}"),
        dataset=_DATASET.value or _DEFAULT_DATASET,
        data_dir=_DATA_DIR.value,
    )


def _run(
    config: comparison.CompareConfig, provenance: records.Provenance
) -> None:
    comparison.compare(config, provenance)


COMMAND = app.Command(module="madry_challenge.compare", parse=_parse, run=_run)

if __name__ == "__main__":
    app.main(COMMAND)
