"""One training, from a configuration to a tested model and its record."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from peernets_tf import datasets, devices, models, records
from peernets_tf.lazy import keras, module
from peernets_tf.plain_numbers import make_plain
from peernets_tf.seeds import Stream
from peernets_tf.training.distribution import (
    check_distribution,
    check_shares,
    distributed,
)
from peernets_tf.training.initial_model import start_from
from peernets_tf.training.processes import own_folder, whole_batches
from peernets_tf.training.recipes import Recipe

if TYPE_CHECKING:
    from peernets_tf import peers
    from peernets_tf.training.loop import Fitted
else:
    peers = module("peernets_tf.peers")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """What is trained, how, and where to.

    Attributes:
        dataset: str, see `datasets.load`.
        data_dir: str or None, see `datasets.load`.
        model: str, one of `models.MODEL_NAMES`.
        recipe: the `Recipe`.
        initial_model: str or None, a .keras file or the name of a preset;
            layers start from the weights of its layers of the same name.
        seed: int, the seed of all random numbers.
        validation_size: int, test images classified after each epoch, the first
            ones.
        test_size: int, test images classified at the end, the first ones; None
            for all.
        output_dir: str, the run's folder.
        distribution: str or None, how several devices share the training, see
            `distributed`.
        advice: str, what is printed after the estimate of the time on a machine
            without a GPU.

    Raises:
        DataError: if there is no such data set.
        UserError: if there is no such distribution.
    """

    dataset: str
    data_dir: str | None = None
    model: str
    recipe: Recipe
    initial_model: str | None = None
    seed: int = 0
    validation_size: int = 1000
    test_size: int | None = None
    output_dir: str
    distribution: str | None = None
    advice: str = ""

    def __post_init__(self) -> None:
        make_plain(self)
        datasets.check_name(self.dataset)
        check_distribution(self.distribution)


def train(
    config: TrainingConfig,
    provenance: records.Provenance,
    make_callbacks: Callable[
        [datasets.Dataset], Sequence[keras.callbacks.Callback]
    ] = lambda dataset: (),
) -> records.TrainingRecord:
    """Trains a network, tests it, and saves `model.keras` and `record.json`.

    Goes on from the last checkpoint if the folder holds the same run.

    Args:
        config: the `TrainingConfig`.
        provenance: the `records.Provenance` of this start.
        make_callbacks: function from the data set to more Keras callbacks,
            called before anything is written.

    Returns:
        The `records.TrainingRecord`.

    Raises:
        UserError: if the configuration, a file or the folder cannot be used.
    """
    with distributed(config.distribution) as num_devices:
        dataset = datasets.load(config.dataset, config.data_dir)
        settings = _settings(config, dataset, provenance)
        with own_folder(config.output_dir, settings) as folder:
            keras.utils.set_random_seed(config.seed)
            return _train(
                dataclasses.replace(config, output_dir=folder),
                provenance,
                dataset,
                make_callbacks,
                num_devices=num_devices,
            )


def _settings(
    config: TrainingConfig,
    dataset: datasets.Dataset,
    provenance: records.Provenance,
) -> str:
    """Returns all that several processes must agree on, as text."""
    # Where things lie may differ from machine to machine.
    config = dataclasses.replace(config, data_dir=None, output_dir="")
    versions = {"commit": provenance.commit, **provenance.versions}
    settings = {
        **dataclasses.asdict(config),
        "dataset_sha256": dataset.sha256,
        "versions": versions,
    }
    return ", ".join(f"{name}={value}" for name, value in settings.items())


def _train(
    config: TrainingConfig,
    provenance: records.Provenance,
    dataset: datasets.Dataset,
    make_callbacks: Callable[
        [datasets.Dataset], Sequence[keras.callbacks.Callback]
    ],
    *,
    num_devices: int,
) -> records.TrainingRecord:
    """Builds a network and trains it in its locked folder; see `train`."""
    from peernets_tf.training.checkpoint import Checkpoint
    from peernets_tf.training.loop import check_sizes, fit

    check_shares(num_devices, batch_size=config.recipe.batch_size)
    if config.distribution == "data_parallel":
        validation_size = min(config.validation_size, len(dataset.test))
        check_shares(num_devices, validation_size=validation_size)
    model = _build(config, dataset)
    initial_model = start_from(config.initial_model, model)
    checkpoint = Checkpoint(
        config.output_dir,
        _identity(config, dataset, initial_model, num_devices),
        provenance,
    )
    # Before anything is written.
    check_sizes(
        model,
        dataset,
        batch_size=config.recipe.batch_size,
        num_peers=config.recipe.num_peers,
    )
    callbacks = make_callbacks(dataset)
    with records.lock_folder(config.output_dir):
        print(
            f"Training {config.model} on {dataset.name} in {config.output_dir}",
            flush=True,
        )
        fitted = fit(
            model,
            dataset,
            config.recipe,
            checkpoint=checkpoint,
            seed=config.seed,
            validation_size=config.validation_size,
            num_devices=num_devices,
            callbacks=callbacks,
            advice="" if devices.has_gpu() else config.advice,
        )
        with whole_batches(num_devices) as num_sharing:
            return _test(
                config,
                provenance,
                dataset,
                model,
                initial_model=initial_model,
                fitted=fitted,
                num_devices=num_sharing,
            )


def _test(
    config: TrainingConfig,
    provenance: records.Provenance,
    dataset: datasets.Dataset,
    model: keras.Model,
    *,
    initial_model: records.InitialModel | None,
    fitted: Fitted,
    num_devices: int,
) -> records.TrainingRecord:
    """Stores the graphs of a trained model, tests and saves it; see `train`."""
    from peernets_tf.training.accuracy import count_correct

    graphs = store_graphs(
        model,
        dataset,
        num_peers=config.recipe.num_peers,
        num_graphs=config.recipe.num_graphs,
        seed=config.seed,
    )
    test = dataset.test.first(config.test_size)
    print(f"Testing on {len(test)} images", flush=True)
    record = records.TrainingRecord(
        model=model.name,
        weights_sha256=models.weights_sha256(model),
        dataset=dataset.name,
        train_size=len(dataset.train),
        test_size=len(test),
        correct=count_correct(
            peers.monte_carlo(model),
            test,
            num_devices=num_devices,
        ),
        num_parameters=model.count_params(),
        graphs=graphs,
        history=tuple(
            {key: row[key] for key in row if key != "seconds"}
            for row in fitted.history
        ),
        initial_model=initial_model,
        provenance=_provenance(config, provenance, fitted),
    )
    model_path = os.path.join(config.output_dir, "model.keras")
    models.save(model, model_path)
    record_path = os.path.join(config.output_dir, "record.json")
    records.write(record, record_path)
    print(
        f"{model.name} on {dataset.name}: test accuracy {record.accuracy:.2%}"
    )
    print(f"Model: {model_path}\nRecord: {record_path}")
    return record


def _build(config: TrainingConfig, dataset: datasets.Dataset) -> keras.Model:
    mean, variance = datasets.channel_statistics(dataset.train.images)
    return models.build(
        config.model,
        dataset.train.images.shape[1:],
        dataset.num_classes,
        mean=mean,
        variance=variance,
        l2=config.recipe.l2,
        precision=config.recipe.precision,
        seed=config.seed,
    )


def _identity(
    config: TrainingConfig,
    dataset: datasets.Dataset,
    initial_model: records.InitialModel | None,
    num_devices: int,
) -> dict[str, Any]:
    """Returns everything that the trained weights depend on."""
    return {
        "kind": records.TrainingRecord.kind,
        "dataset": dataset.name,
        "dataset_sha256": dataset.sha256,
        "model": config.model,
        "initial_model": initial_model and initial_model.weights_sha256,
        "validation_size": config.validation_size,
        "seed": config.seed,
        # Another backend draws other random numbers.
        "backend": keras.backend.backend(),
        "distribution": config.distribution if num_devices > 1 else None,
        "num_devices": num_devices,
        **dataclasses.asdict(config.recipe),
    }


def store_graphs(
    model: keras.Model,
    dataset: datasets.Dataset,
    *,
    num_peers: int,
    num_graphs: int,
    seed: int,
) -> records.Graphs | None:
    """Draws the graphs that a trained PeerNet keeps, and stores them in it.

    Args:
        model: the trained `keras.Model`, changed in place if it is a PeerNet.
        dataset: the `datasets.Dataset`, whose training images are the peers.
        num_peers: int, N, the images of one graph.
        num_graphs: int, M, the graphs.
        seed: int, the seed of the training.

    Returns:
        The `records.Graphs`, or None for a model without peers.
    """
    if not peers.peer_layers(model):
        return None
    draw = (int(Stream.MODEL_PEERS), seed)
    images = peers.draw_peers(
        dataset.train.images, num_peers, num_graphs, seed=draw
    )
    peers.set_peers(model, images)
    return records.Graphs(num_peers=num_peers, num_graphs=num_graphs, seed=draw)


def _provenance(
    config: TrainingConfig,
    latest: records.Provenance,
    fitted: Fitted,
) -> records.Provenance:
    """Returns the code and machine of the first start, the flags of this one.

    Only flags on which the weights do not depend may differ between the two.
    """
    seconds = sum(row["seconds"] for row in fitted.history)
    return records.with_seconds(
        dataclasses.replace(
            fitted.provenance,
            command=latest.command,
            flags={
                **latest.flags,
                **dataclasses.asdict(config.recipe),
                "model": config.model,
            },
        ),
        seconds,
    )
