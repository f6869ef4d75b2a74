"""The smallest epsilon at which an attack fools: Table 2, Figures 5 and 6."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from peernets_tf.attacks import checks, losses
from peernets_tf.attacks.base import Attack, SearchableAttack
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

    `SmallestEpsilon.over(PGD, image_shape=(32, 32, 3))` gives PGD the options
    that suit a search.

    An image does not change if no epsilon fools the model, or if the model
    misclassifies it without an attack.

    Attributes:
        attack: the `SearchableAttack` whose epsilon is searched for, such as
            `FGSM()`.
        largest_epsilon: float, the last epsilon that is tried.
        num_epsilons: int, the number of epsilons in ascending order.
        ratio: float, the ratio of an epsilon to the one before.
        halvings: int, the number of times that the interval is halved.
        sets: frozenset of str, the options of the attack that the search sets.

    Raises:
        UserError: if `attack` is not a `SearchableAttack`.
    """

    name: ClassVar[str] = "smallest_epsilon"
    sets: ClassVar[frozenset[str]] = frozenset(
        {"epsilon", "step_size", "keep_best", "stop_when_fooled"}
    )

    attack: SearchableAttack
    largest_epsilon: float = 1.0
    num_epsilons: int = 10
    ratio: float = 2.0
    halvings: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.attack, SearchableAttack):
            raise _no_search(self.attack)

    @classmethod
    def over(
        cls,
        attack_type: type[Attack],
        *,
        image_shape: Sequence[int],
        largest_epsilon: float | None = None,
        **options: Any,
    ) -> Self:
        """Returns a search over the radii of an attack.

        Args:
            attack_type: a class of `SearchableAttack`, such as `PGD`.
            image_shape: tuple `(H, W, C)`.
            largest_epsilon: float, the last epsilon that is tried. None for the
                largest distance between two images: 1 in L-infinity,
                sqrt(H W C) in L2.
            **options: the fields of the attack, except those that the search
                `sets`.

        Raises:
            UserError: if the attack has no search, or an option is out of range
                or set by the search.
        """
        if not issubclass(attack_type, SearchableAttack):
            raise _no_search(attack_type.name)
        given = sorted(cls.sets & options.keys())
        if given:
            raise UserError(
                f"a search sets `{given[0]}` itself: leave it out. Received: "
                f"{given[0]}={options[given[0]]}"
            )
        # Each image gets others.
        options["epsilon"] = 1.0
        if "stop_when_fooled" in attack_type.options():
            # The search only asks whether an image is fooled.
            options["stop_when_fooled"] = True
        attack = attack_type(**options)
        if largest_epsilon is None:
            is_l2 = attack.norm == "l2"
            largest_epsilon = (
                math.sqrt(math.prod(image_shape)) if is_l2 else 1.0
            )
        return cls(attack=attack, largest_epsilon=largest_epsilon)

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
    ) -> NDArray[np.float32]:
        found = images.copy()
        is_done = self._fooled(classifier, images, labels)
        lower = np.zeros(len(images))
        upper = np.full(len(images), np.inf)

        def attack_at(epsilon: NDArray[Any], chosen: NDArray[np.bool_]) -> None:
            """Attacks the chosen images, and narrows their intervals."""
            where = np.flatnonzero(chosen)
            if not len(where):
                return
            adversarial = self.attack.perturb_within(
                classifier,
                images[where],
                labels[where],
                epsilon[where].astype(np.float32),
                seed=seed,
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


def _no_search(attack: Any) -> UserError:
    return UserError(
        "`attack` must be one with a search: GradientDescent, FGSM, PGD or "
        f"APGD. Received: {attack}"
    )
