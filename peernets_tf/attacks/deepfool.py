"""DeepFool: the shortest step to the nearest linearised decision boundary."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from peernets_tf.attacks import autodiff, guards

# A tensor of the Keras backend, or an array that it converts.
Tensor = Any

# Added to each step's length, as its authors do, to cross the boundary.
_BEYOND = 1e-4
# Smaller squared gradients are not divided by: there is no way to go.
_TINY = 1e-16


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeepFool:
    """DeepFool of Moosavi-Dezfooli et al. (2016), L2 and untargeted.

    It leaves the class that the model predicts, right or wrong.

    Attributes:
        max_steps: int, linearisations at most.
        overshoot: float, by which share the perturbation is lengthened.
        num_classes: int, the most likely classes whose boundaries are looked
            at.
    """

    max_steps: int = 50
    overshoot: float = 0.02
    num_classes: int = 10

    def __post_init__(self) -> None:
        if self.max_steps < 1 or self.num_classes < 2:
            raise ValueError(
                "`max_steps` must be at least 1 and `num_classes` at least 2. "
                f"Received: max_steps={self.max_steps}, "
                f"num_classes={self.num_classes}"
            )

    def __call__(
        self,
        logits_fn: autodiff.LogitsFunction,
        images: NDArray[Any],
        labels: NDArray[Any] | None = None,
        *,
        seed: int = 0,
    ) -> NDArray[np.float32]:
        """Attacks images.

        Args:
            logits_fn: function from images to logits.
            images: float array of shape `(B, H, W, C)` in [0, 1].
            labels: not used: the predictions are left.
            seed: int, not used: nothing is drawn.

        Returns:
            Array of the shape of `images`, in [0, 1].
        """
        del labels, seed
        images = np.asarray(images, np.float32)
        guards.check_images(images)
        changes, _ = self.perturbations(logits_fn, images)
        return images + changes

    def perturbations(
        self, logits_fn: autodiff.LogitsFunction, images: NDArray[Any]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Returns the perturbations, and which of them are known to fool.

        Like its authors' code it does not look whether the last of `max_steps`
        steps fools. Images with their perturbations lie in [0, 1].
        """
        step = _compiled_step(logits_fn, self.num_classes)
        total = np.zeros(images.shape, np.float32)
        active = np.arange(len(images))
        left_class = np.full(len(images), -1, np.int32)
        for _ in range(self.max_steps):
            change, predictions, left_class[active] = autodiff.in_buckets(
                step,
                np.clip(
                    images[active] + (1 + self.overshoot) * total[active], 0, 1
                ),
                left_class[active],
            )
            still = predictions == left_class[active]
            active = active[still]
            if not len(active):
                break
            total[active] += change[still]
        changed = np.clip(images + (1 + self.overshoot) * total, 0, 1)
        fools = np.ones(len(images), bool)
        fools[active] = False
        return changed - images, fools


@functools.lru_cache(maxsize=16)
def _compiled_step(
    logits_fn: autodiff.LogitsFunction, num_classes: int
) -> Callable[..., Any]:
    def step(images: Tensor, left_class: Tensor) -> Any:
        """One linearisation; `left_class` is -1 before the first."""

        def own_and_others(images: Tensor) -> Tensor:
            """Logits of the class to leave, then of the likeliest others."""
            logits = logits_fn(images)
            left = ops.where(
                left_class < 0,
                ops.cast(ops.argmax(logits, axis=1), "int32"),
                left_class,
            )
            count = min(num_classes, logits.shape[1])
            own = ops.one_hot(left, logits.shape[1], dtype="bool")
            order = ops.where(own, float("inf"), logits)
            _, classes = ops.top_k(ops.stop_gradient(order), count)
            state["predictions"] = ops.cast(ops.argmax(logits, axis=1), "int32")
            state["left"] = left
            return ops.take_along_axis(logits, classes, axis=1)

        state: dict[str, Tensor] = {}
        logits, jacobian = autodiff.value_and_jacobian(own_and_others, images)
        gaps = logits[:, 1:] - logits[:, :1]
        normals = jacobian[:, 1:] - jacobian[:, :1]
        axes = tuple(range(2, len(normals.shape)))
        squares = ops.sum(ops.square(normals), axis=axes)
        reachable = squares > _TINY
        squares = ops.where(reachable, squares, 1.0)
        distances = ops.where(
            reachable, ops.abs(gaps) / ops.sqrt(squares), float("inf")
        )
        nearest = ops.argmin(distances, axis=1)
        chosen = ops.one_hot(nearest, gaps.shape[1], dtype=normals.dtype)
        chosen = chosen * ops.cast(reachable, normals.dtype)
        length = ops.where(reachable, distances, 0.0) + _BEYOND
        weights = chosen * length / ops.sqrt(squares)
        change = ops.einsum("bn,bn...->b...", weights, normals)
        return change, state["predictions"], state["left"]

    return autodiff.compiled(step)
