"""The loop of APGD: gradient ascent with momentum and halving step sizes."""

import dataclasses
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from peernets_tf.attacks import autodiff, draws, losses, norms, rejection
from peernets_tf.lazy import ops
from peernets_tf.types import LogitsFunction, Tensor

# The share of a step that is new; the rest repeats the step before.
_NEW = 0.75
# The share of the steps in which the loss must grow, or step sizes are halved.
_RHO = 0.75


class State(NamedTuple):
    """Where an ascent is, of tensors or arrays.

    Attributes:
        iterates: float, `(B, H, W, C)`, what the model is asked next.
        previous: float, `(B, H, W, C)`, where the last step started.
        best: float, `(B, H, W, C)`, the iterate with the largest loss, to which
            the ascent goes back.
        best_gradient: float, `(B, H, W, C)`, the gradient there.
        step_size: float, `(B,)`.
        value: float, `(B,)`, the loss of the last iterate; -infinity before the
            first.
        best_value: float, `(B,)`, the loss of `best`.
        checked_value: float, `(B,)`, `best_value` at the last checkpoint.
        increases: float, `(B,)`, in how many steps since the last checkpoint
            the loss grew.
        halved: bool, `(B,)`, whether the last checkpoint halved the step size.
        result: float, `(B, H, W, C)`, the iterate to return: one that fools
            before one that does not, then the larger loss.
        result_value: float, `(B,)`, the loss of `result`.
        fooled: float, `(B,)`, 1.0 where `result` fools the model.
        is_finite: bool, `(B,)`, whether all losses, logits and gradients were
            finite.
    """

    iterates: Tensor
    previous: Tensor
    best: Tensor
    best_gradient: Tensor
    step_size: Tensor
    value: Tensor
    best_value: Tensor
    checked_value: Tensor
    increases: Tensor
    halved: Tensor
    result: Tensor
    result_value: Tensor
    fooled: Tensor
    is_finite: Tensor

    @classmethod
    def at(
        cls, start: NDArray[np.float32], radius: NDArray[np.float32]
    ) -> Self:
        """Returns the state at a start, as arrays that share no memory.

        Args:
            start: float array of shape `(B, H, W, C)`.
            radius: float array of shape `(B,)`.
        """
        zeros, no = np.zeros_like(radius), np.zeros(len(radius), bool)
        return cls(
            iterates=start.copy(),
            previous=start.copy(),
            best=start.copy(),
            best_gradient=np.zeros_like(start),
            step_size=2 * radius,
            value=zeros - np.inf,
            best_value=zeros - np.inf,
            checked_value=zeros - np.inf,
            increases=zeros.copy(),
            # The first checkpoint has no best loss of an earlier one.
            halved=~no,
            result=start.copy(),
            result_value=zeros - np.inf,
            fooled=zeros.copy(),
            is_finite=~no,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class AutoAscent:
    """Gradient ascent of Croce and Hein (2020), Section 3.

    Attributes:
        norm: `"linf"` or `"l2"`, the norm of the ball and of the steps.
        loss: one of `losses.LOSSES`.
        targeted: bool, whether the labels are classes to reach.
        has_targets: bool, whether the targeted DLR loss replaces `loss`.
        expectation: int, the number of forward passes over which logits, losses
            and gradients are averaged.
    """

    norm: str
    loss: str
    targeted: bool
    has_targets: bool
    expectation: int

    def run(
        self,
        logits_fn: LogitsFunction,
        state: State,
        images: Tensor,
        labels: Tensor,
        targets: Tensor,
        epsilon: Tensor,
        count: Tensor,
        period: Tensor,
    ) -> State:
        """Asks and moves some iterates, as one expression of tensors.

        Args:
            logits_fn: function from images to logits.
            state: the `State` before.
            images: float tensor of shape `(B, H, W, C)`, the balls' centres.
            labels: int tensor of shape `(B,)`.
            targets: int tensor of shape `(B,)`; unread without `has_targets`.
            epsilon: float tensor of shape `(B,)`, the radii.
            count: int, the number of iterates. The model is asked `expectation`
                times for each.
            period: int, the number of steps since the last checkpoint, if the
                last of these iterates is one; else 0.

        Returns:
            The `State` after.
        """

        def value_and_logits(iterates: Tensor) -> tuple[Tensor, Tensor]:
            logits = rejection.judged_logits(
                logits_fn, iterates, labels, targeted=self.targeted
            )
            if self.has_targets:
                value = losses.targeted_dlr(logits, labels, targets)
            else:
                value = losses.loss(
                    logits, labels, self.loss, targeted=self.targeted
                )
            return ops.cast(value, epsilon.dtype), logits

        def step(i: Tensor, values: Any) -> Any:
            state = State._make(values)
            is_first = ops.isinf(state.value)
            value, logits, gradient = self._ask(
                value_and_logits, state.iterates
            )
            predictions = losses.predicted_classes(logits)
            state = _kept(
                state,
                value,
                gradient,
                losses.is_fooled(predictions, labels, self.targeted),
                losses.are_finite(value, logits, gradient),
            )
            ends_period = (i == count - 1) & (period > 0)
            state, gradient = _checked(state, gradient, ends_period, period)
            share = ops.cast(ops.where(is_first, 1.0, _NEW), "float32")
            moved = self._moved(state, gradient, share, images, epsilon)
            return tuple(
                state._replace(iterates=moved, previous=state.iterates)
            )

        return State._make(draws.fori_loop(0, count, step, tuple(state)))

    def _ask(
        self, function: Any, iterates: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Returns losses, logits and gradients, averaged over the passes."""
        return draws.mean(
            lambda: autodiff.value_and_gradient(function, iterates),
            self.expectation,
        )

    def _moved(
        self,
        state: State,
        gradient: Tensor,
        share: Tensor,
        images: Tensor,
        epsilon: Tensor,
    ) -> Tensor:
        """Returns the next iterates: a step, and a part of the last one."""

        def inside(points: Tensor) -> Tensor:
            change = norms.project(points - images, self.norm, epsilon)
            return ops.clip(images + change, 0.0, 1.0)

        length = norms.like_images(state.step_size, images)
        direction = norms.steepest_direction(gradient, self.norm)
        step = inside(state.iterates + length * direction) - state.iterates
        share = norms.like_images(share, images)
        last_step = state.iterates - state.previous
        return inside(state.iterates + share * step + (1 - share) * last_step)


def _kept(
    state: State,
    value: Tensor,
    gradient: Tensor,
    fooled: Tensor,
    is_finite: Tensor,
) -> State:
    """Notes what the model said of the iterates."""
    fooled = ops.cast(fooled, value.dtype)
    better = value > state.best_value
    better_images = norms.like_images(better, gradient)
    returned = (fooled > state.fooled) | (
        (fooled == state.fooled) & (value > state.result_value)
    )
    returned_images = norms.like_images(returned, gradient)
    grows = (value > state.value) & ~ops.isinf(state.value)
    return state._replace(
        best=ops.where(better_images, state.iterates, state.best),
        best_gradient=ops.where(better_images, gradient, state.best_gradient),
        best_value=ops.where(better, value, state.best_value),
        value=value,
        increases=state.increases + ops.cast(grows, value.dtype),
        result=ops.where(returned_images, state.iterates, state.result),
        result_value=ops.where(returned, value, state.result_value),
        fooled=ops.maximum(fooled, state.fooled),
        is_finite=state.is_finite & is_finite,
    )


def _checked(
    state: State, gradient: Tensor, ends_period: Tensor, period: Tensor
) -> tuple[State, Tensor]:
    """Halves step sizes at a checkpoint, and goes back to the best iterates.

    That is for images whose loss grew in few of the steps, or whose step size
    and best loss have not changed since the last checkpoint.
    """
    few = _RHO * ops.cast(period, state.value.dtype)
    stalls = (state.increases <= few) | (
        ~state.halved & (state.best_value <= state.checked_value)
    )
    halves = ends_period & stalls
    goes_back = norms.like_images(halves, gradient)
    gradient = ops.where(goes_back, state.best_gradient, gradient)
    state = state._replace(
        iterates=ops.where(goes_back, state.best, state.iterates),
        step_size=ops.where(halves, state.step_size / 2, state.step_size),
        checked_value=ops.where(
            ends_period, state.best_value, state.checked_value
        ),
        increases=ops.where(ends_period, 0.0, state.increases),
        halved=ops.where(ends_period, stalls, state.halved),
    )
    return state, gradient
