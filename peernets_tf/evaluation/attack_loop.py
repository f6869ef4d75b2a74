"""Attacks a model's test images batch by batch, and counts what changes."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from peernets_tf import datasets, records
from peernets_tf.attacks import Attack, checks, losses
from peernets_tf.evaluation.batch_log import BatchLog
from peernets_tf.evaluation.strength import Strength
from peernets_tf.evaluation.target import Target


@dataclasses.dataclass(frozen=True, kw_only=True)
class CleanBatch:
    """A batch of unperturbed images.

    Attributes:
        predictions: tuple of ints, the predicted classes; the number of classes
            stands for rejection.
        zero_gradients: int or None, images at which the gradient that the
            attack follows, in a suite the exact one, is exactly zero; None
            if the attack follows none.
    """

    predictions: tuple[int, ...]
    zero_gradients: int | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttackedBatch:
    """A batch of adversarial images.

    Attributes:
        total, correct, adversarial_correct, changed, fooled, rejected: as in
            `records.AttackCase`.
        l2: float, the sum of the L2 norms of the perturbations that fool.
        linf: float, the same for the L-infinity norm.
        loss: float, the sum of the cross-entropies of all images with their
            true labels.
        queries: int, images whose logits the attack computed.
        right: tuple of ints, 1 for each image that is classified correctly
            after the attack, 0 for each other.
    """

    total: int
    correct: int
    adversarial_correct: int
    changed: int
    fooled: int
    l2: float
    linf: float
    loss: float
    rejected: int | None
    queries: int
    right: tuple[int, ...]


def clean_predictions(
    target: Target, log: BatchLog, *, loss: str | None
) -> tuple[CleanBatch, ...]:
    """Predicts the unperturbed images, and looks for masked gradients.

    Args:
        target: the `Target`.
        log: the `BatchLog` that batches are read from and written to.
        loss: str or None, the loss whose gradient the attack follows.

    Returns:
        A `CleanBatch` for each batch.

    Raises:
        AttackError: if the model's outputs are probabilities, its logits or the
            gradients that the attack follows are not finite, or images lie
            outside [0, 1].
    """
    rows: list[CleanBatch] = []
    with target.bar("unperturbed images") as bar:
        for number, batch in target.batches():
            key = f"clean/{number}"
            row = log.get(key, CleanBatch)
            if row is None:
                row = _predict_batch(target, number, batch, loss)
                log.add(key, row)
                bar.add(len(batch))
            else:
                bar.resume(len(batch))
            rows.append(row)
    return tuple(rows)


def attack_batches(
    target: Target,
    attack: Attack,
    strength: Strength,
    clean: Sequence[CleanBatch],
    log: BatchLog,
    *,
    name: str,
) -> tuple[AttackedBatch, ...]:
    """Attacks the target's batches.

    Args:
        target: the `Target`.
        attack: the `Attack`.
        strength: the `Strength`; every perturbation must lie in its ball.
        clean: sequence of `CleanBatch`es, from `clean_predictions`.
        log: the `BatchLog` that batches are read from and written to.
        name: str, what the rows are stored under.

    Returns:
        An `AttackedBatch` for each batch.

    Raises:
        AttackError: if an adversarial image lies outside the ball or, unless
            the strength is of an attack that does not clip, outside [0, 1]; or
            if logits are not finite.
    """
    rows: list[AttackedBatch] = []
    with target.bar(name) as bar:
        for (number, batch), before in zip(
            target.batches(), clean, strict=True
        ):
            key = f"{name}/{number}"
            row = log.get(key, AttackedBatch)
            if row is None:
                row = _attack_batch(
                    target, attack, strength, number, batch, before
                )
                log.add(key, row)
                bar.add(row.total, row.changed)
            else:
                bar.resume(row.total, row.changed)
            rows.append(row)
    return tuple(rows)


def attack_images(
    target: Target,
    attack: Attack,
    strength: Strength,
    clean: Sequence[CleanBatch],
    log: BatchLog,
    *,
    name: str,
) -> records.AttackCase:
    """Attacks all test images and counts.

    Args:
        target: the `Target`, with all batches.
        attack: see `attack_batches`.
        strength: see `attack_batches`.
        clean: see `attack_batches`.
        log: see `attack_batches`.
        name: see `attack_batches`.

    Returns:
        A `records.AttackCase`.

    Raises:
        AttackError: see `attack_batches`.
    """
    rows = attack_batches(target, attack, strength, clean, log, name=name)
    total = sum(row.total for row in rows)
    fooled = sum(row.fooled for row in rows)
    zeros = [
        row.zero_gradients for row in clean if row.zero_gradients is not None
    ]
    return records.AttackCase(
        attack=repr(attack),
        norm=strength.norm,
        epsilon=strength.epsilon,
        rho=strength.rho,
        rho_of=strength.rho_of,
        clip=strength.clip,
        total=total,
        correct=sum(row.correct for row in rows),
        adversarial_correct=sum(row.adversarial_correct for row in rows),
        changed=sum(row.changed for row in rows),
        fooled=fooled,
        rejected=_count_rejected(target, [row.rejected or 0 for row in rows]),
        clean_rejected=clean_rejected(target, clean),
        zero_gradients=sum(zeros) if zeros else None,
        mean_l2=_mean_pixels(sum(row.l2 for row in rows), fooled),
        mean_linf=_mean_pixels(sum(row.linf for row in rows), fooled),
        mean_loss=round(sum(row.loss for row in rows) / total, 6),
        queries=sum(row.queries for row in rows),
        right=records.per_image.to_hexadecimal(
            [bit for row in rows for bit in row.right]
        ),
    )


def clean_rejected(target: Target, clean: Sequence[CleanBatch]) -> int | None:
    """Returns how many unperturbed images a model rejects, None if it cannot.

    Args:
        target: the `Target`.
        clean: sequence of `CleanBatch`es, from `clean_predictions`.
    """
    counts = [int(target.is_rejected(row.predictions).sum()) for row in clean]
    return _count_rejected(target, counts)


def _count_rejected(target: Target, counts: ArrayLike) -> int | None:
    return None if target.rejected_as is None else int(np.sum(counts))


def _predict_batch(
    target: Target, number: int, batch: datasets.Split, loss: str | None
) -> CleanBatch:
    checks.check_images(batch.images)
    # The first batch of each shard.
    if number < target.shard.count:
        checks.check_logits(target.defended.logits_fn(batch.images[:8]))
    predictions = losses.classes_of(
        target.defended_logits(number, batch.images)
    )
    checks.check_predictions(predictions)
    zero_gradients = None
    if loss == "dlr":
        # It does not change where the label is the third likeliest class.
        loss = "margin"
    if loss is not None:
        with target.attacker.seeded(target.seed, number):
            gradients, _ = target.attacker.loss_gradient(
                batch.images,
                target.target_labels(number, batch.labels),
                loss,
                targeted=target.targeted,
            )
        has_gradient = gradients.reshape(len(gradients), -1).any(axis=1)
        zero_gradients = int(np.sum(~has_gradient))
    return CleanBatch(
        predictions=tuple(predictions.tolist()), zero_gradients=zero_gradients
    )


def _attack_batch(
    target: Target,
    attack: Attack,
    strength: Strength,
    number: int,
    batch: datasets.Split,
    clean: CleanBatch,
) -> AttackedBatch:
    change, logits, predictions, rejected, queries = target.perturb(
        attack, strength, number, batch
    )
    labels = target.target_labels(number, batch.labels)
    before = np.array(clean.predictions)
    was_correct = before == batch.labels
    fooled = was_correct & losses.is_fooled(
        predictions, labels, target.targeted
    )
    # A rejection is right only of an image that was right before.
    is_right = (predictions == batch.labels) & (was_correct | ~rejected)
    changed = predictions != before
    if target.rejected_as == "right":
        # Nobody is fooled by an image that is rejected.
        changed &= ~rejected
    return AttackedBatch(
        total=len(batch),
        correct=int(was_correct.sum()),
        adversarial_correct=int(np.sum(is_right)),
        changed=int(np.sum(changed)),
        fooled=int(fooled.sum()),
        l2=float(np.linalg.norm(change[fooled], axis=1).sum()),
        linf=float(np.abs(change[fooled]).max(axis=1).sum()),
        loss=float(losses.cross_entropies(logits, batch.labels).sum()),
        rejected=_count_rejected(target, rejected),
        queries=queries,
        right=tuple(is_right.astype(int).tolist()),
    )


def _mean_pixels(total: float, count: int) -> float | None:
    """Returns a mean norm on the 0-255 pixel scale, None if `count` is 0."""
    return round(255 * total / count, 3) if count else None
