"""Trains a PeerNet or a baseline: `python -m peernets_tf.train`.

    python -m peernets_tf.train --dataset=cifar10
    python -m peernets_tf.train --flagfile=short_mnist_pr_lenet5
    python -m peernets_tf.train --dataset=cifar10 --model=resnet32 --help

The first command trains PR-ResNet-32 as in Table 1 of the paper, the second a
published model. The last one shows the defaults of a network. Run the same
command again to resume an interrupted training.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

from absl import flags

from peernets_tf import datasets, evaluation, models, records, training
from peernets_tf.cli import app, flag_files, shared_flags
from peernets_tf.errors import UserError
from peernets_tf.lazy import keras

_DEFAULT_DATASET = "mnist5k"

_DATASET = shared_flags.define_dataset(_DEFAULT_DATASET, _DEFAULT_DATASET)
_DATA_DIR = shared_flags.define_data_dir()
_SEED = shared_flags.define_seed()
_MODEL = flags.DEFINE_enum(
    "model",
    None,
    models.MODEL_NAMES,
    "Network to train; pr_ marks a PeerNet, brelu_ a ResNet with bounded ReLUs "
    "(default: pr_resnet32 for cifar10, "
    "pr_resnet110 for cifar100, otherwise pr_lenet5).",
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir",
    None,
    "Folder for checkpoints, logs, model.keras and record.json. An interrupted "
    "run with the same flags in this folder is resumed (default: "
    "runs/DATASET_MODEL).",
)
_INITIAL_MODEL = flags.DEFINE_string(
    "initial_model",
    None,
    "A .keras file, or the name of a published model such as cifar10_resnet32. "
    "Each layer starts from the weights of the layer of the same name in it "
    "(default: random weights).",
)
_VALIDATION_SIZE = flags.DEFINE_integer(
    "validation_size",
    1000,
    "Number of test images, the first ones, that are classified after each "
    "epoch (default: 1000).",
    1,
)
_TEST_SIZE = flags.DEFINE_integer(
    "test_size",
    None,
    "Number of test images, the first ones, that are classified at the end "
    "(default: all).",
    1,
)
_DISTRIBUTION = flags.DEFINE_enum(
    "distribution",
    None,
    training.DISTRIBUTIONS,
    "How GPUs share the training. mirrored: those of this machine by "
    "tf.distribute, on TensorFlow; each device gets a share of every batch, "
    "which is also the graph of a PeerNet. data_parallel: keras.distribution, "
    "on JAX; the graph is the whole batch, and the devices may be those of "
    "several processes, which KERAS_DISTRIBUTION_NUM_PROCESSES, "
    "KERAS_DISTRIBUTION_PROCESS_ID and KERAS_DISTRIBUTION_JOB_ADDRESSES name. "
    "--batch_size is that of all devices together (default: one device).",
)
_TENSORBOARD_IMAGES = flags.DEFINE_bool(
    "tensorboard_images",
    False,
    "After each epoch, log eight test images to the TensorBoard logs in "
    "--output_dir, each beside the images that a PeerNet's attention rebuilds "
    "from its peers (default: false).",
)

# The fields of `training.Recipe`. None keeps the value of the paper.
_RECIPE: dict[str, flags.FlagHolder[Any]] = {
    "optimizer": flags.DEFINE_enum(
        "optimizer",
        None,
        training.OPTIMIZERS,
        "Optimizer: Adam, SGD with momentum, or SGD with Nesterov's momentum "
        "(default as in Table 1 of the paper: adam for LeNet-5, momentum for "
        "ResNets).",
    ),
    "epochs": flags.DEFINE_integer(
        "epochs",
        None,
        "Passes over the training set (default as in Table 1: 100 for LeNet-5, "
        "350 for ResNets).",
        1,
    ),
    "batch_size": flags.DEFINE_integer(
        "batch_size",
        None,
        "Images per batch. In a PeerNet the images of a batch are each other's "
        "peers (default as in Table 1: 32 for pr_lenet5, 64 for PR-ResNets, "
        "otherwise 128).",
        1,
    ),
    "learning_rate": flags.DEFINE_float(
        "learning_rate",
        None,
        "Largest learning rate (default as in Table 1: 0.001 for LeNet-5, 0.1 "
        "for ResNets, 0.01 for PR-ResNets).",
        0.0,
    ),
    "momentum": flags.DEFINE_float(
        "momentum",
        None,
        "Momentum in [0, 1], used only with --optimizer=momentum or "
        "--optimizer=nesterov (default: 0.9).",
        0.0,
        1.0,
    ),
    "l2": flags.DEFINE_float(
        "l2",
        None,
        "L2 regularization: the loss includes half this number times the sum "
        "of squares of all kernels (default as in Table 1: 0.0001 for LeNet-5, "
        "0.001 for ResNet-32, 0.002 for ResNet-110).",
        0.0,
    ),
    "schedule": flags.DEFINE_enum(
        "schedule",
        None,
        training.SCHEDULES,
        "Schedule of the learning rate. constant: no change. step: multiplied "
        "by --decay_factor after each of --decay_epochs. cosine: rises "
        "linearly in the first tenth of all steps, then falls to 0 as a cosine "
        "(default as in Table 1: constant for LeNet-5, step for ResNets).",
    ),
    "decay_epochs": flags.DEFINE_list(
        "decay_epochs",
        None,
        "Epochs after which --schedule=step lowers the learning rate, "
        "ascending, comma-separated (default: 100,175,250).",
    ),
    "decay_factor": flags.DEFINE_float(
        "decay_factor",
        None,
        "Factor in [0, 1] by which --schedule=step multiplies the learning "
        "rate (default: 0.1).",
        0.0,
        1.0,
    ),
    "augment": flags.DEFINE_bool(
        "augment",
        None,
        "Shift training images by up to 4 pixels and mirror half "
        "of them (default: true for ResNets on cifar10 and cifar100, "
        "otherwise false).",
    ),
    "noise_std": flags.DEFINE_float(
        "noise_std",
        None,
        "Standard deviation of the Gaussian noise that is added to training "
        "images, for images in [0, 1] (Gaussian data augmentation; default: "
        "0.05 for brelu_resnet32, otherwise 0).",
        0.0,
    ),
    "noise_share": flags.DEFINE_float(
        "noise_share",
        None,
        "Share of the images of an epoch that get the noise of --noise_std "
        "(default: 1).",
        0.0,
        1.0,
    ),
    "precision": flags.DEFINE_enum(
        "precision",
        None,
        models.PRECISIONS,
        "Numbers that the network computes with, in training and when it is "
        "loaded again. mixed_bfloat16: layers in bfloat16; weights, updates, "
        "logits and similarities in float32. Its speed was measured on a CPU "
        "only (default: float32).",
    ),
    "num_peers": flags.DEFINE_integer(
        "num_peers",
        None,
        "N, the number of training images in each graph of peers when a "
        "PeerNet is tested (default as in Section 4.1 of the paper: 500 for "
        "cifar100, otherwise 50).",
        1,
    ),
    "num_graphs": flags.DEFINE_integer(
        "num_graphs",
        None,
        "M, the number of graphs whose logits a PeerNet averages when it is "
        "tested (default: 10).",
        1,
    ),
}


@flags.validator(
    "decay_epochs", "must be epochs in ascending order, as in 100,175,250"
)
def _are_ascending(epochs: list[str] | None) -> bool:
    if epochs is None:
        return True
    if not all(map(str.isdecimal, epochs)):
        return False
    numbers = [*map(int, epochs)]
    return numbers == sorted(set(numbers))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """What is trained, and what is logged.

    Attributes:
        training: the `TrainingConfig`.
        tensorboard_images: bool, whether to log Franken-images.
    """

    training: training.TrainingConfig
    tensorboard_images: bool


def _parse(arguments: list[str]) -> Config:
    app.refuse_arguments(arguments)
    if _INITIAL_MODEL.value is not None:
        shared_flags.check_model(_INITIAL_MODEL.value, "--initial_model")
    dataset = _DATASET.value or _DEFAULT_DATASET
    model = _MODEL.value or training.default_model(dataset)
    if _TENSORBOARD_IMAGES.value and not model.startswith("pr_"):
        raise UserError(
            "--tensorboard_images is for PeerNets: leave it out or choose "
            f"--model=pr_{model.removeprefix('brelu_')}"
        )
    if _TENSORBOARD_IMAGES.value and training.processes.several_requested():
        raise UserError("--tensorboard_images is for one process: leave it out")
    base = os.path.splitext(os.path.basename(dataset))[0]
    config = training.TrainingConfig(
        dataset=dataset,
        data_dir=_DATA_DIR.value,
        model=model,
        recipe=_chosen_recipe(model, dataset),
        initial_model=_INITIAL_MODEL.value,
        seed=_SEED.value,
        validation_size=_VALIDATION_SIZE.value,
        test_size=_TEST_SIZE.value,
        output_dir=_OUTPUT_DIR.value or os.path.join("runs", f"{base}_{model}"),
        distribution=_DISTRIBUTION.value,
        advice=_advice(dataset, model),
    )
    return Config(training=config, tensorboard_images=_TENSORBOARD_IMAGES.value)


def _advice(dataset: str, model: str) -> str:
    """Returns what to do about a long training, "" if it is a short one."""
    names = flag_files.short_files(dataset, model)
    if not names or _RECIPE["epochs"].value is not None:
        return ""
    steps = ", then ".join(f"--flagfile={name}" for name in names)
    return f" Without a GPU, a short training is {steps}."


def _defaults() -> str:
    """Returns the recipe of the chosen network and data set, for --help."""
    dataset = _DATASET.value or _DEFAULT_DATASET
    model = _MODEL.value or training.default_model(dataset)
    recipe = dataclasses.asdict(training.recipe(model, dataset))
    lines = [f"Defaults of --dataset={dataset} --model={model}:"]
    for name, value in recipe.items():
        if isinstance(value, tuple):
            value = ",".join(map(str, value))
        lines.append(f"  --{name}={str(value).lower()}")
    return "\n".join(lines)


def _chosen_recipe(model: str, dataset: str) -> training.Recipe:
    changes = {
        name: flag.value
        for name, flag in _RECIPE.items()
        if flag.value is not None
    }
    if "decay_epochs" in changes:
        changes["decay_epochs"] = tuple(map(int, changes["decay_epochs"]))
    return dataclasses.replace(training.recipe(model, dataset), **changes)


def _run(config: Config, provenance: records.Provenance) -> None:
    def make_callbacks(
        dataset: datasets.Dataset,
    ) -> Sequence[keras.callbacks.Callback]:
        if not config.tensorboard_images:
            return ()
        return (
            evaluation.LogFrankenImages(
                dataset,
                num_peers=config.training.recipe.num_peers,
                seed=config.training.seed,
                output_dir=config.training.output_dir,
            ),
        )

    training.train(config.training, provenance, make_callbacks)


COMMAND = app.Command(
    module="peernets_tf.train",
    parse=_parse,
    run=_run,
    details=_defaults,
    start=lambda config: training.processes.join(config.training.distribution),
)


def main() -> None:
    """Runs the command."""
    app.main(COMMAND)


if __name__ == "__main__":
    main()
