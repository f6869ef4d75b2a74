"""The table of a comparison: Table 6 of the paper, with its figures."""

from peernets_tf.records import paper
from peernets_tf.records.comparison import (
    ComparisonCase,
    ComparisonRecord,
    ComparisonRow,
)
from peernets_tf.records.names import dataset_name, graphs_text
from peernets_tf.records.tables import Table, rate_text, size_text

COMPARISON_COLUMNS = (
    "row",
    "trained on",
    "steps",
    "graphs",
    "backward",
    "clean",
    "attacked",
    "robust",
    "paper",
)


def comparison_table(record: ComparisonRecord) -> Table:
    """Returns the table of a comparison, one row for each backward pass.

    As in the challenge, `attacked` is the share of all images that are
    classified correctly after the attack; `robust` is the share of those that
    are so before it, too. If all PeerNets have equal graphs, the title has
    them instead of a column. `steps` is left out if all models are from files.

    The paper's column has its clean accuracy / accuracy under attack. It stands
    only beside the networks that the paper trained, on the images that it
    trained them on, under the attack that it ran: the challenge's own, with the
    exact backward pass.
    """
    modes = {
        str(row.training.options.get("attack_mode", "-"))
        for row in record.rows
        if row.training is not None and row.trained_on != "images"
    }
    title = f"{dataset_name(record.dataset)}, {record.test_size:,} images"
    if modes:
        title += f"; attack mode while training: {', '.join(sorted(modes))}"
    rows = [
        _comparison_row(record, row, attacked)
        for row in record.rows
        for attacked in row.cases
    ]
    columns = list(COMPARISON_COLUMNS)
    if {row["steps"] for row in rows} == {"file"}:
        columns.remove("steps")
    sizes = {
        (model.defended.num_graphs, model.defended.num_peers)
        for model in (row.threat_model for row in record.rows)
        if model is not None
    }
    if len(sizes) == 1:
        columns.remove("graphs")
        title += f"; {graphs_text(*sizes.pop())}"
    cells = tuple(tuple(row[column] for column in columns) for row in rows)
    return Table(title, tuple(columns), cells)


def _comparison_row(
    record: ComparisonRecord, row: ComparisonRow, attacked: ComparisonCase
) -> dict[str, str]:
    """Returns the cells of a row by their columns."""
    case = attacked.case
    cells = (
        row.name,
        row.trained_on,
        "+".join("file" if n is None else str(n) for n in row.steps),
        size_text(row.threat_model.defended if row.threat_model else None),
        attacked.backward if row.threat_model else "-",
        rate_text(case.correct, case.total),
        rate_text(case.adversarial_correct, case.total),
        f"{(case.correct - case.fooled) / case.total:.1%}",
        _published_comparison(record, row, attacked),
    )
    return dict(zip(COMPARISON_COLUMNS, cells, strict=True))


def _published_comparison(
    record: ComparisonRecord, row: ComparisonRow, attacked: ComparisonCase
) -> str:
    images = "images" if row.key.startswith("pr_") else "PGD"
    is_of_the_paper = (
        record.dataset == "cifar10"
        and row.key in paper.ADVERSARIAL_TRAINING
        and row.trained_on == images
        and attacked.backward == "exact"
        and attacked.case.attack == paper.CHALLENGE_ATTACK
    )
    if not is_of_the_paper:
        return "-"
    clean, adversarial = paper.ADVERSARIAL_TRAINING[row.key]
    return f"{clean:.1%} / {adversarial:.1%}"
