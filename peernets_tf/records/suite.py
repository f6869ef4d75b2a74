"""The record of a suite: its attacks in their order, and its checklist."""

import dataclasses
from typing import ClassVar

from peernets_tf.errors import UserError
from peernets_tf.records import statistics
from peernets_tf.records.counts import check_counts, check_not_negative
from peernets_tf.records.schema import Provenance, ThreatModel

VERDICTS = ("passed", "failed", "not measured")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Check:
    """One question about an evaluation, and its answer.

    Attributes:
        name: str, what a sound evaluation shows.
        verdict: `"passed"`, `"failed"` or `"not measured"`.
        measured: str, the figures behind the verdict.
    """

    name: str
    verdict: str
    measured: str

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise UserError(
                f"verdict must be one of {VERDICTS}. Received: {self.verdict!r}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SuiteCase:
    """What one attack of a suite did.

    Attributes:
        name: str, the attack's name in the suite.
        attack: str, the attack with all its settings.
        access: str, what the attack uses of the model: `"nothing"`,
            `"white-box"`, `"black-box"` or `"transfer"`.
        backward: str, the backward pass of PeerRegularization layers, or of
            what else hides a gradient, that the attack follows: `"exact"`,
            `"identity"` or `"soft"`.
        epsilon: float, the radius of the ball for images in [0, 1].
        is_counted: bool, whether the suite's worst case counts the attack;
            other attacks only serve the checklist.
        attacked: int, the images attacked.
        fooled: int, those of them that are classified wrongly afterwards.
        robust: int, test images that are classified correctly after this and
            all earlier attacks that count.
        queries: int, images whose logits the attack computed, all steps added.
    """

    name: str
    attack: str
    access: str
    backward: str
    epsilon: float
    is_counted: bool
    attacked: int
    fooled: int
    robust: int
    queries: int

    def __post_init__(self) -> None:
        check_counts("attacked", self.attacked, fooled=self.fooled, at_least=0)
        check_not_negative(
            epsilon=self.epsilon, robust=self.robust, queries=self.queries
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SuiteResult:
    """What a suite of attacks did to some images.

    Attributes:
        suite: str, such as `"autoattack"` or `"adaptive"`.
        norm: `"linf"` or `"l2"`.
        epsilon: float, the radius of the ball for images in [0, 1].
        budget: float, the factor of all steps, restarts, queries and samples,
            except those of the large ball.
        total: int, the images.
        correct: int, those classified correctly before all attacks.
        robust: int, those classified correctly after each attack that counts.
        rejected_as: `"wrong"`, `"right"` or None, what a rejected adversarial
            image counts as; None for a model that rejects none.
        clean_rejected: int or None, images that the model rejects before all
            attacks; None if it cannot.
        cases: tuple of `SuiteCase`s, in the order in which they ran.
        checks: tuple of `Check`s.
    """

    suite: str
    norm: str
    epsilon: float
    budget: float
    total: int
    correct: int
    robust: int
    rejected_as: str | None = None
    clean_rejected: int | None = None
    cases: tuple[SuiteCase, ...]
    checks: tuple[Check, ...]

    def __post_init__(self) -> None:
        check_counts(
            "total",
            self.total,
            correct=self.correct,
            clean_rejected=self.clean_rejected,
        )
        check_counts("correct", self.correct, robust=self.robust, at_least=0)
        check_not_negative(epsilon=self.epsilon, budget=self.budget)
        for case in self.cases:
            check_counts(
                "correct",
                self.correct,
                **{f"{case.name}.attacked": case.attacked},
                **{f"{case.name}.robust": case.robust},
                at_least=0,
            )
        last = [case.robust for case in self.cases if case.is_counted][-1:]
        if last not in ([], [self.robust]):
            raise UserError(
                f"robust must be {last[0]}, that of the last attack that "
                f"counts. Received: {self.robust}"
            )

    @property
    def clean_accuracy(self) -> float:
        """Accuracy before the attacks, in [0, 1]."""
        return self.correct / self.total

    @property
    def robust_accuracy(self) -> float:
        """Accuracy in the worst case of all attacks that count, in [0, 1]."""
        return self.robust / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % Wilson interval of the robust accuracy."""
        return statistics.wilson_interval(self.robust, self.total)

    @property
    def backwards(self) -> tuple[str, ...]:
        """The backward passes of white-box attacks, in their order.

        They are those of attacks that count and had an image left to attack.
        """
        followed = (
            case.backward
            for case in self.cases
            if case.is_counted and case.attacked and case.access == "white-box"
        )
        return tuple(dict.fromkeys(followed))

    @property
    def title(self) -> str:
        """The suite's name, with what differs from its defaults.

        That is its budget, and the backward pass of its white-box attacks if
        all follow the same one and it is not the exact one.
        """
        text = self.suite
        if self.budget != 1:
            text += f" with budget {self.budget:g}"
        if len(self.backwards) == 1 and self.backwards != ("exact",):
            text += f", {self.backwards[0]}"
        return text

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(c for c in self.checks if c.verdict == "failed")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SuiteRecord:
    """What a suite of attacks did to one model's test images.

    Attributes:
        model: str, the model's name.
        checkpoint: str, the file or preset that it was loaded from.
        weights_sha256: str, the hash of that file's weights, with the peers
            that it holds.
        precision: str or None, see `AttackRecord`.
        dataset: str, the data set's name.
        test_size: int, test images attacked.
        threat_model: the `ThreatModel`, or None for a model without peers.
        transfer_from: str or None, the file or preset of the other model that
            transfer attacks made their images on.
        result: the `SuiteResult`.
        provenance: the `Provenance`.
    """

    kind: ClassVar[str] = "suite"

    model: str
    checkpoint: str
    weights_sha256: str
    precision: str | None = None
    dataset: str
    test_size: int
    threat_model: ThreatModel | None = None
    transfer_from: str | None = None
    result: SuiteResult
    provenance: Provenance

    @property
    def is_ablated(self) -> bool:
        """Whether the layers computed something else than in training."""
        return self.precision is not None

    def __post_init__(self) -> None:
        if self.result.total != self.test_size:
            raise UserError(
                f"result.total must be test_size={self.test_size}. Received: "
                f"{self.result.total}"
            )
