"""What every attack has in common."""

import abc
import dataclasses
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from peernets_tf.attacks import checks
from peernets_tf.attacks.classifier import Classifier
from peernets_tf.errors import AttackError
from peernets_tf.plain_numbers import make_plain
from peernets_tf.types import LogitsFunction


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Attack(abc.ABC):
    """An attack: `attack(logits_fn, images, labels, seed=0)`.

    An attack is a frozen dataclass. Its fields are its settings, and its `repr`
    names them all. A subclass implements `_perturb`.

    Attributes:
        name: str, the name in commands and records.
        norm: `"linf"` or `"l2"`, the norm that the attack bounds or minimises.
        loss: one of `LOSSES` or None, the loss that the attack increases.
        targeted: bool, whether the labels are classes to reach.
        clip: bool, whether adversarial images are clipped to [0, 1].
        follows_gradient: bool, whether the attack follows a gradient.
        uses_labels: bool, whether the attack needs labels.
        always_stops: bool, whether the attack makes no more queries for an
            image once it fools the model.
        is_universal: bool, whether all images get the same perturbation.
        internal: frozenset of str, the fields that have no command-line flag.
    """

    name: ClassVar[str]
    follows_gradient: ClassVar[bool] = True
    uses_labels: ClassVar[bool] = True
    always_stops: ClassVar[bool] = False
    is_universal: ClassVar[bool] = False
    internal: ClassVar[frozenset[str]] = frozenset()

    # Subclasses override each with a field or a class variable.
    @property
    @abc.abstractmethod
    def norm(self) -> str: ...

    @property
    @abc.abstractmethod
    def loss(self) -> str | None: ...

    @property
    @abc.abstractmethod
    def targeted(self) -> bool: ...

    @property
    def clip(self) -> bool:
        return True

    def __post_init__(self) -> None:
        make_plain(self)
        checks.check_arguments(self)

    @classmethod
    def options(cls) -> set[str]:
        """Returns the names of the arguments that have a command-line flag."""
        return {field.name for field in dataclasses.fields(cls)} - cls.internal

    def check_available(self) -> None:  # noqa: B027
        """Raises a `UserError` if the attack cannot run on this machine."""

    def __call__(
        self,
        logits_fn: LogitsFunction | Classifier,
        images: NDArray[Any],
        labels: NDArray[Any] | None = None,
        *,
        seed: int = 0,
    ) -> NDArray[np.float32]:
        """Returns adversarial images.

        Args:
            logits_fn: function from images to logits, or a `Classifier`, which
                compiles it only once for several calls.
            images: float array of shape `(B, H, W, C)` in [0, 1].
            labels: int array of shape `(B,)` or `(B, 1)`, the true classes or,
                if the attack is targeted, the classes to reach. Attacks without
                `uses_labels` ignore them.
            seed: int, the seed of everything that the attack draws.

        Returns:
            Float32 array of the shape of `images`, in [0, 1] unless `clip` is
            False.

        Raises:
            AttackError: if an argument is out of range, a Keras model ends in a
                softmax, sigmoid or tanh, or losses, logits or gradients of the
                model are not finite.
        """
        images = np.asarray(images, np.float32)
        checks.check_images(images)
        checks.check_number("seed", seed, is_count=True)
        self.check_available()
        classifier = Classifier.of(logits_fn)
        if self.loss is not None:
            checks.check_ends_in_logits(classifier.logits_fn)
        if self.uses_labels:
            labels = self._checked_labels(classifier, images, labels)
        with classifier.seeded(seed):
            adversarial = self._perturb(classifier, images, labels, seed=seed)
        is_finite = np.isfinite(adversarial.reshape(len(images), -1))
        checks.check_finite(np.all(is_finite, axis=1), "gradients")
        return adversarial

    @abc.abstractmethod
    def _perturb(
        self,
        classifier: Classifier,
        images: NDArray[np.float32],
        labels: Any,
        *,
        seed: int,
    ) -> NDArray[np.float32]:
        """Attacks images; the arguments of `__call__`, checked."""

    def _checked_labels(
        self,
        classifier: Classifier,
        images: NDArray[np.float32],
        labels: NDArray[Any] | None,
    ) -> NDArray[np.int32]:
        if labels is None:
            raise AttackError(f"{self.name} needs labels. Received: None")
        return classifier.checked_labels(images, labels)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class SearchableAttack(Attack):
    """An attack whose smallest epsilon `SmallestEpsilon` can search for.

    A subclass implements `perturb_within`.

    Attributes:
        epsilon: float, the radius of the ball for images in [0, 1].
    """

    @property
    @abc.abstractmethod
    def epsilon(self) -> float: ...

    @abc.abstractmethod
    def perturb_within(
        self,
        classifier: Classifier,
        images: NDArray[np.float32],
        labels: NDArray[np.int32],
        radius: NDArray[np.float32],
        *,
        seed: int,
    ) -> NDArray[np.float32]:
        """Attacks each image in a ball of its own.

        Args:
            classifier: the `Classifier`, seeded.
            images: float32 array of shape `(B, H, W, C)` in [0, 1].
            labels: int32 array of shape `(B,)`.
            radius: float32 array of shape `(B,)`, in place of `epsilon`.
            seed: int, the seed of everything that the attack draws.

        Returns:
            Float32 array of the shape of `images`.
        """

    def _perturb(
        self,
        classifier: Classifier,
        images: NDArray[np.float32],
        labels: Any,
        *,
        seed: int,
    ) -> NDArray[np.float32]:
        radius = np.full(len(images), self.epsilon, np.float32)
        return self.perturb_within(
            classifier, images, labels, radius, seed=seed
        )
