"""APGD: gradient ascent whose step sizes follow the progress of each image."""

import dataclasses
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from peernets_tf.attacks import checks, losses, norms
from peernets_tf.attacks.auto_ascent import AutoAscent, State
from peernets_tf.attacks.base import SearchableAttack
from peernets_tf.attacks.best_images import BestImages
from peernets_tf.attacks.classifier import Classifier
from peernets_tf.errors import UserError
from peernets_tf.seeds import Stream, generator
from peernets_tf.types import LogitsFunction, Tensor

# Stopping more often would mostly move images to and from the device.
_ITERATES_AT_ONCE = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class APGD(SearchableAttack):
    """Auto-PGD of Croce and Hein (2020), "Reliable evaluation".

    The first step is 2 epsilon long. At checkpoints the step size of an image
    is halved, and the image goes back to its iterate with the largest loss, if
    the loss grew in few of the steps since the last checkpoint, or if neither
    the step size nor the largest loss has changed since then. An image that is
    fooled takes part in no further run. All images share the direction of the
    random start, so that what happens to one does not depend on the others.

    Attributes:
        epsilon: float, the radius of the ball for images in [0, 1].
        norm: `"linf"` or `"l2"`.
        steps: int, the number of gradient steps of each run.
        restarts: int, the number of runs, each from another random start.
        loss: `"cross_entropy"`, `"margin"` or `"dlr"`.
        targeted: bool, whether the labels are classes to reach.
        num_targets: int, the number of wrong classes that the targeted DLR loss
            pulls towards, one after the other, the likeliest first. 0 for the
            untargeted loss. AutoAttack's APGD-T has 9.
        expectation: int, the number of forward passes over which logits, losses
            and gradients are averaged. More than 1 is for models that draw
            random numbers.
        stop_when_fooled: bool, whether an image that is fooled also takes no
            more steps of its run. As many images fool the model, in less time.
            Their losses stay smaller, which matters if other graphs of peers or
            other draws make the predictions. The authors' program goes on.
    """

    name: ClassVar[str] = "apgd"

    epsilon: float = 8 / 255
    norm: str = "linf"
    steps: int = 100
    restarts: int = 1
    loss: str = "cross_entropy"
    targeted: bool = False
    num_targets: int = 0
    expectation: int = 1
    stop_when_fooled: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_targets and (self.loss != "dlr" or self.targeted):
            raise UserError(
                "`num_targets` is for `loss='dlr'` with the true labels. "
                f"Received: num_targets={self.num_targets}, loss={self.loss}, "
                f"targeted={self.targeted}"
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
        best = BestImages(images)
        for rank, targets in enumerate(
            self._targets(classifier, images, labels)
        ):
            for restart in range(self.restarts):
                start = norms.random_start(
                    images,
                    self.norm,
                    radius,
                    generator(Stream.APGD_START, seed, rank, restart),
                )
                self._run(
                    classifier, best, start, images, labels, targets, radius
                )
        return best.images

    def _targets(
        self,
        classifier: Classifier,
        images: NDArray[np.float32],
        labels: NDArray[np.int32],
    ) -> list[NDArray[np.int32]]:
        """Returns the targets of each series of runs, arrays `(B,)`."""
        if not self.num_targets:
            # The loss does not read them.
            return [labels]
        logits = classifier.logits(images, labels)
        checks.check_predictions(losses.classes_of(logits))
        return list(
            losses.likeliest_wrong_classes(logits, labels, self.num_targets).T
        )

    def _run(
        self,
        classifier: Classifier,
        best: BestImages,
        start: NDArray[np.float32],
        images: NDArray[np.float32],
        labels: NDArray[np.int32],
        targets: NDArray[np.int32],
        radius: NDArray[np.float32],
    ) -> None:
        """Ascends from one start, and updates the best images."""
        ascent = AutoAscent(
            norm=self.norm,
            loss=self.loss,
            targeted=self.targeted,
            has_targets=self.num_targets > 0,
            expectation=self.expectation,
        )
        state = State.at(start, radius)
        active = np.flatnonzero(best.fooled == 0)
        for count, period in _parts(self.steps):
            if self.stop_when_fooled:
                active = np.flatnonzero(best.fooled == 0)
            if not len(active):
                return
            found = State._make(
                classifier.call(
                    _run,
                    *(values[active] for values in state),
                    images[active],
                    labels[active],
                    targets[active],
                    radius[active],
                    np.int32(count),
                    np.int32(period),
                    queries_per_image=count * self.expectation,
                    ascent=ascent,
                )
            )
            checks.check_finite(found.is_finite, checks.LOSS_GRADIENT)
            for values, new in zip(state, found, strict=True):
                values[active] = new
            best.update(active, found.result, found.result_value, found.fooled)


def checkpoints(steps: int) -> list[int]:
    """Returns the checkpoints, as the authors' program rounds them.

    They are the iterates after which step sizes may be halved; the start is
    iterate 0. The first is 22 % of the steps away from the start, and each
    period is 3 % of the steps shorter than the one before it, but not shorter
    than 6 %.

    Args:
        steps: int.
    """
    period, shorter, shortest = (
        max(int(share * steps), 1) for share in (0.22, 0.03, 0.06)
    )
    found = []
    last = period
    while last <= steps:
        found.append(last)
        period = max(period - shorter, shortest)
        last += period
    return found


def _parts(steps: int) -> Iterator[tuple[int, int]]:
    """Yields the parts of a run, between which fooled images drop out.

    Each part is how many iterates it asks and, if a checkpoint ends it, the
    number of steps since the last checkpoint, else 0. A part ends at each
    checkpoint.
    """
    done = last = 0
    for checkpoint in sorted({*checkpoints(steps), steps}):
        while done <= checkpoint:
            # Most images are fooled by the first steps, if at all.
            count = min(max(done, 1), _ITERATES_AT_ONCE, checkpoint + 1 - done)
            done += count
            yield count, checkpoint - last if done > checkpoint else 0
        last = checkpoint


def _run(
    logits_fn: LogitsFunction, *tensors: Tensor, ascent: AutoAscent
) -> State:
    size = len(State._fields)
    state = State._make(tensors[:size])
    return ascent.run(logits_fn, state, *tensors[size:])
