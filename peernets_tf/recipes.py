"""The optimization parameters of Table 1, and the Monte Carlo runs of 4.1."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one model is trained on one data set.

    Attributes:
        optimizer: `"adam"` or `"momentum"`.
        epochs: int, passes over the training set.
        batch_size: int, images a batch; for a PeerNet also the graph's size.
        learning_rate: float, at its largest.
        momentum: float, of the momentum optimizer.
        l2: float, the gradient of the loss has `l2 * kernel` added.
        schedule: `"constant"`, `"step"` or `"cosine"`, see
            `peernets_tf.training.learning_rate_schedule`.
        decay_epochs: ints, where `"step"` multiplies the rate by
            `decay_factor`.
        decay_factor: float.
        augment: bool, whether training images are shifted and mirrored.
        num_peers: int, N, the images of a graph at test time.
        num_graphs: int, M, the graphs at test time.
    """

    optimizer: str
    epochs: int
    batch_size: int
    learning_rate: float
    momentum: float = 0.9
    l2: float
    schedule: str
    decay_epochs: tuple[int, ...] = (100, 175, 250)
    decay_factor: float = 0.1
    augment: bool
    num_peers: int = 50
    num_graphs: int = 10


_DEFAULT_MODELS = {"cifar10": "pr_resnet32", "cifar100": "pr_resnet110"}


def default_model(dataset: str) -> str:
    """Returns the name of the paper's PeerNet for a data set."""
    return _DEFAULT_MODELS.get(dataset, "pr_lenet5")


def recipe(model: str, dataset: str) -> Recipe:
    """Returns the recipe of Table 1 for a model, by name, on a data set.

    The augmentation is this project's choice; the paper is silent on it.
    """
    is_peernet = model.startswith("pr_")
    num_peers = 500 if dataset == "cifar100" else 50
    if model.endswith("lenet5"):
        return Recipe(
            optimizer="adam",
            epochs=100,
            batch_size=32 if is_peernet else 128,
            learning_rate=1e-3,
            l2=1e-4,
            schedule="constant",
            augment=False,
            num_peers=num_peers,
        )
    return Recipe(
        optimizer="momentum",
        epochs=350,
        batch_size=64 if is_peernet else 128,
        learning_rate=1e-2 if is_peernet else 1e-1,
        l2=2e-3 if "resnet110" in model else 1e-3,
        schedule="step",
        augment=dataset in ("cifar10", "cifar100"),
        num_peers=num_peers,
    )
