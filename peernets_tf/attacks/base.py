"""What every attack has in common."""

import abc
import dataclasses
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from peernets_tf.attacks import checks
from peernets_tf.attacks.classifier import Classifier
from peernets_tf.errors import AttackError
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
        is_searchable: bool, whether the attack takes an epsilon for each image,
            so that `SmallestEpsilon` can search for it.
        internal: frozenset of str, the fields that have no command-line flag.
    """

    name: ClassVar[str]
    follows_gradient: ClassVar[bool] = True
    uses_labels: ClassVar[bool] = True
    always_stops: ClassVar[bool] = False
    is_universal: ClassVar[bool] = False
    is_searchable: ClassVar[bool] = False
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
        epsilon: NDArray[Any] | None = None,
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
            epsilon: float array of shape `(B,)`, a radius for each image, which
                replaces the attack's own; only if `is_searchable`.

        Returns:
            Float32 array of the shape of `images`, in [0, 1] unless `clip` is
            False.

        Raises:
            AttackError: if an argument is out of range, a Keras model ends in a
                softmax, or losses, logits or gradients of the model are not
                finite.
        """
        images = np.asarray(images, np.float32)
        checks.check_images(images)
        checks.check_number("seed", seed, is_count=True)
        self.check_available()
        classifier = Classifier.of(logits_fn)
        if self.loss is not None:
            checks.check_no_softmax(classifier.logits_fn)
        if self.uses_labels:
            labels = self._checked_labels(classifier, images, labels)
        if epsilon is not None:
            if not self.is_searchable:
                raise AttackError(
                    f"{self.name} takes no epsilon for each image: give the "
                    "attack its own. Received: epsilon"
                )
            epsilon = np.asarray(epsilon, np.float32)
            checks.check_epsilon(epsilon, len(images))
        with classifier.seeded(seed):
            adversarial = self._perturb(
                classifier, images, labels, seed=seed, epsilon=epsilon
            )
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
        epsilon: NDArray[np.float32] | None,
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
