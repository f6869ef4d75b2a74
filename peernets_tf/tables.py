"""Rows of tables: our records beside the paper's figures."""

from collections.abc import Sequence
from typing import Any

from peernets_tf import paper, results

TRAINING_COLUMNS = (
    "model",
    "dataset",
    "epochs",
    "peers",
    "test images",
    "accuracy",
    "paper",
)
ATTACK_COLUMNS = (
    "model",
    "peers",
    "attack",
    "backward",
    "strength",
    "images",
    "clean",
    "attacked",
    "fooled",
    "mean L2",
    "mean L-inf",
    "paper",
)


def training_row(record: results.TrainingResult) -> tuple[str, ...]:
    """Returns the cells of a training, as in `TRAINING_COLUMNS`."""
    published = paper.ACCURACY.get((record.dataset, record.model))
    has_peers = record.num_peers > 0
    return (
        record.model,
        record.dataset,
        record.epochs,
        f"{record.num_peers} x {record.num_graphs}" if has_peers else "-",
        str(record.test_size),
        f"{record.accuracy:.2%}",
        "-" if published is None else f"{published:.2%}",
    )


def attack_rows(record: results.AttackResult) -> list[tuple[str, ...]]:
    """Returns the cells of an attack's cases, as in `ATTACK_COLUMNS`.

    The fooling rate of a universal perturbation, and of noise of its strength,
    is the share of all images whose prediction changed (Section 4.3); that of
    an attack on single images the share of correctly classified ones that it
    made wrong. The paper's column
    has accuracy / fooling rate of Tables 3 to 5, or fooling rate / mean L2 /
    mean L-infinity of Table 2.
    """
    return [
        (
            record.model,
            _peers(record.peers),
            record.attack,
            record.backward if _follows_gradient(record) else "-",
            _strength(case),
            str(case["total"]),
            f"{case['correct'] / case['total']:.1%}",
            f"{case['adversarial_correct'] / case['total']:.1%}",
            f"{fooling_rate(record, case):.1%}",
            _number(case["mean_l2"], 1),
            _number(case["mean_linf"], 2),
            _published(record, case),
        )
        for case in record.cases
    ]


def fooling_rate(record: results.AttackResult, case: dict[str, Any]) -> float:
    """Returns the fooling rate in [0, 1] of one case of a record."""
    is_control = record.attack == "noise" and case["rho"] is not None
    if is_universal(record) or is_control:
        return case["changed"] / case["total"]
    return case["fooled"] / max(case["correct"], 1)


def is_universal(record: results.AttackResult) -> bool:
    """Whether one perturbation served all images."""
    return record.attack.startswith("universal")


def attack_table(records: Sequence[results.AttackResult]) -> str:
    """Returns the Markdown table of attacks."""
    rows = [row for record in records for row in attack_rows(record)]
    return results.format_table(ATTACK_COLUMNS, rows)


def _follows_gradient(record: results.AttackResult) -> bool:
    """Whether the attack passed through PeerRegularization layers."""
    blind = ("noise", "universal.file")
    return bool(record.peers) and record.attack not in blind


def _peers(peers: dict[str, Any]) -> str:
    if not peers:
        return "-"
    judged = peers["judged"]
    size = f"{judged['num_peers']} x {judged['num_graphs']}"
    return f"{size}, {peers['policy']}"


def _strength(case: dict[str, Any]) -> str:
    if case["rho"] is not None:
        return "rho " + max(f"{case['rho']:.2f}", f"{case['rho']:g}", key=len)
    if case["epsilon"] is None:
        return "smallest"
    if case["norm"] == "linf":
        return f"linf {255 * case['epsilon']:.3g}/255"
    return f"l2 {case['epsilon']:.3g}"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _published(record: results.AttackResult, case: dict[str, Any]) -> str:
    if is_universal(record) and case["rho"] is not None:
        judged = record.peers.get("judged", {})
        size = (judged.get("num_peers", 0), judged.get("num_graphs", 0))
        name = (record.dataset, record.model)
        any_size = paper.UNIVERSAL.get((*name, None, None), {})
        row = paper.UNIVERSAL.get((*name, *size), any_size)
        if case["rho"] in row:
            accuracy, rate = row[case["rho"]]
            return f"{accuracy:.1%} / {rate:.1%}"
    is_search = case["epsilon"] is None
    if is_search and record.dataset == "cifar10":
        cells = paper.SAMPLE_SPECIFIC.get((record.model, record.attack))
        if cells:
            rate, l2, linf = cells
            return f"{rate:.1%} / {_number(l2, 1)} / {_number(linf, 2)}"
    return "-"
