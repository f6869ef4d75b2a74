"""Makes a small file of a trained model, with its record and its card."""

import contextlib
import dataclasses
import os
import re
from typing import TYPE_CHECKING

from peernets_tf import datasets, files, models, records
from peernets_tf.errors import UserError, naming
from peernets_tf.lazy import module
from peernets_tf.training.model_card import model_card

if TYPE_CHECKING:
    from peernets_tf import peers
else:
    peers = module("peernets_tf.peers")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PublishingConfig:
    """Which run is published, and where to.

    Attributes:
        run_dir: str, the output folder of a finished training.
        name: str, the name of the published model.
        output_dir: str, the folder of the published files.
        data_dir: str or None, see `datasets.load`.
        test_size: int, test images classified with the published model, the
            first ones.

    Raises:
        UserError: if the name is not a plain file name or ends in `.suite`,
            the folder does not hold a finished training, or the published model
            would replace the trained one.
    """

    run_dir: str
    name: str
    output_dir: str
    data_dir: str | None = None
    test_size: int = 1000

    def __post_init__(self) -> None:
        if self.name.endswith(".suite"):
            raise UserError(
                "--name must not end in .suite, which marks the attacks on a "
                f"published model. Received: {self.name!r}"
            )
        # The name of three files: no separator, and no leading dot.
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", self.name):
            raise UserError(
                "--name must be 1 to 100 letters, digits, `.`, `_` or `-`, the "
                f"first a letter or digit. Received: {self.name!r}"
            )
        self.run()
        is_own = os.path.realpath(self.output_dir) == os.path.realpath(
            self.run_dir
        )
        if is_own or os.path.lexists(os.path.join(self.output_dir, "run.json")):
            raise UserError(
                "--output_dir must not be the folder of a run, whose files it "
                f"could replace. Received: {self.output_dir}"
            )

    @property
    def record_path(self) -> str:
        """The record of the training."""
        return os.path.join(self.run_dir, "record.json")

    @property
    def model_path(self) -> str:
        """The model of the training."""
        return os.path.join(self.run_dir, "model.keras")

    def run(self) -> records.TrainingRecord:
        """Reads the record of the training.

        Raises:
            UserError: if the folder does not hold a finished training.
        """
        with naming("--run_dir"):
            run = records.read(self.record_path)
        files.check_exists(self.model_path, "the model of --run_dir")
        if not isinstance(run, records.TrainingRecord):
            raise UserError(
                f"{self.record_path} must be the record of a training: give "
                "the --output_dir of one. Received: a record of kind "
                f"{run.kind}"
            )
        return run


def publish(config: PublishingConfig) -> records.TrainingRecord:
    """Writes NAME.keras, its record NAME.json and its model card NAME.md.

    The published model has the run's weights and first graph of peers, without
    the optimizer. Its record counts the correct test images again.

    Args:
        config: the `PublishingConfig`.

    Returns:
        The `records.TrainingRecord` of the published model.

    Raises:
        UserError: if the model.keras of the training is not the one of its
            record, or the data set has changed since.
    """
    from peernets_tf.training.accuracy import predict_classes

    run = config.run()
    model = models.load(config.model_path)
    received = models.weights_sha256(model)
    if received != run.weights_sha256:
        raise UserError(
            f"{config.model_path} must be the model of {config.record_path}, "
            f"whose weights have the SHA-256 {run.weights_sha256}. Received: "
            f"{received}; train again in another folder"
        )
    models.check_finite(model)
    bank = peers.stored_peers(model)
    if bank is not None:
        peers.set_peers(model, bank.first(1))
    dataset = datasets.load(run.dataset, config.data_dir)
    _check_same_images(config, dataset)
    test = dataset.test.first(config.test_size)
    classes = predict_classes(model, test.images)
    rejected = None
    if run.rejected is not None:
        rejected = int((classes == dataset.num_classes).sum())
    published = dataclasses.replace(
        run,
        weights_sha256=models.weights_sha256(model),
        test_size=len(test),
        correct=int((classes == test.labels).sum()),
        rejected=rejected,
        num_parameters=model.count_params(),
        graphs=run.graphs and dataclasses.replace(run.graphs, num_graphs=1),
    )
    os.makedirs(config.output_dir, exist_ok=True)
    path = os.path.join(config.output_dir, config.name)
    is_preset = os.path.realpath(config.output_dir) == os.path.realpath(
        models.PRESET_FOLDER
    )
    card = model_card(config.name, run, published, is_preset=is_preset)
    # An earlier model of the name goes before its record does, and this one
    # comes after its own: no model stands beside the record of another.
    with files.atomic_file(f"{path}.keras") as temporary:
        models.save(model, temporary)
        with contextlib.suppress(FileNotFoundError):
            os.remove(f"{path}.keras")
        records.write(published, f"{path}.json")
        files.write_text(card, f"{path}.md")
    size = os.path.getsize(f"{path}.keras") / 1e6
    print(
        f"{path}.keras: {size:.1f} MB, {published.accuracy:.2%} of "
        f"{len(test)} test images correct"
    )
    return published


def _check_same_images(
    config: PublishingConfig, dataset: datasets.Dataset
) -> None:
    """Raises a `UserError` if a file of images changed after the training."""
    if not os.path.exists(os.path.join(config.run_dir, "run.json")):
        return
    trained_on = records.identity_of(config.run_dir).get("dataset_sha256")
    if trained_on != dataset.sha256:
        raise UserError(
            f"{dataset.name} must hold the images of the training, whose file "
            f"has the SHA-256 {trained_on}. Received: {dataset.sha256}; give "
            "back that file, or train again in another folder"
        )
