"""Table 6: adversarially trained ResNet-32 and PeerNets, under one attack."""

import dataclasses
import json
from typing import Any

from madry_challenge.config import Config
from madry_challenge.evaluation import attack_of
from peernets_tf import paper, recipes, results

COLUMNS = (
    "row",
    "trained on",
    "attack mode",
    "steps",
    "attack follows",
    "images",
    "clean",
    "attacked",
    "paper, clean",
    "paper, attacked",
)
_TRAIN_SIZE = 50_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A network and how it is trained.

    Attributes:
        key: str, what flags, folders and budgets call it.
        name: str, what the paper calls it, if it does.
        network: str, one of `madry_challenge.runs.NETWORKS`.
        settings: the `Config` of the training; with 0 steps of PGD it is on
            the images themselves.
        backward: str, the gradient of PeerRegularization layers that the
            attack follows while training.
        start: str or None, the key of the row whose weights it starts from, in
            a budget too short to learn from random ones.
    """

    key: str
    name: str
    network: str
    settings: Config
    backward: str = "exact"
    start: str | None = None

    @property
    def is_peernet(self) -> bool:
        return self.network.startswith("pr_")

    @property
    def trained_on(self) -> str:
        if not self.settings.num_steps:
            return "images"
        return f"PGD, {self.backward}" if self.is_peernet else "PGD"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Budget:
    """How much of the published schedules is run.

    Attributes:
        steps: dict of ints, the training steps by key of the row, to which
            the published schedules are shortened, and networks start from
            others' weights; None for the published schedules as they are.
        num_checkpoint_steps: int, steps between checkpoints.
        num_eval_examples: int, test images attacked.
        num_graphs: int, M, a PeerNet's graphs at test time.
    """

    steps: dict[str, int] | None
    num_checkpoint_steps: int
    num_eval_examples: int
    num_graphs: int


BUDGETS = {
    "smoke": Budget(
        steps={
            "resnet32": 4,
            "resnet32_a": 2,
            "resnet32_b": 2,
            "pr_resnet32": 4,
            "pr_resnet32_exact": 2,
            "pr_resnet32_surrogate": 2,
        },
        num_checkpoint_steps=2,
        num_eval_examples=20,
        num_graphs=1,
    ),
    # On two CPU cores: 3 epochs of ResNet-32, 1 of PR-ResNet-32, and as many
    # adversarial steps, of 2.6 and 4 seconds, as the hour has room for.
    "hour": Budget(
        steps={
            "resnet32": 1170,
            "resnet32_a": 250,
            "resnet32_b": 250,
            "pr_resnet32": 781,
            "pr_resnet32_exact": 150,
            "pr_resnet32_surrogate": 150,
        },
        num_checkpoint_steps=100,
        num_eval_examples=500,
        num_graphs=1,
    ),
    "full": Budget(
        steps=None,
        num_checkpoint_steps=300,
        num_eval_examples=10_000,
        num_graphs=10,
    ),
}


def rows(challenge: Config, budget: Budget, surrogate: str) -> list[Row]:
    """Returns the rows of the comparison.

    ResNet-32 A has the challenge's hyper-parameters, all others have those of
    Table 1. ResNet-32 on images, the control, and the PeerNets on adversarial
    images are not in the paper.

    Args:
        challenge: the `Config` of the challenge, with the attack of all rows.
        budget: the `Budget`.
        surrogate: str, the gradient of PeerRegularization layers that the last
            row's attack follows: `"identity"` or `"soft"`.
    """
    resnet = _table_1("resnet32", challenge)
    peernet = _table_1("pr_resnet32", challenge)
    found = [
        Row(
            key="resnet32",
            name="ResNet-32",
            network="resnet32",
            settings=dataclasses.replace(resnet, num_steps=0),
        ),
        Row(
            key="resnet32_a",
            name="ResNet-32 A",
            network="resnet32",
            settings=challenge,
            start="resnet32",
        ),
        Row(
            key="resnet32_b",
            name="ResNet-32 B",
            network="resnet32",
            settings=resnet,
            start="resnet32",
        ),
        Row(
            key="pr_resnet32",
            name="PR-ResNet-32",
            network="pr_resnet32",
            settings=dataclasses.replace(peernet, num_steps=0),
            start="resnet32",
        ),
        Row(
            key="pr_resnet32_exact",
            name="PR-ResNet-32",
            network="pr_resnet32",
            settings=peernet,
            start="pr_resnet32",
        ),
        Row(
            key="pr_resnet32_surrogate",
            name="PR-ResNet-32",
            network="pr_resnet32",
            settings=peernet,
            backward=surrogate,
            start="pr_resnet32",
        ),
    ]
    return [_within(budget, row) for row in found]


def _table_1(network: str, challenge: Config) -> Config:
    """Returns the hyper-parameters of Table 1 with the challenge's attack."""
    recipe = recipes.recipe(network, "cifar10")
    steps = _TRAIN_SIZE // recipe.batch_size
    rates = [(0, recipe.learning_rate)]
    for epoch in recipe.decay_epochs:
        rates.append((epoch * steps, rates[-1][1] * recipe.decay_factor))
    return dataclasses.replace(
        challenge,
        max_num_training_steps=recipe.epochs * steps,
        training_batch_size=recipe.batch_size,
        step_size_schedule=tuple(rates),
        weight_decay=recipe.l2,
        momentum=recipe.momentum,
    )


def _within(budget: Budget, row: Row) -> Row:
    settings, start = row.settings, None
    if budget.steps is not None:
        settings = settings.scaled(budget.steps[row.key])
        start = row.start
    settings = dataclasses.replace(
        settings,
        num_checkpoint_steps=budget.num_checkpoint_steps,
        num_eval_examples=budget.num_eval_examples,
    )
    return dataclasses.replace(row, settings=settings, start=start)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComparisonResult:
    """What one comparison measured.

    Attributes:
        rows: list of dicts, one a network: `key`, `name`, `network`;
            `trained_on`; `checkpoint`, the model's file; `steps`, those
            trained, after those of the networks that it started from, None for
            a file that was given; `training`, its settings, options, history,
            seconds and environment, or None; `weights_sha256`; `peers`, the
            graphs, as in `peernets_tf.results.AttackResult`; `cases`, one for
            each gradient that the attack followed: `backward`, the counts, and
            the environment.
        budget: str, one of `BUDGETS`.
        dataset: str, the data set's name.
        test_size: int, test images attacked.
        seed: int, the seed of the command.
        flags: dict, the command's flags.
        command: str, what reproduces it.
        commit: str, the version of the code that wrote the table.
        versions: dict of str, of the packages that matter.
        device: str, what it ran on.
        seconds: float, the time of this run; what an interrupted one had done
            before is not in it.
    """

    rows: list[dict[str, Any]]
    budget: str
    dataset: str
    test_size: int
    seed: int
    flags: dict[str, Any]
    command: str
    commit: str
    versions: dict[str, str]
    device: str
    seconds: float


def read(path: str) -> ComparisonResult:
    """Reads a record of a comparison.

    Raises:
        ValueError: if the file is none.
    """
    with open(path, encoding="utf-8") as file:
        try:
            return ComparisonResult(**json.load(file))
        except (TypeError, json.JSONDecodeError) as error:
            raise ValueError(
                f"{path} is not the record of a comparison: {error}"
            ) from error


def table_rows(record: ComparisonResult) -> list[tuple[str, ...]]:
    """Returns the cells of a comparison, as in `COLUMNS`.

    The paper's figures stand beside the networks that it trained, under the
    attack that it ran, the challenge's own.
    """
    return [
        (
            row["name"],
            row["trained_on"],
            _attack_mode(row),
            " + ".join("file" if n is None else str(n) for n in row["steps"]),
            case["backward"] if row["peers"] else "-",
            str(case["total"]),
            f"{case['correct'] / case['total']:.1%}",
            f"{case['adversarial_correct'] / case['total']:.1%}",
            *_published(record, row, case),
        )
        for row in record.rows
        for case in row["cases"]
    ]


def table(record: ComparisonResult) -> str:
    """Returns the Markdown table of a comparison."""
    return results.format_table(COLUMNS, table_rows(record))


def _attack_mode(row: dict[str, Any]) -> str:
    if row["training"] is None or row["trained_on"] == "images":
        return "-"
    return row["training"]["options"]["attack_mode"]


def _published(
    record: ComparisonResult, row: dict[str, Any], case: dict[str, Any]
) -> tuple[str, str]:
    is_the_papers = (
        record.dataset == "cifar10"
        and row["key"] in paper.ADVERSARIAL_TRAINING
        and case["backward"] == "exact"
        and case["attack"] == repr(attack_of(Config()))
    )
    if not is_the_papers:
        return "-", "-"
    clean, attacked = paper.ADVERSARIAL_TRAINING[row["key"]]
    return f"{clean:.1%}", f"{attacked:.1%}"
