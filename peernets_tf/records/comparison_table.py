"""The table of a comparison: Table 6 of the paper, with its figures."""

from peernets_tf.records import paper
from peernets_tf.records.comparison import (
    ComparisonCase,
    ComparisonRecord,
    ComparisonRow,
)
from peernets_tf.records.names import dataset_name
from peernets_tf.records.tables import Table, rate_text, size_text

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
