"""Puts MagNet in front of a trained model: `python -m peernets_tf.defend`.

    python -m peernets_tf.defend --checkpoint=cifar10_resnet32

Trains MagNet's autoencoders on clean images, sets the thresholds of its
detectors, and saves the defended model. Its last logit is that of rejection.
Then measures how many test images are classified correctly and how many are
rejected. An interrupted run starts again.
"""

from __future__ import annotations

import dataclasses
import os
import time
from typing import TYPE_CHECKING

import numpy as np
from absl import flags

from peernets_tf import datasets, evaluation, models, records, training
from peernets_tf.cli import app, shared_flags
from peernets_tf.errors import UserError
from peernets_tf.lazy import module

if TYPE_CHECKING:
    from peernets_tf import defenses, peers
else:
    defenses = module("peernets_tf.defenses")
    peers = module("peernets_tf.peers")

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    None,
    "Model to defend: a .keras file or the name of a published model: "
    f"{', '.join(models.preset_names())} (required).",
    required=True,
)
_DATASET = shared_flags.define_dataset(
    None, "the one that the checkpoint's record names"
)
_DATA_DIR = shared_flags.define_data_dir()
_FALSE_POSITIVE_RATE = flags.DEFINE_float(
    "false_positive_rate",
    0.01,
    "Largest share of clean validation images that all detectors together "
    "reject (default: 0.01).",
)
_EPOCHS = flags.DEFINE_integer(
    "epochs", 20, "Passes over the training images (default: 20).", 1
)
_VALIDATION_SIZE = flags.DEFINE_integer(
    "validation_size",
    None,
    "Number of training images that set the thresholds, the last ones. The "
    "autoencoders are trained on the others (default: a tenth, at most 5000).",
    1,
)
_TEST_SIZE = flags.DEFINE_integer(
    "test_size",
    None,
    "Number of test images to classify at the end, the first ones (default: "
    "all).",
    1,
)
_SEED = shared_flags.define_seed()
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir",
    None,
    "Folder for model.keras and record.json (default: runs/magnet_CHECKPOINT).",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Which model MagNet is put in front of, how, and where to.

    Attributes:
        checkpoint: str, a .keras file or the name of a preset.
        dataset: str, see `datasets.load`.
        data_dir: str or None, see `datasets.load`.
        false_positive_rate: float in (0, 1), see `defenses.with_magnet`.
        epochs: int, passes over the training images.
        validation_size: int or None, training images that set the thresholds,
            the last ones; None for a tenth, at most 5,000. The autoencoders are
            trained on the others.
        test_size: int or None, test images classified at the end, the first
            ones; None for all.
        seed: int, the seed of all random numbers.
        output_dir: str, the run's folder.

    Raises:
        DataError: if there is no such data set.
        UserError: if the rate is out of range.
    """

    checkpoint: str
    dataset: str
    data_dir: str | None
    false_positive_rate: float
    epochs: int
    validation_size: int | None
    test_size: int | None
    seed: int
    output_dir: str

    def __post_init__(self) -> None:
        datasets.check_name(self.dataset)
        if not 0 < self.false_positive_rate < 1:
            raise UserError(
                "--false_positive_rate must be between 0 and 1. Received: "
                f"{self.false_positive_rate}"
            )


def _parse(arguments: list[str]) -> Config:
    app.refuse_arguments(arguments)
    checkpoint = _CHECKPOINT.value
    shared_flags.check_model(checkpoint, "--checkpoint")
    return Config(
        checkpoint=checkpoint,
        dataset=_DATASET.value
        or evaluation.trained_on(models.preset_path(checkpoint)),
        data_dir=_DATA_DIR.value,
        false_positive_rate=_FALSE_POSITIVE_RATE.value,
        epochs=_EPOCHS.value,
        validation_size=_VALIDATION_SIZE.value,
        test_size=_TEST_SIZE.value,
        seed=_SEED.value,
        output_dir=_OUTPUT_DIR.value
        or os.path.join("runs", f"magnet_{evaluation.folder_name(checkpoint)}"),
    )


def _run(config: Config, provenance: records.Provenance) -> None:
    dataset = datasets.load(config.dataset, config.data_dir)
    path = models.preset_path(config.checkpoint)
    classifier = models.load(path)
    evaluation.check_fits(classifier, dataset)
    validation_size = config.validation_size
    if validation_size is None:
        validation_size = min(5000, len(dataset.train) // 10)
    train_size = len(dataset.train) - validation_size
    if validation_size < 1 or train_size < 1:
        raise UserError(
            "--validation_size must be at least 1 and below "
            f"{len(dataset.train)}, the training images. Received: "
            f"{validation_size}"
        )
    defense = (
        f"MagNet(false_positive_rate={config.false_positive_rate:g}, "
        f"epochs={config.epochs}, validation_size={validation_size})"
    )
    identity = {
        "kind": "defense",
        "defense": defense,
        "weights_sha256": models.weights_sha256(classifier),
        "dataset": dataset.name,
        "dataset_sha256": dataset.sha256,
        "seed": config.seed,
    }
    with records.lock_folder(config.output_dir):
        records.claim(
            config.output_dir, identity, provenance, makes="model.keras"
        )
        print(
            f"Training MagNet's autoencoders for {classifier.name} on "
            f"{train_size} images of {dataset.name} in {config.output_dir}",
            flush=True,
        )
        start = time.monotonic()
        model = defenses.with_magnet(
            classifier,
            dataset.train.images[:train_size],
            dataset.train.images[train_size:],
            false_positive_rate=config.false_positive_rate,
            epochs=config.epochs,
            seed=config.seed,
        )
        seconds = time.monotonic() - start
        test = dataset.test.first(config.test_size)
        print(f"Testing on {len(test)} images", flush=True)
        bank = peers.stored_peers(model)
        # The mean over all graphs of a PeerNet, as evaluations predict.
        predictions = training.predict_classes(
            peers.monte_carlo(model), test.images
        )
        record = records.TrainingRecord(
            model=model.name,
            weights_sha256=models.weights_sha256(model),
            dataset=dataset.name,
            train_size=train_size,
            test_size=len(test),
            correct=int(np.sum(predictions == test.labels)),
            rejected=int(np.sum(predictions == dataset.num_classes)),
            num_parameters=model.count_params(),
            graphs=None
            if bank is None
            else records.Graphs(
                num_peers=bank.num_peers, num_graphs=bank.num_graphs
            ),
            history=(),
            initial_model=training.describe(config.checkpoint, classifier),
            defense=defense,
            provenance=records.with_seconds(provenance, seconds),
        )
        model_path = os.path.join(config.output_dir, "model.keras")
        models.save(model, model_path)
        record_path = os.path.join(config.output_dir, "record.json")
        records.write(record, record_path)
    print(
        f"{model.name} on {dataset.name}: test accuracy {record.accuracy:.2%}, "
        f"{record.rejected} of {record.test_size} images rejected"
    )
    print(f"Model: {model_path}\nRecord: {record_path}")


COMMAND = app.Command(module="peernets_tf.defend", parse=_parse, run=_run)


def main() -> None:
    """Runs the command."""
    app.main(COMMAND)


if __name__ == "__main__":
    main()
