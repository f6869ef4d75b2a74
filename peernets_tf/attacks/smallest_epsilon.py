"""The smallest epsilon at which an attack fools: Table 2, Figures 5 and 6."""

import dataclasses
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from peernets_tf.attacks import checks, losses
from peernets_tf.attacks.base import Attack
from peernets_tf.attacks.classifier import Classifier
from peernets_tf.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class SmallestEpsilon(Attack):
    """Searches for the smallest epsilon at which an attack fools each image.

    It tries `num_epsilons` epsilons in ascending order, each `ratio` times the
    one before, up to `largest_epsilon`. Then it halves the interval between the
    first one that fools and the one below it, `halvings` times. Source: Section
    4.3.1 of the paper, "ten epsilon values are scanned in ascending order"; the
    halving is our addition.

    An image does not change if no epsilon fools the model, or if the model
    misclassifies it without an attack.

    Attributes:
        attack: the attack whose epsilon is searched for, such as `FGSM`.
        largest_epsilon: float, the last epsilon that is tried.
        num_epsilons: int, the number of epsilons in ascending order.
        ratio: float, the ratio of an epsilon to the one before.
        halvings: int, the number of times that the interval is halved.
    """

    name: ClassVar[str] = "smallest_epsilon"

    attack: Attack
    largest_epsilon: float = 1.0
    num_epsilons: int = 10
    ratio: float = 2.0
    halvings: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.attack.is_searchable:
            raise UserError(
                "`attack` must take an epsilon for each image, as FGSM, "
                "GradientDescent and PGD do. Received: "
                f"attack={self.attack}"
            )

    @property
    def norm(self) -> str:
        return self.attack.norm

    @property
    def loss(self) -> str | None:
        return self.attack.loss

    @property
    def targeted(self) -> bool:
        return self.attack.targeted

    def _perturb(
        self,
        classifier: Classifier,
        images: NDArray[np.float32],
        labels: Any,
        *,
        seed: int,
        epsilon: NDArray[np.float32] | None,
    ) -> NDArray[np.float32]:
        del epsilon
        found = images.copy()
        is_done = self._fooled(classifier, images, labels)
        lower = np.zeros(len(images))
        upper = np.full(len(images), np.inf)

        def attack_at(epsilon: NDArray[Any], chosen: NDArray[np.bool_]) -> None:
            """Attacks the chosen images, and narrows their intervals."""
            where = np.flatnonzero(chosen)
            if not len(where):
                return
            adversarial = self.attack._perturb(
                classifier,
                images[where],
                labels[where],
                seed=seed,
                epsilon=epsilon[where].astype(np.float32),
            )
            fooled = self._fooled(classifier, adversarial, labels[where])
            upper[where[fooled]] = epsilon[where[fooled]]
            lower[where[~fooled]] = epsilon[where[~fooled]]
            found[where[fooled]] = adversarial[fooled]

        for power in range(self.num_epsilons - 1, -1, -1):
            epsilon_now = self.largest_epsilon / self.ratio**power
            is_open = ~is_done & np.isinf(upper)
            attack_at(np.full(len(images), epsilon_now), is_open)
        has_interval = ~is_done & np.isfinite(upper)
        for _ in range(self.halvings):
            attack_at((lower + upper) / 2, has_interval)
        return found

    def _fooled(
        self,
        classifier: Classifier,
        images: NDArray[np.float32],
        labels: NDArray[np.int32],
    ) -> NDArray[np.bool_]:
        predictions = classifier.predict(images, labels, targeted=self.targeted)
        checks.check_predictions(predictions)
        return losses.is_fooled(predictions, labels, self.targeted)
