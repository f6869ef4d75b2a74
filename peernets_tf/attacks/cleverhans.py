"""The TensorFlow 2 attacks of cleverhans 4.0, called as ours are."""

import contextlib
import dataclasses
import importlib
from collections.abc import Callable, Iterator
from typing import Any, ClassVar
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from peernets_tf.attacks import autodiff, checks, draws, losses, rejection
from peernets_tf.attacks.base import Attack
from peernets_tf.attacks.classifier import Classifier, in_float32
from peernets_tf.errors import UserError
from peernets_tf.lazy import keras, ops
from peernets_tf.types import LogitsFunction


@dataclasses.dataclass(frozen=True, kw_only=True)
class CleverHans(Attack):
    """An attack of cleverhans. Needs Keras's TensorFlow backend.

    Attributes:
        epsilon: float, the radius of the ball for images in [0, 1].
        norm: `"linf"` or `"l2"`.
        targeted: bool, whether the labels are classes to reach.

    Raises:
        UserError: if an argument is out of range.
    """

    # The function of cleverhans, in the module of the same name.
    function: ClassVar[str]
    loss: ClassVar[str] = "cross_entropy"

    epsilon: float = 8 / 255
    norm: str = "linf"
    targeted: bool = False

    def check_available(self) -> None:
        """Raises a `UserError` without cleverhans or on another backend."""
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
    ) -> NDArray[np.float32]:
        is_finite = []

        def noting(
            model_fn: Any, loss_fn: Any, x: Any, y: Any, targeted: bool
        ) -> Any:
            gradient = classifier.once(
                ("cleverhans", loss_fn, targeted),
                lambda: _gradient(model_fn, loss_fn, targeted),
            )
            found, is_finite_now = gradient(classifier.next_key(), x, y)
            is_finite.append(is_finite_now)
            classifier.count(len(images))
            return found

        # cleverhans draws random numbers from the global generator only.
        with _replaced_gradient(noting), autodiff.tensorflow_seed(seed):
            adversarial = self._imported()(
                in_float32(classifier.logits_fn),
                images,
                eps=self.epsilon,
                norm=np.inf if self.norm == "linf" else 2,
                clip_min=0.0,
                clip_max=1.0,
                y=labels,
                targeted=self.targeted,
                sanity_checks=False,
                **self._arguments(),
            )
        finite = ops.convert_to_numpy(ops.stack(is_finite))
        checks.check_finite(np.all(finite, axis=0), checks.LOSS_GRADIENT)
        return np.asarray(adversarial)

    def _arguments(self) -> dict[str, Any]:
        """Returns the arguments that only some of the functions take."""
        return {}

    def _imported(self) -> Callable[..., Any]:
        return getattr(_module(f"attacks.{self.function}"), self.function)


def _module(name: str) -> Any:
    return importlib.import_module(f"cleverhans.tf2.{name}")


def _gradient(
    logits_fn: LogitsFunction, loss_fn: Callable[..., Any], targeted: bool
) -> Callable[..., Any]:
    """Compiles cleverhans's gradient for one model.

    Returns:
        Function from the key of the model's draws, images and labels to the
        gradients and, bool `(B,)`, whether these, the losses and the logits
        are finite.
    """
    compute = _module("utils").compute_gradient.python_function

    def function(key: Any, images: Any, labels: Any) -> tuple[Any, Any]:
        noted = []

        def loss(labels: Any, logits: Any) -> Any:
            logits = rejection.judged(
                logits_fn, logits, labels, targeted=targeted
            )
            values = loss_fn(labels=labels, logits=logits)
            noted.extend([logits, values])
            return values

        with draws.key_scope(key):
            gradients = compute(logits_fn, loss, images, labels, targeted)
        return gradients, losses.are_finite(gradients, *noted)

    return autodiff.compiled(function)


@contextlib.contextmanager
def _replaced_gradient(gradient: Callable[..., Any]) -> Iterator[None]:
    """Has cleverhans call another function for its gradients.

    Its own cannot tell whether losses and logits are finite, and signs of
    infinite gradients look like those of others.
    """
    with contextlib.ExitStack() as stack:
        for name in ("fast_gradient_method", "momentum_iterative_method"):
            stack.enter_context(
                mock.patch.object(
                    _module(f"attacks.{name}"), "compute_gradient", gradient
                )
            )
        yield


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
