"""The smallest epsilon at which an attack fools: Table 2, Figures 5 and 6."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peernets_tf.attacks import autodiff, guards, losses
from peernets_tf.attacks.gradient import FGSM, PGD, GradientDescent


@dataclasses.dataclass(frozen=True, kw_only=True)
class SmallestEpsilon:
    """Searches each image's smallest epsilon at which an attack fools.

    Epsilons are tried in ascending order, `num_epsilons` of them, each
    `ratio` times the one before and the last one `largest_epsilon`; between
    the first that fools and the one below it the interval is then halved
    `halvings` times. Source: Section 4.3.1, "ten epsilon values are scanned in
    ascending order"; the halving is ours.

    Attributes:
        attack: the `FGSM`, `GradientDescent` or `PGD` whose epsilon is sought.
        largest_epsilon: float, the last epsilon tried.
        num_epsilons: int, epsilons tried in ascending order.
        ratio: float, above 1.
        halvings: int.
    """

    attack: FGSM | GradientDescent | PGD
    largest_epsilon: float = 1.0
    num_epsilons: int = 10
    ratio: float = 2.0
    halvings: int = 4

    @property
    def targeted(self) -> bool:
        return self.attack.targeted

    def __call__(
        self,
        logits_fn: autodiff.LogitsFunction,
        images: NDArray[Any],
        labels: NDArray[Any],
        *,
        seed: int = 0,
    ) -> NDArray[np.float32]:
        """Attacks images.

        Args:
            logits_fn: function from images to logits.
            images: float array of shape `(B, H, W, C)` in [0, 1].
            labels: int array of shape `(B,)`: the true classes, or, if the
                attack is targeted, the classes to reach.
            seed: int, the seed of what the attack draws.

        Returns:
            Array of the shape of `images`: each image's adversarial one at
            the smallest epsilon found, or the image itself if none fools it,
            or if it is classified wrongly anyway.
        """
        images = np.asarray(images, np.float32)
        labels = np.asarray(labels, np.int32)
        guards.check_images(images)
        found = images.copy()
        is_done = self._fooled(logits_fn, images, labels)
        lower = np.zeros(len(images))
        upper = np.full(len(images), np.inf)

        def attack_at(epsilon: NDArray[Any], chosen: NDArray[Any]) -> None:
            """Attacks the chosen images, and narrows their intervals."""
            where = np.flatnonzero(chosen)
            if not len(where):
                return
            (adversarial,) = autodiff.in_buckets(
                lambda *batch: (
                    self.attack(
                        logits_fn,
                        batch[0],
                        batch[1],
                        seed=seed,
                        epsilon=batch[2],
                    ),
                ),
                images[where],
                labels[where],
                epsilon[where],
            )
            fooled = self._fooled(logits_fn, adversarial, labels[where])
            upper[where[fooled]] = epsilon[where[fooled]]
            lower[where[~fooled]] = epsilon[where[~fooled]]
            found[where[fooled]] = adversarial[fooled]

        for power in range(self.num_epsilons - 1, -1, -1):
            epsilon = self.largest_epsilon / self.ratio**power
            attack_at(np.full(len(images), epsilon), ~is_done & np.isinf(upper))
        has_interval = ~is_done & np.isfinite(upper)
        for _ in range(self.halvings):
            attack_at((lower + upper) / 2, has_interval)
        return found

    def _fooled(
        self,
        logits_fn: autodiff.LogitsFunction,
        images: NDArray[Any],
        labels: NDArray[Any],
    ) -> NDArray[np.bool_]:
        (predictions,) = autodiff.in_buckets(
            autodiff.predictions_of(logits_fn), images
        )
        return losses.is_fooled(predictions, labels, self.targeted)
