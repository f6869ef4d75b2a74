"""Square: a random search that sees only the logits of a model."""

import dataclasses
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from peernets_tf.attacks import (
    checks,
    draws,
    losses,
    norms,
    rejection,
    squares,
)
from peernets_tf.attacks.base import Attack
from peernets_tf.attacks.classifier import Classifier
from peernets_tf.lazy import ops
from peernets_tf.seeds import Stream, generator
from peernets_tf.types import LogitsFunction, Tensor

# Stopping more often would mostly move images to and from the device.
_QUERIES_AT_ONCE = 50


@dataclasses.dataclass(frozen=True, kw_only=True)
class Square(Attack):
    """The Square Attack of Andriushchenko et al. (2020).

    A random search. Each query changes one square of the image, and the change
    is kept if the loss grows. The loss is the margin or, if targeted, minus the
    cross-entropy of the target. The search stops for an image that fools the
    model. All images share the random draws, so the result for an image does
    not depend on the other images. (In AutoAttack the first stripes differ.)

    Attributes:
        epsilon: float, the radius of the ball for images in [0, 1].
        queries: int, the largest number of queries for each image.
        norm: `"linf"` or `"l2"`.
        targeted: bool, whether the labels are classes to reach.
        p_init: float in [0, 1], the share of the pixels that the first squares
            cover. The authors take 0.8 for robust models; AutoAttack takes it
            for all models.
        rescale_schedule: bool, whether squares are halved after the same shares
            of `queries` as of the 10,000 of the paper, or after the same
            numbers of queries, as in AutoAttack.
    """

    name: ClassVar[str] = "square"
    follows_gradient: ClassVar[bool] = False
    always_stops: ClassVar[bool] = True
    loss: ClassVar[None] = None
    internal: ClassVar[frozenset[str]] = frozenset(
        {"p_init", "rescale_schedule"}
    )

    epsilon: float = 8 / 255
    queries: int = 5000
    norm: str = "linf"
    targeted: bool = False
    p_init: float = 0.8
    rescale_schedule: bool = True

    def _perturb(
        self,
        classifier: Classifier,
        images: NDArray[np.float32],
        labels: Any,
        *,
        seed: int,
    ) -> NDArray[np.float32]:
        shape = images.shape[1:]
        checks.check_channels_last(images.shape)
        rng = generator(Stream.SQUARE, seed)
        start = self.epsilon * squares.start(shape, self.norm, rng)
        moves = squares.draw_moves(
            shape,
            self.norm,
            self.p_init,
            self.queries,
            rng,
            rescale_schedule=self.rescale_schedule,
        )
        adversarial = np.clip(images + start, 0, 1).astype(np.float32)
        values = np.full(len(images), -np.inf, np.float32)
        active = np.arange(len(images))
        done = 0
        while done < self.queries and len(active):
            # Most images are fooled by the first queries, if at all.
            count = min(max(done, 1), _QUERIES_AT_ONCE, self.queries - done)
            next_moves = np.zeros((_QUERIES_AT_ONCE, moves.shape[1]), np.int32)
            next_moves[:count] = moves[done : done + count]
            found, values[active], fooled, is_finite = classifier.call(
                _search,
                adversarial[active],
                values[active],
                images[active],
                labels[active],
                np.repeat(next_moves[None], len(active), axis=0),
                np.float32(self.epsilon),
                np.int32(count),
                queries_per_image=count,
                norm=self.norm,
                targeted=self.targeted,
                sides=squares.sides(shape, self.norm, self.p_init),
            )
            checks.check_finite(is_finite, "losses and logits")
            adversarial[active] = found
            active = active[~fooled]
            done += count
        return adversarial


def _search(
    logits_fn: LogitsFunction,
    adversarial: Tensor,
    values: Tensor,
    images: Tensor,
    labels: Tensor,
    moves: Tensor,
    epsilon: Tensor,
    queries: Tensor,
    *,
    norm: str,
    targeted: bool,
    sides: tuple[int, ...],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Tries some moves, as one expression of tensors that can be compiled.

    Args:
        logits_fn: function from images to logits.
        adversarial: float tensor of shape `(B, H, W, C)`, the present images.
        values: float tensor of shape `(B,)`, their losses.
        images: float tensor of shape `(B, H, W, C)`, the balls' centres.
        labels: int tensor of shape `(B,)`.
        moves: int tensor of shape `(B, n, 6 + C)`, see `squares`.
        epsilon: float, the radius.
        queries: int, how many of the moves are tried.
        norm: `"linf"` or `"l2"`.
        targeted: bool, whether the labels are classes to reach.
        sides: tuple of ints, see `squares.sides`.

    Returns:
        The best images, their losses, whether they fool the model, and whether
        all losses and logits were finite; each but the first of shape `(B,)`.
    """
    loss = "cross_entropy" if targeted else "margin"
    table = squares.bumps(sides) if norm == "l2" else None

    def query(i: Tensor, state: Any) -> Any:
        adversarial, values, fooled, is_finite = state
        move = squares.Moves.of(ops.take(moves, i, axis=1))
        if table is None:
            moved = squares.move_linf(adversarial, images, epsilon, move)
        else:
            moved = squares.move_l2(adversarial, images, epsilon, move, table)
        logits = rejection.judged_logits(
            logits_fn, moved, labels, targeted=targeted
        )
        value = losses.loss(logits, labels, loss, targeted=targeted)
        predictions = losses.predicted_classes(logits)
        fools = losses.is_fooled(predictions, labels, targeted)
        # The image that fools first is the result.
        better = ~fooled & (fools | (value > values))
        return (
            ops.where(norms.like_images(better, images), moved, adversarial),
            ops.where(better, value, values),
            fooled | fools,
            is_finite & losses.are_finite(value, logits),
        )

    no = ops.zeros_like(values) > 0
    return draws.fori_loop(0, queries, query, (adversarial, values, no, ~no))
