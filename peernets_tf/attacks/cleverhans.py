"""cleverhans's TensorFlow 2 attacks, in the form of ours."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from peernets_tf.attacks import autodiff, guards, projections

METHODS = ("fgsm", "pgd", "bim", "mim")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CleverHans:
    """An attack of cleverhans 4.0; needs Keras's TensorFlow backend.

    Attributes:
        method: `"fgsm"`, `"pgd"`, `"bim"` (basic iterative method) or `"mim"`
            (momentum iterative method).
        epsilon: float, the radius of the ball, for images in [0, 1].
        steps: int, gradient steps; FGSM takes one.
        step_size: float or None, the length of a step; None for
            2.5 epsilon / steps, and epsilon at most.
        norm: `"linf"` or `"l2"`.
        random_start: bool, for PGD.
        targeted: bool, whether the labels are classes to reach.

    Raises:
        ValueError: if an argument is out of range, cleverhans is not
            installed, or Keras runs on another backend.
    """

    method: str = "pgd"
    epsilon: float = 8 / 255
    steps: int = 40
    step_size: float | None = None
    norm: str = "linf"
    random_start: bool = True
    targeted: bool = False

    def __post_init__(self) -> None:
        projections.check_norm(self.norm)
        if self.method not in METHODS:
            raise ValueError(
                f"`method` must be one of {METHODS}. Received: {self.method}"
            )
        if self.step_size is not None and self.step_size > self.epsilon:
            raise ValueError(
                "cleverhans takes no `step_size` above `epsilon`. Received: "
                f"step_size={self.step_size}, epsilon={self.epsilon}"
            )
        if keras.backend.backend() != "tensorflow":
            raise ValueError("cleverhans needs KERAS_BACKEND=tensorflow")
        try:
            _import(self.method)
        except ImportError as error:
            raise ValueError(
                f"{error}: pip install 'peernets-tf[cleverhans]'"
            ) from error

    def __call__(
        self,
        logits_fn: autodiff.LogitsFunction,
        images: NDArray[Any],
        labels: NDArray[Any],
        *,
        seed: int = 0,
    ) -> NDArray[np.float32]:
        """Attacks images, as the other attacks do."""
        images = np.asarray(images, np.float32)
        guards.check_images(images)
        # It draws from the global generator only.
        keras.utils.set_random_seed(seed)
        options: dict[str, Any] = {}
        if self.method != "fgsm":
            step_size = self.step_size
            if step_size is None:
                step_size = min(2.5 * self.epsilon / self.steps, self.epsilon)
            options = {"eps_iter": step_size, "nb_iter": self.steps}
        if self.method == "pgd":
            options["rand_init"] = self.random_start
        adversarial = _import(self.method)(
            logits_fn,
            images,
            eps=self.epsilon,
            norm=np.inf if self.norm == "linf" else 2,
            clip_min=0.0,
            clip_max=1.0,
            y=np.asarray(labels, np.int32),
            targeted=self.targeted,
            sanity_checks=False,
            **options,
        )
        return np.asarray(adversarial)


def _import(method: str) -> Callable[..., Any]:
    if method == "fgsm":
        from cleverhans.tf2.attacks.fast_gradient_method import (
            fast_gradient_method as attack,
        )
    elif method == "pgd":
        from cleverhans.tf2.attacks.projected_gradient_descent import (
            projected_gradient_descent as attack,
        )
    elif method == "bim":
        from cleverhans.tf2.attacks.basic_iterative_method import (
            basic_iterative_method as attack,
        )
    else:
        from cleverhans.tf2.attacks.momentum_iterative_method import (
            momentum_iterative_method as attack,
        )
    return attack
