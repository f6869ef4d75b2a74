"""PGD: projected gradient ascent from random starts."""

import dataclasses
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from peernets_tf.attacks import norms
from peernets_tf.attacks.ascent import Ascent, ascend
from peernets_tf.attacks.base import SearchableAttack
from peernets_tf.attacks.best_images import BestImages
from peernets_tf.attacks.classifier import Classifier
from peernets_tf.errors import UserError
from peernets_tf.seeds import Stream, generator

# Stopping more often would mostly call the model to see who is fooled.
_STEPS_BETWEEN_STOPS = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class PGD(SearchableAttack):
    """Projected gradient descent, Madry et al. (2018).

    In a search for the smallest epsilon, the step size scales with the radius.

    Attributes:
        epsilon: float, the radius of the ball for images in [0, 1].
        steps: int, the number of gradient steps.
        step_size: float or None, the length of a step; None for
            2.5 epsilon / steps.
        norm: `"linf"` or `"l2"`.
        loss: `"cross_entropy"`, `"margin"` or `"dlr"`.
        targeted: bool, whether the labels are classes to reach.
        random_start: bool, whether to start at a random point of the ball.
        restarts: int, the number of starts; the best result is kept. More than
            1 needs `keep_best`.
        keep_best: bool, whether to return the best iterate of each image (one
            that fools the model if there is one, and among those the one with
            the largest loss), not the last one.
        stop_when_fooled: bool, whether to take no more steps for an image that
            fools the model. As many images fool it, in less time. Their losses
            stay smaller, which matters if another model makes the predictions.
            Needs `keep_best`.
    """

    name: ClassVar[str] = "pgd"

    epsilon: float = 8 / 255
    steps: int = 40
    step_size: float | None = None
    norm: str = "linf"
    loss: str = "cross_entropy"
    targeted: bool = False
    random_start: bool = True
    restarts: int = 1
    keep_best: bool = True
    stop_when_fooled: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.keep_best and (self.restarts > 1 or self.stop_when_fooled):
            raise UserError(
                "`restarts > 1` and `stop_when_fooled` require "
                "`keep_best=True`; leave it at its default. Received: "
                f"restarts={self.restarts}, "
                f"stop_when_fooled={self.stop_when_fooled}, keep_best=False"
            )

    def perturb_within(
        self,
        classifier: Classifier,
        images: NDArray[np.float32],
        labels: NDArray[np.int32],
        radius: NDArray[np.float32],
        *,
        seed: int,
    ) -> NDArray[np.float32]:
        step_size = self._step_sizes(radius)
        ascent = Ascent(
            norm=self.norm,
            loss=self.loss,
            targeted=self.targeted,
            keep_best=self.keep_best,
        )
        stop = self.stop_when_fooled
        steps_at_once = _STEPS_BETWEEN_STOPS if stop else self.steps
        best = BestImages(images)
        for restart in range(self.restarts):
            iterates = self._start(images, radius, seed, restart)
            for done in range(0, self.steps, steps_at_once):
                active = np.flatnonzero((best.fooled == 0) | (not stop))
                if not len(active):
                    break
                found = ascend(
                    classifier,
                    ascent,
                    iterates[active],
                    images[active],
                    labels[active],
                    radius[active],
                    step_size[active],
                    min(steps_at_once, self.steps - done),
                )
                iterates[active] = found.last
                best.update(active, found.best, found.values, found.fooled)
        return best.images

    def _step_sizes(self, radius: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns the step size for each image from its radius."""
        if self.step_size is None:
            return radius * np.float32(2.5 / self.steps)
        epsilon = np.float32(self.epsilon)
        if epsilon == 0:
            return np.full_like(radius, self.step_size)
        # At the attack's own radius exactly `step_size`.
        return radius / epsilon * np.float32(self.step_size)

    def _start(
        self,
        images: NDArray[np.float32],
        radius: NDArray[np.float32],
        seed: int,
        restart: int,
    ) -> NDArray[np.float32]:
        """Returns a copy of the images, at random points of their balls."""
        if not self.random_start:
            return images.copy()
        rng = generator(Stream.PGD_START, seed, restart)
        points = norms.random_points(images.shape, self.norm, radius, rng)
        return np.clip(images + points, 0, 1)
