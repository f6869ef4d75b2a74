"""Markdown tables of records, with the paper's figures beside ours.

What all rows of a table share stands in its title, so that a table is not
wider than a screen. A rate that was counted on test images has the margin of
its 95 % Wilson interval behind it: `64.6% ±3.0` means 64.6 % ± 3.0 points.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from peernets_tf.records import paper, statistics
from peernets_tf.records.escaping import escape
from peernets_tf.records.names import (
    ball_text,
    dataset_name,
    graphs_text,
    network_name,
)
from peernets_tf.records.schema import (
    AttackCase,
    AttackRecord,
    BenchmarkRecord,
    ComparisonCase,
    ComparisonRecord,
    ComparisonRow,
    Graphs,
    ThreatModel,
    TrainingRecord,
    TrialsRecord,
)

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
    "attack",
    "backward",
    "strength",
    "accuracy",
    "fooled",
    "L2",
    "L-inf",
    "paper",
)
COMPARISON_COLUMNS = (
    "row",
    "trained on",
    "steps",
    "graphs",
    "backward",
    "clean",
    "attacked",
    "paper",
)
TRIALS_COLUMNS = ("trials", "tried", "passed", "failed")


@dataclasses.dataclass(frozen=True)
class Table:
    """A table and what all its rows share.

    Attributes:
        title: str, one line of text, empty for none.
        columns: tuple of str, the heads.
        rows: tuple of tuples of str, the cells.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """Returns the title in bold, then the table."""
        table = markdown_table(self.columns, self.rows)
        return f"**{escape(self.title)}**\n\n{table}" if self.title else table


def markdown(tables: Sequence[Table]) -> str:
    """Returns several tables as one text."""
    return "\n\n".join(table.markdown() for table in tables)


def rate_text(count: int, total: int, digits: int = 1) -> str:
    """Returns a rate and its 95 % margin, as in `64.6% ±3.0`.

    The margin covers the choice of test images only, not other seeds of
    training or other graphs of peers.

    Args:
        count: int, the images counted.
        total: int, all images; the text is `-` if there are none.
        digits: int, the decimals of both.
    """
    if not total:
        return "-"
    margin = 100 * statistics.margin(count, total)
    return f"{count / total:.{digits}%} ±{margin:.{digits}f}"


def markdown_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]]
) -> str:
    """Returns a Markdown table with aligned columns, its cells escaped.

    Args:
        columns: sequence of str, the heads.
        rows: sequence of sequences of str.
    """
    cells = [[*map(escape, row)] for row in (columns, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in cells
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def training_row(record: TrainingRecord) -> tuple[str, ...]:
    """Returns the cells of a training, in the order of `TRAINING_COLUMNS`."""
    published = None
    if record.attack is None:
        published = paper.ACCURACY.get((record.dataset, record.model))
    return (
        record.model + (" (adversarial)" if record.attack else ""),
        record.dataset,
        record.epochs,
        size_text(record.graphs),
        str(record.test_size),
        rate_text(record.correct, record.test_size, digits=2)
        + ("" if record.rejected is None else f", {record.rejected} rejected"),
        "-" if published is None else f"{published:.2%}",
    )


def size_text(graphs: Graphs | None) -> str:
    """Returns N x M, the peers of a graph and the graphs, such as `50 x 10`.

    Args:
        graphs: the `Graphs`; None, which gives `-`, for a model without peers.
    """
    return f"{graphs.num_peers} x {graphs.num_graphs}" if graphs else "-"


def training_table(records: Sequence[TrainingRecord]) -> Table:
    """Returns the table of trainings."""
    return Table("", TRAINING_COLUMNS, tuple(map(training_row, records)))


def curves(records: Sequence[TrainingRecord]) -> list[Table]:
    """Returns validation accuracies, one table for each data set.

    A row is an epoch, a column a training. The epochs of an initial model count
    first. Trainings that count steps instead, and defences, are left out.
    """
    records = [r for r in records if r.num_steps is None and r.defense is None]
    return [
        _curves(dataset, [r for r in records if r.dataset == dataset])
        for dataset in dict.fromkeys(record.dataset for record in records)
    ]


def _curves(dataset: str, records: Sequence[TrainingRecord]) -> Table:
    cells: dict[int, dict[int, str]] = {}
    for i, record in enumerate(records):
        before = record.initial_model.epochs if record.initial_model else 0
        for epoch, row in enumerate(record.history, start=(before or 0) + 1):
            if "val_accuracy" in row:
                cells.setdefault(epoch, {})[i] = f"{row['val_accuracy']:.1%}"
    columns = ("epoch", *(record.model for record in records))
    rows = tuple(
        (str(epoch), *(cells[epoch].get(i, "") for i in range(len(records))))
        for epoch in sorted(cells)
    )
    return Table(f"{dataset_name(dataset)}, validation accuracy", columns, rows)


def attack_tables(records: Sequence[AttackRecord]) -> list[Table]:
    """Returns the tables of attacks, one for each model, images and graphs.

    Images that are not clipped to [0, 1] have tables of their own. A strength
    of `ρ 0.10 unit` is 0.10 times the mean L2 norm of images in [0, 1].

    The paper's column has accuracy / fooling rate of Tables 3 to 5, or fooling
    rate / mean L2 norm / mean L-infinity norm of Table 2.
    """
    rows: dict[str, list[tuple[str, ...]]] = {}
    columns = {}
    for record in records:
        for case in record.cases:
            title = _attack_title(record, case)
            rows.setdefault(title, []).append(attack_row(record, case))
            columns[title] = attack_columns(record)
    return [
        Table(title, columns[title], tuple(cells))
        for title, cells in rows.items()
    ]


def _attack_title(record: AttackRecord, case: AttackCase) -> str:
    return (
        f"{network_name(record.model)} on {dataset_name(record.dataset)}"
        f"{peers_text(record.threat_model)}{_ablation(record)}"
        f"{'' if case.clip else ', not clipped'}: {case.total:,} images, "
        f"{rate_text(case.correct, case.total)} correct before the attack"
        f"{rejection_text(record.rejected_as, case.clean_rejected)}"
    )


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
        _backward(record),
        _strength(case) + _steps(record, case),
        rate_text(case.adversarial_correct, case.total),
        *rejected,
        rate_text(*_fooled(record, case)),
        _distance(case.mean_l2),
        _distance(case.mean_linf),
        _published_attack(record, case),
    )


def _backward(record: AttackRecord) -> str:
    """Returns the backward pass, and the graphs drawn anew in each step."""
    if not record.follows_gradient:
        return "-"
    if record.threat_model is None:
        return "-" if record.backward == "exact" else record.backward
    drawn = record.threat_model.expectation
    return record.backward + (f", EOT {drawn}" if drawn else "")


def fooling_rate(record: AttackRecord, case: AttackCase) -> float:
    """Returns the fooling rate in [0, 1] of one case of a record.

    For a universal perturbation, and for noise of the same strength, it is the
    share of all images whose predicted class changed (Section 4.3 of the
    paper). For other attacks it is the share of correctly classified images
    that the attack fooled; 0 if none was classified correctly.
    """
    fooled, total = _fooled(record, case)
    return fooled / max(total, 1)


def _fooled(record: AttackRecord, case: AttackCase) -> tuple[int, int]:
    """Returns the numerator and the denominator of the fooling rate."""
    is_control = not record.follows_gradient and case.rho is not None
    if record.is_universal or is_control:
        return case.changed, case.total
    return case.fooled, case.correct


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


def comparison_table(record: ComparisonRecord) -> Table:
    """Returns the table of a comparison, one row for each backward pass.

    The paper's column has its clean accuracy / accuracy under attack. It stands
    only beside the networks that the paper trained, under the attack that it
    ran: the challenge's own, with the exact backward pass.
    """
    modes = {
        str(row.training.options.get("attack_mode", "-"))
        for row in record.rows
        if row.training is not None and row.trained_on != "images"
    }
    title = f"{dataset_name(record.dataset)}, {record.test_size:,} images"
    if modes:
        title += f"; attack mode while training: {', '.join(sorted(modes))}"
    rows = tuple(
        _comparison_row(record, row, attacked)
        for row in record.rows
        for attacked in row.cases
    )
    return Table(title, COMPARISON_COLUMNS, rows)


def _comparison_row(
    record: ComparisonRecord, row: ComparisonRow, attacked: ComparisonCase
) -> tuple[str, ...]:
    case = attacked.case
    return (
        row.name,
        row.trained_on,
        "+".join("file" if n is None else str(n) for n in row.steps),
        size_text(row.threat_model.defended if row.threat_model else None),
        attacked.backward if row.threat_model else "-",
        rate_text(case.correct, case.total),
        rate_text(case.adversarial_correct, case.total),
        _published_comparison(record, row, attacked),
    )


def benchmark_tables(record: BenchmarkRecord) -> list[Table]:
    """Returns one table for each case, with its sizes in the title.

    A row is one of the functions that were timed. A column is the median of
    its times, in seconds, or another figure that the case has for it.
    """
    return [_benchmark_table(record.name, case) for case in record.cases]


def _benchmark_table(name: str, case: dict[str, Any]) -> Table:
    timed = list(case.get("median_seconds", {}))
    columns, settings = [], []
    for key, value in case.items():
        if isinstance(value, dict) and set(value) <= set(timed):
            # All single times would not fit a screen; their median does.
            if key != "seconds":
                columns.append(key)
        elif isinstance(value, dict):
            settings += [
                f"{key}.{name}={_setting(v)}" for name, v in value.items()
            ]
        else:
            settings.append(f"{key}={_setting(value)}")
    rows = tuple(
        (function, *(_figure(case[key].get(function)) for key in columns))
        for function in timed
    )
    heads = ("timed", *(column.replace("_", " ") for column in columns))
    return Table(f"Benchmark {name}: {', '.join(settings)}", heads, rows)


def _setting(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _figure(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else "-"


def peers_text(threat_model: ThreatModel | None) -> str:
    """Returns how a title names the defended model's graphs."""
    if threat_model is None:
        return ""
    graphs = threat_model.defended
    text = graphs_text(graphs.num_graphs, graphs.num_peers)
    return f", {text}, {threat_model.policy}"


def rejection_text(rejected_as: str | None, rejected: int | None) -> str:
    """Returns how a title names the images that a model rejects.

    Args:
        rejected_as: str or None, what a rejected adversarial image counts as.
        rejected: int or None, the unperturbed images that are rejected.
    """
    if rejected_as is None:
        return ""
    return f", {rejected} rejected; a rejected image counts as {rejected_as}"


def _ablation(record: AttackRecord) -> str:
    """Returns how a title names what the layers computed instead."""
    parts = [record.ablation] if record.ablation else []
    if record.num_neighbors:
        parts.append(f"K = {record.num_neighbors}")
    return "".join(f", {part}" for part in parts)


def _strength(case: AttackCase) -> str:
    if case.rho is not None:
        # Two decimals as in the paper, or all that the value has.
        rho = max(f"{case.rho:.2f}", f"{case.rho:g}", key=len)
        return f"ρ {rho} {case.rho_of}"
    if case.epsilon is None:
        return "smallest"
    return ball_text(case.norm, case.epsilon)


def _distance(value: float | None) -> str:
    """Returns three significant digits, but at most two decimals."""
    if value is None:
        return "-"
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f}"


def _steps(record: AttackRecord, case: AttackCase) -> str:
    """Returns the steps of a case if others of equal strength differ in them.

    The attack that a case names has its number of steps as an argument.
    """
    equal = [c for c in record.cases if _strength(c) == _strength(case)]
    found = re.search(r"\bsteps=(\d+)", case.attack)
    if found is None or len(equal) == 1:
        return ""
    return ", 1 step" if found[1] == "1" else f", {found[1]} steps"


def _published_attack(record: AttackRecord, case: AttackCase) -> str:
    if record.is_universal and case.rho is not None:
        row = published_universal(record)
        if case.rho in row:
            accuracy, rate = row[case.rho]
            return f"{accuracy:.1%} / {rate:.1%}"
    is_search = case.epsilon is None
    if is_search and record.dataset == "cifar10":
        cells = paper.SAMPLE_SPECIFIC.get((record.model, record.attack))
        if cells:
            rate, l2, linf = cells
            return f"{rate:.1%} / {_distance(l2)} / {_distance(linf)}"
    return "-"


def _published_comparison(
    record: ComparisonRecord, row: ComparisonRow, attacked: ComparisonCase
) -> str:
    is_of_the_paper = (
        record.dataset == "cifar10"
        and row.key in paper.ADVERSARIAL_TRAINING
        and attacked.backward == "exact"
        and attacked.case.attack == paper.CHALLENGE_ATTACK
    )
    if not is_of_the_paper:
        return "-"
    clean, adversarial = paper.ADVERSARIAL_TRAINING[row.key]
    return f"{clean:.1%} / {adversarial:.1%}"


def trials_tables(record: TrialsRecord) -> list[Table]:
    """Returns the table of trials and, if any failed, that of failures."""
    counts = [(g.name, g.tried, g.passed) for g in record.groups]
    tried = sum(group.tried for group in record.groups)
    passed = sum(group.passed for group in record.groups)
    cells = tuple(
        (name, str(of), str(good), str(of - good))
        for name, of, good in [*counts, ("all", tried, passed)]
    )
    found = [Table("Trials of the commands", TRIALS_COLUMNS, cells)]
    if record.failures:
        failures = tuple(
            (failure.group, failure.name, "; ".join(failure.seen))
            for failure in record.failures
        )
        columns = ("trials", "what was given", "what was seen")
        found.append(Table("Trials that failed", columns, failures))
    return found
