"""One training, from the name of a network to its `model.keras`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from madry_challenge import data
from madry_challenge.config import Config, attack_of
from madry_challenge.options import (
    FILTERS,
    Options,
    check_backend,
)
from peernets_tf import datasets, models, records, training
from peernets_tf.lazy import keras, module

if TYPE_CHECKING:
    from madry_challenge import (
        adversarial_training,
        model,
        saved_models,
        step_schedule,
    )
    from peernets_tf import peers
else:
    adversarial_training = module("madry_challenge.adversarial_training")
    model = module("madry_challenge.model")
    saved_models = module("madry_challenge.saved_models")
    step_schedule = module("madry_challenge.step_schedule")
    peers = module("peernets_tf.peers")

# Keys that never change what is learnt, and those that do not change it when
# there is no attack.
_EVALUATION_KEYS = (
    "eval_batch_size",
    "model_dir",
    "num_eval_examples",
    "store_adv_path",
)
_ATTACK_KEYS = (
    "attack_mode",
    "backward",
    "epsilon",
    "loss_func",
    "random_start",
    "step_size",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """A training, as the command's flags name it.

    Attributes:
        settings: the `Config`.
        options: the `Options`.
        dataset: str, see `peernets_tf.datasets.load`.
        data_dir: str or None, the TensorFlow Datasets directory.
        distribution: str or None, how several devices share the training, see
            `peernets_tf.training.distributed`.

    Raises:
        DataError: if there is no such data set.
        UserError: if there is no such distribution or attack.
    """

    settings: Config
    options: Options
    dataset: str = "cifar10"
    data_dir: str | None = None
    distribution: str | None = None

    def __post_init__(self) -> None:
        datasets.check_name(self.dataset)
        training.check_distribution(self.distribution)
        if self.settings.num_steps:
            # Refuses what the record could not name after the training.
            attack_of(self.settings)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Trained:
    """A trained network.

    Attributes:
        network: the Keras model from images in [0, 1] to logits.
        path: str, its file.
        options: the `Options`, with the defaults of the data set.
        graphs: the `records.Graphs` that it stores, or None without peers.
        initial_model: the `records.InitialModel`, or None for random weights.
        history: tuple of dicts, one for each checkpoint: epoch, loss,
            accuracy, val_loss, val_accuracy and seconds.
        provenance: the `records.Provenance` of the start of the training.
    """

    network: keras.Model
    path: str
    options: Options
    graphs: records.Graphs | None
    initial_model: records.InitialModel | None
    history: tuple[dict[str, Any], ...]
    provenance: records.Provenance

    @property
    def seconds(self) -> float:
        """The time of training, without interruptions."""
        return round(sum(row["seconds"] for row in self.history), 1)


def train(config: TrainConfig, provenance: records.Provenance) -> Trained:
    """Trains a network, see `train_network`, tests it and writes `record.json`.

    The test counts unperturbed images, with logits averaged over all graphs.

    Args:
        config: the `TrainConfig`.
        provenance: the `records.Provenance` of this start.
    """
    check_backend()
    settings, options = config.settings, config.options
    # The seed may come from config.json instead of a flag.
    provenance = dataclasses.replace(provenance, seed=settings.tf_random_seed)
    with training.distributed(config.distribution) as num_devices:
        dataset = data.load(config.dataset, config.data_dir)
        print(
            f"Training {options.network} on {dataset.name} for "
            f"{settings.max_num_training_steps} steps in {settings.model_dir}",
            flush=True,
        )
        trained = train_network(
            settings, options, dataset, provenance, num_devices=num_devices
        )
        print(f"Testing on {len(dataset.test)} images", flush=True)
        record = _record(trained, settings, dataset, provenance, num_devices)
    path = os.path.join(settings.model_dir, "record.json")
    records.write(record, path)
    print(
        f"{record.model} on {record.dataset}: test accuracy "
        f"{record.accuracy:.2%}\nRecord: {path}"
    )
    return trained


def _record(
    trained: Trained,
    settings: Config,
    dataset: datasets.Dataset,
    latest: records.Provenance,
    num_devices: int,
) -> records.TrainingRecord:
    """Tests a trained network, and returns the record of its training.

    The provenance has the code and machine of the first start, and the flags of
    the latest.
    """
    network = trained.network
    attack = repr(attack_of(settings)) if settings.num_steps else None
    provenance = dataclasses.replace(
        trained.provenance,
        command=latest.command,
        flags={
            **latest.flags,
            **dataclasses.asdict(settings),
            **dataclasses.asdict(trained.options),
        },
    )
    return records.TrainingRecord(
        model=network.name,
        weights_sha256=models.weights_sha256(network),
        dataset=dataset.name,
        train_size=len(dataset.train),
        test_size=len(dataset.test),
        correct=training.count_correct(
            peers.monte_carlo(network),
            dataset.test,
            num_devices=num_devices,
        ),
        num_parameters=network.count_params(),
        graphs=trained.graphs,
        history=tuple(
            {key: row[key] for key in row if key != "seconds"}
            for row in trained.history
        ),
        initial_model=trained.initial_model,
        attack=attack,
        num_steps=settings.max_num_training_steps,
        provenance=records.with_seconds(provenance, trained.seconds),
    )


def train_network(
    settings: Config,
    options: Options,
    dataset: datasets.Dataset,
    provenance: records.Provenance,
    *,
    num_devices: int = 1,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Trained:
    """Trains a network, or resumes the training in `settings.model_dir`.

    That folder then holds `config.json`, the models of the newest checkpoints
    and `model.keras`, the trained network with its graphs if it is a PeerNet.

    Args:
        settings: the `Config`.
        options: the `Options`.
        dataset: the `peernets_tf.datasets.Dataset`.
        provenance: the `records.Provenance` of this start.
        num_devices: int, the devices that share each batch.
        callbacks: more Keras callbacks.

    Raises:
        UserError: if the folder holds another run, an option is out of range,
            or the loss is no longer finite.
    """
    if options.augment is None:
        options = dataclasses.replace(
            options, augment=dataset.name.startswith("cifar")
        )
    training.check_shares(
        num_devices, training_batch_size=settings.training_batch_size
    )
    seed, folder = settings.tf_random_seed, settings.model_dir
    keras.utils.set_random_seed(seed)
    network = build_network(
        options.network, dataset, weight_decay=settings.weight_decay, seed=seed
    )
    initial_model = training.start_from(options.initial_model, network)
    trainer = adversarial_training.AdversarialTrainer(
        network,
        settings,
        attack_mode=options.attack_mode,
        backward=options.backward,
        seed=seed,
    )
    # Before anything is written.
    training.check_sizes(
        network,
        dataset,
        batch_size=settings.training_batch_size,
        num_peers=options.num_peers,
        batch_flag="training_batch_size",
    )
    identity = _identity(settings, options, dataset, initial_model, num_devices)
    with records.lock_folder(folder):
        # The folder must be this run's before anything is written to it.
        records.claim(folder, identity, provenance, makes="model.keras")
        settings.write(os.path.join(folder, "config.json"))
        checkpoint = training.Checkpoint(folder, identity, provenance)
        fitted = step_schedule.fit(
            trainer,
            dataset,
            settings,
            options,
            num_devices=num_devices,
            checkpoint=checkpoint,
            callbacks=[
                saved_models.SaveModels(network, checkpoint),
                *callbacks,
            ],
        )
        graphs = training.store_graphs(
            network,
            dataset,
            num_peers=options.num_peers,
            num_graphs=options.num_graphs,
            seed=seed,
        )
        path = saved_models.save_trained(network, folder)
    return Trained(
        network=network,
        path=path,
        options=options,
        graphs=graphs,
        initial_model=initial_model,
        history=fitted.history,
        provenance=fitted.provenance,
    )


def build_network(
    name: str, dataset: datasets.Dataset, *, weight_decay: float, seed: int
) -> keras.Model:
    """Builds one of `options.NETWORKS` for a data set's images and classes.

    Args:
        name: str, one of `NETWORKS`.
        dataset: the `peernets_tf.datasets.Dataset`.
        weight_decay: float, the factor of half the sum of squares of all
            kernels in the loss.
        seed: int, the seed of dropout in PeerRegularization layers.
    """
    shape = dataset.train.images.shape[1:]
    if name in FILTERS:
        return model.build(
            name,
            input_shape=shape,
            num_classes=dataset.num_classes,
            weight_decay=weight_decay,
        )
    mean, variance = datasets.channel_statistics(dataset.train.images)
    return models.build(
        name,
        shape,
        dataset.num_classes,
        mean=mean,
        variance=variance,
        l2=weight_decay,
        seed=seed,
    )


def _identity(
    settings: Config,
    options: Options,
    dataset: datasets.Dataset,
    initial_model: records.InitialModel | None,
    num_devices: int,
) -> dict[str, Any]:
    """Returns everything that the trained weights depend on."""
    identity = {
        "kind": "adversarial_training",
        "dataset": dataset.name,
        "dataset_sha256": dataset.sha256,
        **dataclasses.asdict(options),
        "initial_model": initial_model and initial_model.weights_sha256,
        "num_devices": num_devices,
        **dataclasses.asdict(settings),
    }
    unread = _EVALUATION_KEYS + (() if settings.num_steps else _ATTACK_KEYS)
    return {key: identity[key] for key in identity if key not in unread}
