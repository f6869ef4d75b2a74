"""The TensorFlow 2 attacks of cleverhans 4.0, called as ours are."""

import dataclasses
import functools
import importlib
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from peernets_tf.attacks import autodiff
from peernets_tf.attacks.base import Attack
from peernets_tf.attacks.classifier import Classifier
from peernets_tf.errors import UserError
from peernets_tf.lazy import keras


@dataclasses.dataclass(frozen=True, kw_only=True)
class CleverHans(Attack):
    """An attack of cleverhans. Needs Keras's TensorFlow backend.

    Attributes:
        epsilon: float, the radius of the ball for images in [0, 1].
        norm: `"linf"` or `"l2"`.
        targeted: bool, whether the labels are classes to reach.

    Raises:
        UserError: if an argument is out of range, cleverhans is not installed,
            or Keras runs on another backend.
    """

    # The function of cleverhans, in the module of the same name.
    function: ClassVar[str]
    loss: ClassVar[str] = "cross_entropy"

    epsilon: float = 8 / 255
    norm: str = "linf"
    targeted: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if keras.backend.backend() != "tensorflow":
            raise UserError(
                "cleverhans needs Keras's TensorFlow backend: set "
                "KERAS_BACKEND=tensorflow. Received: "
                f"{keras.backend.backend()}"
            )
        try:
            self._imported()
        except ImportError as error:
            raise UserError(
                f"{self.name} needs cleverhans: pip install "
                f"'peernets-tf[cleverhans]'. Received: {error}"
            ) from error

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
        # cleverhans keeps what it compiled for a function object. This one
        # goes when the model's variables are replaced.
        logits_fn = classifier.once(
            "cleverhans", lambda: functools.partial(classifier.logits_fn)
        )
        arguments = self._arguments()
        # cleverhans draws random numbers from the global generator only.
        with autodiff.tensorflow_seed(seed):
            adversarial = self._imported()(
                logits_fn,
                images,
                eps=self.epsilon,
                norm=np.inf if self.norm == "linf" else 2,
                clip_min=0.0,
                clip_max=1.0,
                y=labels,
                targeted=self.targeted,
                sanity_checks=False,
                **arguments,
            )
        classifier.queries += len(images) * arguments.get("nb_iter", 1)
        return np.asarray(adversarial)

    def _arguments(self) -> dict[str, Any]:
        """Returns the arguments that only some of the functions take."""
        return {}

    def _imported(self) -> Callable[..., Any]:
        module = importlib.import_module(
            f"cleverhans.tf2.attacks.{self.function}"
        )
        return getattr(module, self.function)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CleverHansFGSM(CleverHans):
    """The fast gradient sign method of cleverhans, see `CleverHans`."""

    name: ClassVar[str] = "cleverhans.fgsm"
    function: ClassVar[str] = "fast_gradient_method"


@dataclasses.dataclass(frozen=True, kw_only=True)
class CleverHansBIM(CleverHans):
    """The basic iterative method of cleverhans, see `CleverHans`.

    Attributes:
        steps: int, the number of gradient steps.
        step_size: float or None, the length of a step, at most epsilon; None
            for 2.5 epsilon / steps, or epsilon if that is smaller.
    """

    name: ClassVar[str] = "cleverhans.bim"
    function: ClassVar[str] = "basic_iterative_method"

    steps: int = 40
    step_size: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.step_size is not None and self.step_size > self.epsilon:
            raise UserError(
                "`step_size` must not be larger than `epsilon` for cleverhans. "
                f"Received: step_size={self.step_size}, epsilon={self.epsilon}"
            )

    def _arguments(self) -> dict[str, Any]:
        step_size = self.step_size
        if step_size is None:
            step_size = min(2.5 * self.epsilon / self.steps, self.epsilon)
        return {"eps_iter": step_size, "nb_iter": self.steps}


@dataclasses.dataclass(frozen=True, kw_only=True)
class CleverHansMIM(CleverHansBIM):
    """The momentum iterative method of cleverhans, see `CleverHansBIM`."""

    name: ClassVar[str] = "cleverhans.mim"
    function: ClassVar[str] = "momentum_iterative_method"


@dataclasses.dataclass(frozen=True, kw_only=True)
class CleverHansPGD(CleverHansBIM):
    """Projected gradient descent of cleverhans, see `CleverHansBIM`.

    Attributes:
        random_start: bool, whether to start at a random point of the ball.
    """

    name: ClassVar[str] = "cleverhans.pgd"
    function: ClassVar[str] = "projected_gradient_descent"

    random_start: bool = True

    def _arguments(self) -> dict[str, Any]:
        return {**super()._arguments(), "rand_init": self.random_start}
