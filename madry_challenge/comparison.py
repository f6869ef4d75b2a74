"""Table 6: trains or loads its networks, attacks them alike, records both."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from madry_challenge import data, evaluation, runs, table6
from madry_challenge.config import Config, attack_of
from madry_challenge.options import Options, check_backend
from peernets_tf import datasets, devices, models, records
from peernets_tf.errors import UserError
from peernets_tf.evaluation import GraphsConfig, check_fits
from peernets_tf.lazy import keras


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """A comparison.

    Attributes:
        rows: tuple of `table6.Row`s.
        budget: str, the name of the `table6.Budget` that the rows keep to.
        attack: the `Config` of the attack at test time, with
            `num_eval_examples`, `eval_batch_size` and `tf_random_seed`.
        backward: `"identity"` or `"soft"`, the backward pass with which
            PeerNets are attacked a second time.
        checkpoints: mapping from keys of rows to .keras files or presets that
            are attacked instead of a training.
        attack_mode: see `madry_challenge.options.Options`.
        num_peers: int, N, the images of one graph of a PeerNet.
        num_graphs: tuple of ints, M, the graphs of a PeerNet at test time. It
            is attacked once with each.
        output_dir: str, the folder of the record and of a folder for each row.
        dataset: str, see `peernets_tf.datasets.load`.
        data_dir: str or None, the TensorFlow Datasets directory.

    Raises:
        UserError: if there is no such data set, attack or model.
    """

    rows: tuple[table6.Row, ...]
    budget: str
    attack: Config
    backward: str = "identity"
    checkpoints: Mapping[str, str] = dataclasses.field(default_factory=dict)
    attack_mode: str = "train"
    num_peers: int = 50
    num_graphs: tuple[int, ...] = (1,)
    output_dir: str
    dataset: str = "cifar10"
    data_dir: str | None = None

    def __post_init__(self) -> None:
        datasets.check_name(self.dataset)
        attack_of(self.attack)
        for key, path in self.checkpoints.items():
            models.check_name(path, f"--checkpoint={key}=PATH")


def parse_checkpoints(texts: Sequence[str]) -> dict[str, str]:
    """Returns the models of rows that are written as ROW=PATH.

    Raises:
        UserError: if a text has another form, or a row has two models.
    """
    found: dict[str, str] = {}
    for text in texts:
        key, _, path = text.partition("=")
        if key not in table6.KEYS or not path:
            raise UserError(
                "--checkpoint must be ROW=PATH with one of the rows "
                f"{', '.join(table6.KEYS)}. Received: {text}"
            )
        if key in found:
            raise UserError(
                f"--checkpoint takes one model for each row. Received: {text} "
                f"after {key}={found[key]}"
            )
        found[key] = path
    return found


def compare(
    config: CompareConfig, provenance: records.Provenance
) -> records.ComparisonRecord:
    """Trains and attacks the networks, writes the record, prints its table.

    A comparison that was interrupted resumes in `config.output_dir`.

    Args:
        config: the `CompareConfig`.
        provenance: the `records.Provenance` of this start.

    Raises:
        UserError: if the configuration does not fit the data set, a folder
            holds another run, or a network is to be trained and Keras has
            another backend than TensorFlow.
    """
    if any(row.key not in config.checkpoints for row in config.rows):
        # To train them. Attacks work with other backends, too.
        check_backend()
    provenance = evaluation.with_settings(provenance, config.attack)
    # The default depends on the machine.
    flags = {**provenance.flags, "budget": config.budget}
    provenance = dataclasses.replace(provenance, flags=flags)
    dataset = data.load(config.dataset, config.data_dir)
    comparison = _Comparison(
        config=config, dataset=dataset, provenance=provenance
    )
    comparison.check()
    given = {
        row.key: comparison.load(row)
        for row in config.rows
        if row.key in config.checkpoints
    }
    with records.lock_folder(config.output_dir):
        records.claim(
            config.output_dir,
            _identity(comparison),
            provenance,
            makes="record.json",
        )
        return _compare(comparison, given)


def _identity(comparison: _Comparison) -> dict[str, Any]:
    """Returns which comparison a folder holds, as JSON values.

    The networks are in the identities of the rows' own folders: a network that
    was trained here may be given the next time.
    """
    config = comparison.config
    return {
        "kind": records.ComparisonRecord.kind,
        "budget": config.budget,
        "dataset": comparison.dataset.name,
        "dataset_sha256": comparison.dataset.sha256,
        "attack": repr(attack_of(config.attack)),
        "attack_mode": config.attack_mode,
        "seed": config.attack.tf_random_seed,
        "backward": config.backward,
        "num_peers": config.num_peers,
        "num_graphs": config.num_graphs,
    }


def _compare(
    comparison: _Comparison, given: Mapping[str, _Network]
) -> records.ComparisonRecord:
    """Trains, attacks and records, see `compare`; the folder is locked.

    Args:
        comparison: what to compare.
        given: mapping from a row's key to its model, where one was given.
    """
    config, dataset = comparison.config, comparison.dataset
    provenance = comparison.provenance
    if not table6.BUDGETS[config.budget].trains:
        print(
            "Attacking the published models. --budget=hour trains the networks "
            "of Table 6 instead, in about an hour on two CPU cores",
            flush=True,
        )
    rows: list[records.ComparisonRow] = []
    seconds = 0.0
    for number, row in enumerate(config.rows, start=1):
        network = given.get(row.key)
        images = network.trained_on if network else row.trained_on
        print(
            f"\n[{number}/{len(config.rows)}] {row.name} on {images}",
            flush=True,
        )
        if network is None:
            start_row = None
            if row.start:
                start_row = next(r for r in rows if r.key == row.start)
            network = comparison.train(row, start_row)
        attacked = comparison.attack(row, network)
        parts = [case.provenance for r in attacked for case in r.cases]
        if network.training is not None:
            parts.append(network.training.provenance)
        seconds += sum(part.seconds or 0 for part in parts)
        rows += attacked
    record = records.ComparisonRecord(
        rows=tuple(rows),
        budget=config.budget,
        dataset=dataset.name,
        test_size=len(dataset.test.first(config.attack.num_eval_examples)),
        provenance=records.with_seconds(provenance, seconds),
    )
    path = os.path.join(config.output_dir, "record.json")
    records.write(record, path)
    table = records.comparison_table.comparison_table(record).markdown()
    print(f"\n{table}\nRecord: {path}", flush=True)
    return record


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Network:
    """A network before its attack; the fields are `records.ComparisonRow`'s."""

    model: keras.Model
    checkpoint: str
    steps: tuple[int | None, ...]
    trained_on: str
    training: records.ComparisonTraining | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Comparison:
    """What all rows of a comparison share."""

    config: CompareConfig
    dataset: datasets.Dataset
    provenance: records.Provenance

    def check(self) -> None:
        """Checks before the trainings what would stop the comparison later."""
        train_size = len(self.dataset.train)
        sizes = [("num_peers", self.config.num_peers)]
        sizes += [
            ("training_batch_size", row.settings.training_batch_size)
            for row in self.config.rows
            if row.key not in self.config.checkpoints
        ]
        for name, size in sizes:
            if size > train_size:
                raise UserError(
                    f"`{name}` must be at most {train_size}, the number of "
                    f"training images. Received: {size}"
                )
        if self.config.budget == "full" and train_size != table6.TRAIN_SIZE:
            print(
                "warning: the published schedules count epochs of "
                f"{table6.TRAIN_SIZE} training images. {self.dataset.name} "
                f"has {train_size}",
                file=sys.stderr,
                flush=True,
            )
        if self.config.budget == "full" and not devices.has_gpu():
            print(
                "warning: without a GPU the full budget takes weeks. "
                "--budget=hour is for two CPU cores",
                file=sys.stderr,
                flush=True,
            )

    def load(self, row: table6.Row) -> _Network:
        """Loads the model that was given for a row."""
        name = self.config.checkpoints[row.key]
        path = models.preset_path(name)
        model = models.load(path)
        if model.name != row.network:
            raise UserError(
                f"--checkpoint={row.key}=PATH must hold {row.network}. "
                f"Received: {name}, which holds {model.name}"
            )
        training = records.of_model(path)
        attacks = row.trained_on != "images"
        if training and attacks != (training.attack is not None):
            wanted = "adversarial images" if attacks else "images"
            raise UserError(
                f"--checkpoint={row.key}=PATH must hold a network that was "
                f"trained on {wanted}. Received: {name}, which was trained on "
                f"{training.attack or 'images'}"
            )
        try:
            check_fits(model, self.dataset)
        except UserError as error:
            budget = table6.BUDGETS[self.config.budget]
            if budget.trains or name != table6.PUBLISHED.get(row.key):
                raise
            raise UserError(
                f"{error}, or train networks: give --budget=hour"
            ) from error
        trained_on = row.trained_on
        if training and training.attack is not None:
            trained_on = table6.adversarial_images(
                "FGSM" if "steps=1," in training.attack else "PGD",
                row.network,
                training.provenance.flags.get("backward", "exact"),
            )
        return _Network(
            model=model, checkpoint=name, steps=(None,), trained_on=trained_on
        )

    def train(
        self, row: table6.Row, start: records.ComparisonRow | None
    ) -> _Network:
        """Trains a row's network, from another's weights or random ones."""
        settings = dataclasses.replace(
            row.settings, model_dir=self._folder(row)
        )
        steps = settings.max_num_training_steps
        print(f"Training for {steps} steps in {settings.model_dir}", flush=True)
        options = Options(
            network=row.network,
            attack_mode=self.config.attack_mode,
            backward=row.backward,
            num_peers=self.config.num_peers,
            num_graphs=1,
            validation_size=min(1000, settings.num_eval_examples),
            initial_model=start.checkpoint if start else None,
        )
        trained = runs.train_network(
            settings, options, self.dataset, self.provenance
        )
        return _Network(
            model=trained.network,
            checkpoint=trained.path,
            trained_on=row.trained_on,
            steps=(*(start.steps if start else ()), steps),
            training=records.ComparisonTraining(
                settings=dataclasses.asdict(settings),
                options=dataclasses.asdict(trained.options),
                history=trained.history,
                provenance=records.with_seconds(
                    trained.provenance, trained.seconds
                ),
            ),
        )

    def attack(
        self, row: table6.Row, network: _Network
    ) -> list[records.ComparisonRow]:
        """Attacks a row's network, a PeerNet with each number of graphs."""
        if not row.network.startswith("pr_"):
            return [self._attack(row, network, None)]
        return [self._attack(row, network, m) for m in self.config.num_graphs]

    def _attack(
        self, row: table6.Row, network: _Network, num_graphs: int | None
    ) -> records.ComparisonRow:
        """Attacks a network, a PeerNet with two backward passes."""
        backwards = ["exact"]
        if num_graphs is not None:
            backwards.append(self.config.backward)
        attacked = {
            backward: self._evaluate(row, network, backward, num_graphs)
            for backward in backwards
        }
        exact = attacked["exact"]
        return records.ComparisonRow(
            key=row.key,
            name=row.name,
            network=row.network,
            trained_on=network.trained_on,
            checkpoint=network.checkpoint,
            steps=network.steps,
            training=network.training,
            weights_sha256=exact.weights_sha256,
            threat_model=exact.threat_model,
            cases=tuple(
                records.ComparisonCase(
                    backward=backward,
                    case=record.cases[0],
                    provenance=record.provenance,
                )
                for backward, record in attacked.items()
            ),
        )

    def _evaluate(
        self,
        row: table6.Row,
        network: _Network,
        backward: str,
        num_graphs: int | None,
    ) -> records.AttackRecord:
        from peernets_tf.evaluation import evaluate

        graphs, folder = GraphsConfig(), f"attack_{backward}"
        if num_graphs is not None:
            graphs = GraphsConfig(
                num_peers=self.config.num_peers, num_graphs=num_graphs
            )
        if num_graphs is not None and len(self.config.num_graphs) > 1:
            folder += f"_{num_graphs}"
        return evaluate(
            network.model,
            self.dataset,
            evaluation.evaluation_of(
                self.config.attack,
                output_dir=os.path.join(self._folder(row), folder),
                backward=backward,
                graphs=graphs,
            ),
            checkpoint=network.checkpoint,
            provenance=self.provenance,
        )

    def _folder(self, row: table6.Row) -> str:
        return os.path.join(self.config.output_dir, row.key)
