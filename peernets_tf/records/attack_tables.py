"""The tables of attacks, with the paper's figures beside ours."""

import collections
import re
from collections.abc import Mapping, Sequence

from peernets_tf.records import paper
from peernets_tf.records.attack import AttackCase, AttackRecord
from peernets_tf.records.names import (
    ball_text,
    checkpoint_name,
    dataset_name,
    norm_name,
)
from peernets_tf.records.tables import (
    Table,
    peers_text,
    precision_text,
    rate_text,
    rejection_text,
)

ATTACK_COLUMNS = (
    "attack",
    "backward",
    "strength",
    "accuracy",
    "fooled",
    "L2",
    "L-inf",
    "paper",
)

# The attack that is the control of universal perturbations.
_NOISE = "noise"


def attack_tables(records: Sequence[AttackRecord]) -> list[Table]:
    """Returns the tables of attacks, one for each model, images and graphs.

    A title that several models have names their files.
    Images that are not clipped to [0, 1], or were made on another model, have
    tables of their own. A strength of `ρ 0.10 unit` is 0.10 times the mean L2
    norm of images in [0, 1]. That of a black-box attack includes its queries,
    the mean for each image.

    The paper's column has accuracy / fooling rate of Tables 3 to 5, or fooling
    rate / mean L2 norm / mean L-infinity norm of Table 2.
    """
    found: dict[tuple[str, str], list[tuple[AttackRecord, AttackCase]]] = {}
    for record in records:
        for case in record.cases:
            key = (_attack_title(record, case), record.weights_sha256)
            found.setdefault(key, []).append((record, case))
    models = collections.Counter(title for title, _ in found)
    return [
        Table(
            title
            if models[title] == 1
            else f"{title}, {attacked[0][0].checkpoint}",
            attack_columns(attacked[0][0]),
            _rows(attacked),
        )
        for (title, _), attacked in found.items()
    ]


def _rows(
    attacked: Sequence[tuple[AttackRecord, AttackCase]],
) -> tuple[tuple[str, ...], ...]:
    """Returns the rows of a table.

    Where the first three cells of some agree, the third says what differs.
    """
    rows = [attack_row(record, case) for record, case in attacked]
    alike: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row, attack in zip(rows, attacked, strict=True):
        alike.setdefault(row[:3], []).append(_settings(*attack))
    told = []
    for row, attack in zip(rows, attacked, strict=True):
        differ = [
            f"{name}={value}"
            for name, value in _settings(*attack).items()
            if any(other.get(name) != value for other in alike[row[:3]])
        ]
        told.append((*row[:2], ", ".join([row[2], *differ]), *row[3:]))
    return tuple(told)


def _settings(record: AttackRecord, case: AttackCase) -> dict[str, str]:
    """Returns what may differ between rows that would look alike."""
    settings = dict(re.findall(r"\b(\w+)=([^,()]+)", case.attack))
    # These two stand in the cells.
    for name in ("epsilon", "norm"):
        settings.pop(name, None)
    found = {name: value.strip("'") for name, value in settings.items()}
    threat_model = record.threat_model
    if threat_model and threat_model.attacker != threat_model.defended:
        found["attack_graphs"] = str(threat_model.attacker.num_graphs)
    found["seed"] = str(record.provenance.seed)
    if record.backward == "soft" and "temperature" in record.provenance.flags:
        found["temperature"] = str(record.provenance.flags["temperature"])
    return found


def attack_columns(record: AttackRecord) -> tuple[str, ...]:
    """Returns `ATTACK_COLUMNS`, with rejected images if a model rejects any."""
    if record.rejected_as is None:
        return ATTACK_COLUMNS
    place = ATTACK_COLUMNS.index("accuracy") + 1
    return (*ATTACK_COLUMNS[:place], "rej.", *ATTACK_COLUMNS[place:])


def attack_row(record: AttackRecord, case: AttackCase) -> tuple[str, ...]:
    """Returns the cells of an attack, in the order of `attack_columns`."""
    rejected = [] if record.rejected_as is None else [str(case.rejected)]
    return (
        record.attack,
        backward_text(record),
        strength_text(case) + _steps(record, case) + _queries(record, case),
        rate_text(case.adversarial_correct, case.total),
        *rejected,
        rate_text(*_fooled(record, case)),
        _distance(case.mean_l2),
        _distance(case.mean_linf),
        _published_attack(record, case),
    )


def fooling_rate(record: AttackRecord, case: AttackCase) -> float:
    """Returns the fooling rate in [0, 1] of one case of a record.

    For a universal perturbation, and for noise of the same strength, it is the
    share of all images whose predicted class changed (Section 4.3 of the
    paper). For other attacks it is the share of correctly classified images
    that the attack fooled; 0 if none was classified correctly.
    """
    fooled, total = _fooled(record, case)
    return fooled / max(total, 1)


def published_universal(
    record: AttackRecord,
) -> Mapping[float, tuple[float, float]]:
    """Returns the accuracies and fooling rates of Tables 3 to 5, by rho.

    They are those of the record's model and graphs, empty if the paper has
    none.
    """
    size = (0, 0)
    if record.threat_model is not None:
        graphs = record.threat_model.defended
        size = (graphs.num_peers, graphs.num_graphs)
    name = (record.dataset, record.model)
    any_size = paper.UNIVERSAL.get((*name, None, None), {})
    return paper.UNIVERSAL.get((*name, *size), any_size)


def _attack_title(record: AttackRecord, case: AttackCase) -> str:
    # Images that were made on another model needed no graphs.
    is_own = record.transfer_from is None
    peers = peers_text(record.threat_model, with_policy=is_own)
    name = checkpoint_name(record.model, record.dataset, record.checkpoint)
    return (
        f"{name} on {dataset_name(record.dataset)}"
        f"{peers}{_ablation(record)}"
        f"{precision_text(record.precision)}"
        f"{'' if case.clip else ', not clipped'}{_made_on(record)}: "
        f"{case.total:,} images, "
        f"{rate_text(case.correct, case.total)} correct before the attack"
        f"{rejection_text(record.rejected_as, case.clean_rejected)}"
    )


def _made_on(record: AttackRecord) -> str:
    """Returns how a title names the other model that images were made on."""
    if record.transfer_from is None:
        return ""
    return f", images made on {record.transfer_from}"


def _ablation(record: AttackRecord) -> str:
    """Returns how a title names what the layers computed instead."""
    parts = [record.ablation] if record.ablation else []
    if record.num_neighbors:
        parts.append(f"K = {record.num_neighbors}")
    return "".join(f", {part}" for part in parts)


def backward_text(record: AttackRecord) -> str:
    """Returns the backward pass, and the graphs drawn anew in each step."""
    if not record.follows_gradient:
        return "-"
    if record.threat_model is None:
        return "-" if record.backward == "exact" else record.backward
    drawn = record.threat_model.expectation
    return record.backward + (f", EOT {drawn}" if drawn else "")


def strength_text(case: AttackCase) -> str:
    """Returns the radius of a case, or the norm that it minimizes."""
    if case.rho is not None:
        # Two decimals as in the paper, or all that the value has.
        rho = max(f"{case.rho:.2f}", f"{case.rho:g}", key=len)
        return f"ρ {rho} {case.rho_of}"
    if case.epsilon is None:
        return f"min. {norm_name(case.norm)}"
    return ball_text(case.norm, case.epsilon)


def _steps(record: AttackRecord, case: AttackCase) -> str:
    """Returns the steps of a case if others of equal strength differ in them.

    The attack that a case names has its number of steps as an argument.
    """
    equal = [c for c in record.cases if strength_text(c) == strength_text(case)]
    found = re.search(r"\bsteps=(\d+)", case.attack)
    if found is None or len(equal) == 1:
        return ""
    return ", 1 step" if found[1] == "1" else f", {found[1]} steps"


def _queries(record: AttackRecord, case: AttackCase) -> str:
    """Returns the mean number of queries of an attack on a black box."""
    if record.follows_gradient or not case.queries:
        return ""
    return f", {case.queries / case.total:,.0f} queries"


def _fooled(record: AttackRecord, case: AttackCase) -> tuple[int, int]:
    """Returns the numerator and the denominator of the fooling rate."""
    is_control = record.attack == _NOISE and case.rho is not None
    if record.is_universal or is_control:
        return case.changed, case.total
    return case.fooled, case.correct


def _distance(value: float | None) -> str:
    """Returns three significant digits, but at most two decimals."""
    if value is None:
        return "-"
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f}"


def _published_attack(record: AttackRecord, case: AttackCase) -> str:
    if record.is_universal and case.rho is not None:
        row = published_universal(record)
        if case.rho in row:
            accuracy, rate = row[case.rho]
            return f"{accuracy:.1%} / {rate:.1%}"
    is_search = case.epsilon is None
    # The paper's FGSM and PGD are those of L-infinity.
    norm = "l2" if record.attack == "gradient_descent" else "linf"
    if is_search and record.dataset == "cifar10" and case.norm == norm:
        cells = paper.SAMPLE_SPECIFIC.get((record.model, record.attack))
        if cells:
            rate, l2, linf = cells
            return f"{rate:.1%} / {_distance(l2)} / {_distance(linf)}"
    return "-"
