"""What records say about a PeerNet, in one sentence, the strongest first."""

import dataclasses
import re
from collections.abc import Iterable, Sequence

from peernets_tf.pictures import attack_kinds, labels
from peernets_tf.pictures.attack_kinds import Attacked
from peernets_tf.records import (
    AttackCase,
    AttackRecord,
    ComparisonRecord,
    Record,
    SuiteCase,
    SuiteRecord,
    checkpoint_name,
    dataset_name,
    statistics,
)

# The radii at which robustness in L-infinity is usually stated.
_USUAL_EPSILON = {"mnist": 0.3, "mnist5k": 0.3}
_OTHER_EPSILON = 8 / 255
_RESTARTS = re.compile(r"\brestarts=(\d+)")
_KINDS = {
    "exact": "the exact gradient",
    "identity": "BPDA with the identity",
    "soft": "BPDA with a soft attention",
    "black box": "an attack without gradients",
    "noise": "random noise",
}
_TOLERANCE = 1e-6
_SUITE = "suite "
# The names of attacks on only the first 100 images start so.
_LARGE_BALL = "large-ball"
_TESTS = {"mnist": 10_000, "cifar10": 10_000, "cifar100": 10_000}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """The accuracy that the strongest attack leaves, and what is open.

    Attributes:
        network: str, such as `PR-ResNet-32 on CIFAR-10`.
        accuracy: str, in percent.
        interval: str, the 95 % interval in percent.
        images: str, the test images.
        attack: str, the strongest attack and its strength.
        before: str, the accuracy before the attack, in percent.
        exact: str, what the same attack leaves with the exact gradient, in
            percent; empty unless that is more by both intervals.
        not_tried: tuple of str, what no record has.
    """

    network: str
    accuracy: str
    interval: str
    images: str
    attack: str
    before: str
    exact: str
    not_tried: tuple[str, ...]


def verdicts(records: Sequence[Record]) -> list[Verdict]:
    """Returns a verdict for each PeerNet that was attacked at a given strength.

    The strongest attack is the one that leaves the lowest accuracy: in the
    usual L-infinity ball (8/255; for MNIST 0.3) or within it, if any record has
    such a case, otherwise among all cases. Of a suite it is the attack after
    which the worst case is lowest. Comparisons count only if there are no
    attacks on PeerNets.
    """
    attacked = _on_peernets(r for r in records if isinstance(r, AttackRecord))
    attacked += _on_peernets(
        attack
        for record in records
        if isinstance(record, SuiteRecord)
        for attack in _steps(record)
    )
    if not attacked:
        attacked = _on_peernets(
            attack
            for record in records
            if isinstance(record, ComparisonRecord)
            for attack in _as_attacks(record)
        )
    networks: dict[str, list[Attacked]] = {}
    for record, case in attacked:
        networks.setdefault(record.weights_sha256, []).append((record, case))
    return [_verdict(cases) for cases in networks.values()]


def _on_peernets(records: Iterable[AttackRecord]) -> list[Attacked]:
    return [
        (record, case)
        for record in records
        if record.threat_model is not None and record.is_direct
        for case in record.cases
        if case.epsilon and case.clip
    ]


def _steps(record: SuiteRecord) -> list[AttackRecord]:
    """Returns the attacks of a suite that had images to attack.

    One that counts has the worst case until then, one that serves the checklist
    only what it leaves itself. A large ball is left out.
    """
    result = record.result
    left = [_left(case, result.correct) for case in result.cases]
    return [
        AttackRecord(
            model=record.model,
            checkpoint=record.checkpoint,
            weights_sha256=record.weights_sha256,
            precision=record.precision,
            dataset=record.dataset,
            test_size=record.test_size,
            attack="noise"
            if case.access == "nothing"
            else f"{_SUITE}{result.suite}",
            is_universal=False,
            follows_gradient=case.access in ("white-box", "transfer"),
            backward=case.backward,
            rejected_as=result.rejected_as,
            threat_model=record.threat_model,
            cases=(
                AttackCase(
                    attack=case.attack,
                    norm=result.norm,
                    epsilon=case.epsilon,
                    rho=None,
                    total=result.total,
                    correct=result.correct,
                    adversarial_correct=remaining,
                    changed=result.correct - remaining,
                    fooled=result.correct - remaining,
                    zero_gradients=None,
                    mean_l2=None,
                    mean_linf=None,
                ),
            ),
            provenance=record.provenance,
        )
        for case, remaining in zip(result.cases, left, strict=True)
        if case.attacked
        and case.epsilon == result.epsilon
        and not case.name.startswith(_LARGE_BALL)
    ]


def _left(case: SuiteCase, correct: int) -> int:
    """Returns how many of the images that were correct a step leaves."""
    if case.is_counted:
        return case.robust
    attacks_all = case.attacked == correct
    return (correct if attacks_all else case.robust) - case.fooled


def _as_attacks(record: ComparisonRecord) -> list[AttackRecord]:
    """Returns the attacks of a comparison."""
    return [
        AttackRecord(
            model=row.network,
            checkpoint=row.checkpoint,
            weights_sha256=row.weights_sha256,
            dataset=record.dataset,
            test_size=record.test_size,
            attack="pgd",
            is_universal=False,
            follows_gradient=True,
            backward=attacked.backward,
            threat_model=row.threat_model,
            cases=(attacked.case,),
            provenance=attacked.provenance,
        )
        for row in record.rows
        for attacked in row.cases
    ]


def _verdict(attacked: Sequence[Attacked]) -> Verdict:
    pool = _usual(attacked)
    record, case = min(pool, key=_strength)
    count, total = case.adversarial_correct, case.total
    low, high = statistics.wilson_interval(count, total)
    exact = [
        other
        for of, other in pool
        if attack_kinds.attack_kind(of) == "exact"
        # With the same settings, which name the radius, too.
        and (of.attack, other.attack) == (record.attack, case.attack)
    ]
    exact_text = ""
    if exact:
        same = max(exact, key=lambda other: other.total)
        bound, _ = statistics.wilson_interval(
            same.adversarial_correct, same.total
        )
        exact_text = _percent(_accuracy(same)) if bound > high else ""
    network = checkpoint_name(record.model, record.dataset, record.checkpoint)
    return Verdict(
        network=labels.short(
            f"{network} on {dataset_name(record.dataset)}", length=80
        ),
        accuracy=_percent(count / total),
        interval=f"{_percent(low)} to {_percent(high)}",
        images=labels.images([total]),
        attack=_attack_text(record, case),
        before=_percent(case.correct / total),
        exact=exact_text,
        not_tried=_not_tried(attacked, record, case),
    )


def _usual(attacked: Sequence[Attacked]) -> list[Attacked]:
    """Returns the cases among which the strongest is sought."""

    def within(record: AttackRecord, case: AttackCase) -> bool:
        usual = _USUAL_EPSILON.get(record.dataset, _OTHER_EPSILON)
        return (
            case.norm == "linf"
            and not record.is_universal
            and (case.epsilon or 0) <= usual + _TOLERANCE
        )

    return [pair for pair in attacked if within(*pair)] or list(attacked)


def _strength(attacked: Attacked) -> tuple[float, int, float]:
    """Returns what is smallest for the strongest attack.

    Of attacks that leave the same accuracy, that on more images is the
    strongest, then that in the smaller ball.
    """
    _, case = attacked
    return _accuracy(case), -case.total, case.epsilon or 0


def _accuracy(case: AttackCase) -> float:
    return case.adversarial_correct / case.total


def _attack_text(record: AttackRecord, case: AttackCase) -> str:
    name = attack_kinds.with_budget(record, case)
    if record.attack.startswith(_SUITE):
        # All its attacks until then, not the budget of the last.
        name = record.attack
    if record.follows_gradient:
        kind = attack_kinds.attack_kind(record)
        name = f"{name}, {attack_kinds.KIND_NAMES[kind]}"
    return f"{name}, {attack_kinds.strength(case)}"


def _not_tried(
    attacked: Sequence[Attacked], record: AttackRecord, case: AttackCase
) -> tuple[str, ...]:
    """Returns what no record of a network has, given its strongest attack."""
    kinds = {attack_kinds.attack_kind(other) for other, _ in attacked}
    kinds_at = {
        attack_kinds.attack_kind(other)
        for other, same in attacked
        if (same.norm, same.epsilon) == (case.norm, case.epsilon)
    }
    threat_models = [o.threat_model for o, _ in attacked if o.threat_model]
    restarts = {
        restart
        for _, other in attacked
        for restart in _RESTARTS.findall(other.attack)
    }
    whole = _TESTS.get(record.dataset)
    missing = [name for kind, name in _KINDS.items() if kind not in kinds]
    missing += [
        f"{name} in this ball"
        for kind, name in _KINDS.items()
        if kind in kinds - kinds_at
    ]
    if restarts == {"1"}:
        missing.append("more than one restart")
    if max(model.defended.num_graphs for model in threat_models) == 1:
        missing.append("predictions averaged over several graphs")
    if {model.policy for model in threat_models} == {"known"}:
        missing.append("graphs that the attacker does not know")
    if whole and case.total < whole:
        missing.append(f"the other {whole - case.total:,} test images")
    return tuple(missing)


def _percent(rate: float) -> str:
    return f"{100 * rate:.1f} %"
