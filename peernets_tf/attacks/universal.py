"""Universal perturbations: one for all images, fitted on training images."""

import abc
import collections
import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from peernets_tf.attacks import checks, norms
from peernets_tf.attacks.base import Attack
from peernets_tf.attacks.classifier import Classifier
from peernets_tf.attacks.fixed_perturbation import (
    FixedPerturbation,
    apply_perturbation,
)
from peernets_tf.lazy import ops
from peernets_tf.seeds import Stream, generator
from peernets_tf.types import LogitsFunction


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Progress:
    """The state of the fit of a universal perturbation after a batch.

    Attributes:
        perturbation: float32 array of shape `(H, W, C)`.
        batches: int, the number of batches so far, in all passes.
        seen: int, the number of images so far, in the current pass.
        fooled: int, the number of these whose class the perturbation changed
            before their batch.
        finished: bool, whether no batch is left or the fooling rate is
            reached.
    """

    perturbation: NDArray[np.float32]
    batches: int = 0
    seen: int = 0
    fooled: int = 0
    finished: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class UniversalAttack(Attack):
    """Fits one perturbation for all images, in passes over training images.

    A call fits the perturbation to the images that it attacks. To attack other
    images, call `fit` with the training images, then call its result.

    Attributes:
        epsilon: float, the radius of the ball for images in [0, 1].
        norm: `"l2"` or `"linf"`.
        passes: int, the largest number of passes over the images.
        batch_size: int, the number of images in a step.
        fooling_rate: float in [0, 1]. The fit stops after a pass if the
            perturbation fools this share of the images; 1 makes all passes.
    """

    uses_labels: ClassVar[bool] = False
    is_universal: ClassVar[bool] = True
    targeted: ClassVar[bool] = False

    epsilon: float
    norm: str = "l2"
    passes: int = 10
    batch_size: int = 32
    fooling_rate: float = 1.0
    # Records name it beside the attack, whose name in them stays as it was.
    clip: bool = dataclasses.field(default=True, repr=False)

    def fit(
        self,
        logits_fn: LogitsFunction | Classifier,
        images: NDArray[Any],
        *,
        seed: int = 0,
    ) -> FixedPerturbation:
        """Fits a perturbation.

        Args:
            logits_fn: function from images to logits, or a `Classifier`.
            images: float array of shape `(N, H, W, C)` in [0, 1], the training
                images.
            seed: int, the seed of their order.

        Returns:
            A perturbation in the ball of radius `epsilon`, as an attack.

        Raises:
            AttackError: if images lie outside [0, 1], or logits are not finite.
        """
        # Keeps only the last of many perturbations.
        (last,) = collections.deque(
            self.iterate(logits_fn, images, seed=seed), maxlen=1
        )
        return self.fitted(last, len(images))

    def fitted(self, progress: Progress, num_images: int) -> FixedPerturbation:
        """Returns the perturbation of a fit to `num_images` as an attack."""
        return FixedPerturbation(
            perturbation=progress.perturbation,
            source=f"{self} on {num_images} training images, "
            f"{progress.batches} batches",
            norm=self.norm,
            clip=self.clip,
        )

    def iterate(
        self,
        logits_fn: LogitsFunction | Classifier,
        images: NDArray[Any],
        *,
        seed: int = 0,
        start: Progress | None = None,
    ) -> Iterator[Progress]:
        """Fits a perturbation, and yields its progress after every batch.

        Args:
            logits_fn: function from images to logits, or a `Classifier`.
            images: float array of shape `(N, H, W, C)` in [0, 1], the training
                images.
            seed: int, the seed of their order.
            start: the `Progress` of an earlier fit to resume, or None.

        Raises:
            AttackError: if images lie outside [0, 1], or logits are not finite.
        """
        classifier = Classifier.of(logits_fn)
        images = np.asarray(images, np.float32)
        checks.check_images(images)
        with classifier.seeded(seed):
            classes = self._predict(classifier, images)
        progress = start or Progress(
            perturbation=np.zeros(images.shape[1:], np.float32)
        )
        per_pass = -(-len(images) // self.batch_size)
        while not progress.finished:
            number, batch = divmod(progress.batches, per_pass)
            rng = generator(Stream.UNIVERSAL_ORDER, seed, number)
            first = batch * self.batch_size
            chosen = rng.permutation(len(images))[
                first : first + self.batch_size
            ]
            before = progress.perturbation
            # A resumed fit draws what an uninterrupted one does.
            with classifier.seeded(seed, progress.batches):
                change, fooled = self._change(
                    classifier,
                    apply_perturbation(images[chosen], before, clip=self.clip),
                    classes[chosen],
                )
            after = norms.project(
                (before + change)[None],
                self.norm,
                np.array([self.epsilon], np.float32),
            )
            is_last = progress.batches + 1 == per_pass * self.passes
            progress = Progress(
                perturbation=ops.convert_to_numpy(after)[0],
                batches=progress.batches + 1,
                seen=len(chosen) + (progress.seen if batch else 0),
                fooled=fooled + (progress.fooled if batch else 0),
                finished=is_last,
            )
            if batch == per_pass - 1 and not is_last and self.fooling_rate < 1:
                perturbed = apply_perturbation(
                    images, progress.perturbation, clip=self.clip
                )
                with classifier.seeded(seed, progress.batches):
                    now = self._predict(classifier, perturbed, classes)
                reached = np.mean(now != classes) >= self.fooling_rate
                progress = dataclasses.replace(progress, finished=bool(reached))
            yield progress

    def _perturb(
        self,
        classifier: Classifier,
        images: NDArray[np.float32],
        labels: Any,
        *,
        seed: int,
    ) -> NDArray[np.float32]:
        del labels
        fitted = self.fit(classifier, images, seed=seed)
        return apply_perturbation(images, fitted.perturbation, clip=self.clip)

    @abc.abstractmethod
    def _change(
        self,
        classifier: Classifier,
        perturbed: NDArray[np.float32],
        classes: NDArray[np.int32],
    ) -> tuple[NDArray[np.float32], int]:
        """Returns what one batch adds to the perturbation.

        Args:
            classifier: the `Classifier`.
            perturbed: float32 array of shape `(B, H, W, C)`, perturbed images.
            classes: int32 array of shape `(B,)`, the classes predicted for the
                unperturbed images.

        Returns:
            Float32 array of shape `(H, W, C)`, and the number of images that
            are fooled already.
        """

    def _predict(
        self,
        classifier: Classifier,
        images: NDArray[np.float32],
        labels: NDArray[np.int32] | None = None,
    ) -> NDArray[np.int32]:
        size = max(self.batch_size, 100)
        predictions = np.concatenate(
            [
                classifier.predict(
                    images[i : i + size],
                    None if labels is None else labels[i : i + size],
                )
                for i in range(0, len(images), size)
            ]
        )
        checks.check_predictions(predictions)
        return predictions
