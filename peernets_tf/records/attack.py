"""The record of an attack: what it did to the test images at each strength."""

import dataclasses
from typing import ClassVar

from peernets_tf.errors import UserError
from peernets_tf.records.counts import (
    check_counts,
    check_not_negative,
    check_totals,
)
from peernets_tf.records.per_image import from_hexadecimal
from peernets_tf.records.schema import Provenance, ThreatModel


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttackCase:
    """What an attack of one strength did to the test images.

    Attributes:
        attack: str, the attack with all its settings.
        norm: str, `"linf"` or `"l2"`.
        epsilon: float or None, the radius of the ball for images in [0, 1];
            None if the smallest radius that fools was searched.
        rho: float or None, epsilon over the mean L2 norm of training images.
        rho_of: str, which x that mean norm is of: `"unit"` (the image in
            [0, 1]), `"centered"` (minus 1/2) or `"standardized"` (by channel),
            see `peernets_tf.attacks.epsilon_from_rho`; without a meaning if
            `rho` is None. Records of earlier versions are all `"unit"`.
        clip: bool, whether adversarial images were clipped to [0, 1]; true in
            records of earlier versions.
        total: int, test images attacked.
        correct: int, those classified correctly before the attack.
        adversarial_correct: int, those classified correctly after it, a
            few of them perhaps not before it.
        changed: int, those whose predicted class changed.
        fooled: int, those that were correct and no longer are; for a targeted
            attack, those that were correct and reached their target class.
        zero_gradients: int or None, images at which the gradient that the
            attack follows is exactly zero (in records of earlier versions, or
            not finite); None if it follows none.
        mean_l2: float or None, the mean L2 norm of the perturbations of fooled
            images on the 0-255 pixel scale; None if none was fooled.
        mean_linf: float or None, the same for the L-infinity norm.
        mean_loss: float or None, the mean over all images of the cross-entropy
            (natural logarithm) of the adversarial image's logits with the true
            label; None in records of earlier versions.
        rejected: int or None, adversarial images that the model rejects; None
            if it cannot.
        clean_rejected: int or None, the same before the attack.
        queries: int or None, images whose logits the attack computed, all steps
            added, without the fit of a universal perturbation; None in records
            of earlier versions.
        right: str or None, which images are classified correctly after the
            attack: one bit for each in their order, as `per_image` writes
            them; None in records of earlier versions.
    """

    attack: str
    norm: str
    epsilon: float | None
    rho: float | None
    total: int
    correct: int
    adversarial_correct: int
    changed: int
    fooled: int
    zero_gradients: int | None
    mean_l2: float | None
    mean_linf: float | None
    mean_loss: float | None = None
    rho_of: str = "unit"
    clip: bool = True
    rejected: int | None = None
    clean_rejected: int | None = None
    queries: int | None = None
    right: str | None = None

    def __post_init__(self) -> None:
        check_counts(
            "total",
            self.total,
            correct=self.correct,
            adversarial_correct=self.adversarial_correct,
            changed=self.changed,
            zero_gradients=self.zero_gradients,
            rejected=self.rejected,
            clean_rejected=self.clean_rejected,
        )
        check_counts("correct", self.correct, fooled=self.fooled, at_least=0)
        check_counts("changed", self.changed, fooled=self.fooled, at_least=0)
        check_not_negative(
            epsilon=self.epsilon,
            rho=self.rho,
            mean_l2=self.mean_l2,
            mean_linf=self.mean_linf,
            mean_loss=self.mean_loss,
            queries=self.queries,
        )
        if self.right is not None:
            count = int(from_hexadecimal(self.right, self.total).sum())
            if count != self.adversarial_correct:
                raise UserError(
                    "right must name as many images as adversarial_correct="
                    f"{self.adversarial_correct}. Received: {count}"
                )


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttackRecord:
    """What one attack on one model's test images did.

    Attributes:
        model: str, the model's name.
        checkpoint: str, the file or preset that it was loaded from.
        weights_sha256: str, the hash of that file's weights, with the peers
            that it holds.
        precision: str or None, the Keras dtype policy in which layers
            computed, such as `"mixed_bfloat16"`; None for that in which the
            model was saved.
        dataset: str, the data set's name.
        test_size: int, test images attacked.
        attack: str, the attack's name.
        is_universal: bool, whether one perturbation served all images.
        follows_gradient: bool, whether the attack follows a gradient.
        backward: str, the backward pass of PeerRegularization layers that the
            attack follows: `"exact"`, `"identity"` or `"soft"`.
        rejected_as: `"wrong"`, `"right"` or None, what a rejected adversarial
            image counts as; None for a model that rejects none.
        ablation: str or None, what the PeerRegularization layers computed
            instead, see `peernets_tf.adaptive.Ablation`; None for the layers
            as they were trained.
        num_neighbors: int or None, K, if it was not the layers' own.
        threat_model: the `ThreatModel`, or None for a model without peers.
        transfer_from: str or None, the file or preset of another model, on
            which the adversarial images were made. `backward` and, in the
            cases, `zero_gradients` and `queries` are then those of the other
            model.
        cases: tuple of `AttackCase`s, one for each strength.
        provenance: the `Provenance`.
    """

    kind: ClassVar[str] = "attack"

    model: str
    checkpoint: str
    weights_sha256: str
    precision: str | None = None
    dataset: str
    test_size: int
    attack: str
    is_universal: bool
    follows_gradient: bool
    backward: str
    rejected_as: str | None = None
    ablation: str | None = None
    num_neighbors: int | None = None
    threat_model: ThreatModel | None = None
    transfer_from: str | None = None
    cases: tuple[AttackCase, ...]
    provenance: Provenance

    def __post_init__(self) -> None:
        check_totals(self.test_size, [case.total for case in self.cases])
        if self.num_neighbors is not None:
            check_counts("num_neighbors", self.num_neighbors)

    @property
    def is_ablated(self) -> bool:
        """Whether the layers computed something else than in training."""
        changed = (self.ablation, self.num_neighbors, self.precision)
        return any(value is not None for value in changed)

    @property
    def is_direct(self) -> bool:
        """Whether it followed the model itself, as it was trained."""
        return not self.is_ablated and self.transfer_from is None
