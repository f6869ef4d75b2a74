"""The networks of Table 6 and how much of their training a budget allows."""

import dataclasses

from madry_challenge.config import Config
from peernets_tf import training

# The networks that a budget trains.
TRAINED = (
    "resnet32",
    "resnet32_a",
    "resnet32_b",
    "pr_resnet32",
    "pr_resnet32_exact",
    "pr_resnet32_bpda",
)
# Published models, by the key of the row in which they are attacked.
PUBLISHED = {
    "resnet32": "cifar10_resnet32_long",
    "resnet32_fgsm": "cifar10_resnet32_adversarial_long",
    "pr_resnet32": "cifar10_pr_resnet32_long",
    "pr_resnet32_fgsm": "cifar10_pr_resnet32_adversarial",
}
KEYS = tuple(dict.fromkeys((*TRAINED, *PUBLISHED)))
# The published schedules count epochs of CIFAR-10.
TRAIN_SIZE = 50_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A network and how it is trained.

    Attributes:
        key: str, what flags, folders and budgets call it.
        name: str, what the paper calls it.
        network: str, one of `madry_challenge.options.NETWORKS`.
        settings: the `Config` of its training. With `num_steps=0` it is trained
            on unperturbed images.
        backward: str, the backward pass of PeerRegularization layers that the
            attack follows in training.
        start: str or None, the key of the row whose weights it starts from, in
            a budget too short to learn from random weights.
        attack: str, what the attack of its training is called.
    """

    key: str
    name: str
    network: str
    settings: Config
    backward: str = "exact"
    start: str | None = None
    attack: str = "PGD"

    @property
    def trained_on(self) -> str:
        """What images it is trained on: `images`, `PGD` or `PGD, exact`."""
        if not self.settings.num_steps:
            return "images"
        return adversarial_images(self.attack, self.network, self.backward)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Budget:
    """How much of the published schedules is run.

    Attributes:
        steps: dict of ints, the training steps of each row by its key. The
            published schedules are shortened to them, and networks start from
            other rows' weights. None: the published schedules as they are.
        num_checkpoint_steps: int, the steps between checkpoints.
        num_eval_examples: int, the number of test images that are attacked.
        num_graphs: tuple of ints, M, the graphs of a PeerNet at test time. It
            is attacked once with each.
        trains: bool, whether networks are trained. Otherwise the rows are those
            of `PUBLISHED`.
    """

    steps: dict[str, int] | None = None
    num_checkpoint_steps: int = 300
    num_eval_examples: int
    num_graphs: tuple[int, ...]
    trains: bool = True


BUDGETS = {
    "minutes": Budget(num_eval_examples=500, num_graphs=(1,), trains=False),
    "day": Budget(num_eval_examples=1000, num_graphs=(1, 10), trains=False),
    "smoke": Budget(
        steps={
            "resnet32": 4,
            "resnet32_a": 2,
            "resnet32_b": 2,
            "pr_resnet32": 4,
            "pr_resnet32_exact": 2,
            "pr_resnet32_bpda": 2,
        },
        num_checkpoint_steps=2,
        num_eval_examples=20,
        num_graphs=(1,),
    ),
    # On two CPU cores an adversarial step takes 2.6 seconds for ResNet-32 and
    # 4 for PR-ResNet-32. On images the first has 3 epochs and the second 1.
    "hour": Budget(
        steps={
            "resnet32": 1170,
            "resnet32_a": 250,
            "resnet32_b": 250,
            "pr_resnet32": 781,
            "pr_resnet32_exact": 150,
            "pr_resnet32_bpda": 150,
        },
        num_checkpoint_steps=100,
        num_eval_examples=500,
        num_graphs=(1,),
    ),
    "full": Budget(num_eval_examples=10_000, num_graphs=(10,)),
}


def adversarial_images(attack: str, network: str, backward: str) -> str:
    """Returns what rows call the images that a network was trained on.

    Args:
        attack: `"PGD"` or `"FGSM"`.
        network: str, one of `madry_challenge.options.NETWORKS`.
        backward: str, the backward pass that the attack on a PeerNet followed.
    """
    return f"{attack}, {backward}" if network.startswith("pr_") else attack


def rows(challenge: Config, budget: Budget, backward: str) -> list[Row]:
    """Returns the rows of the comparison, in the order of their training.

    ResNet-32 A has the challenge's hyper-parameters, the others have those of
    Table 1. The paper has neither ResNet-32 trained on images, which is the
    control, nor the PeerNets trained on adversarial images. Budgets that train
    nothing have two more rows, of a published ResNet-32 and a PR-ResNet-32 that
    were trained on images of FGSM, for as many steps. They do not read the
    schedules in the rows' settings.

    Args:
        challenge: the `Config` of the challenge. Its attack is that of all
            rows.
        budget: the `Budget`.
        backward: `"identity"` or `"soft"`, the backward pass that the attack of
            the row `pr_resnet32_bpda` follows in training.
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
            key="pr_resnet32_bpda",
            name="PR-ResNet-32",
            network="pr_resnet32",
            settings=peernet,
            backward=backward,
            start="pr_resnet32",
        ),
    ]
    if not budget.trains:
        fast = Row(
            key="resnet32_fgsm",
            name="ResNet-32",
            network="resnet32",
            settings=resnet,
            attack="FGSM",
        )
        found.insert(TRAINED.index("pr_resnet32"), fast)
        found.append(
            dataclasses.replace(
                fast,
                key="pr_resnet32_fgsm",
                name="PR-ResNet-32",
                network="pr_resnet32",
                settings=peernet,
                backward="identity",
            )
        )
    return [_within(budget, row) for row in found]


def _table_1(network: str, challenge: Config) -> Config:
    """Returns Table 1's hyper-parameters with the challenge's attack."""
    recipe = training.recipe(network, "cifar10")
    steps = TRAIN_SIZE // recipe.batch_size
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
    """Returns a row whose training fits the budget."""
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
