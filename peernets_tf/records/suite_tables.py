"""The tables of a suite: its attacks in their order, and its checklist."""

from peernets_tf.records.black_box_table import black_box_table
from peernets_tf.records.names import ball_text, checkpoint_name, dataset_name
from peernets_tf.records.suite import SuiteCase, SuiteRecord, SuiteResult
from peernets_tf.records.tables import (
    Table,
    peers_text,
    precision_text,
    rate_text,
    rejection_text,
)

SUITE_COLUMNS = (
    "attack",
    "access",
    "backward",
    "images",
    "fooled",
    "accuracy",
    "queries each",
)
CHECK_COLUMNS = ("check", "verdict", "measured")


def suite_tables(record: SuiteRecord) -> list[Table]:
    """Returns the table of a record's attacks and that of its checklist."""
    name = checkpoint_name(record.model, record.dataset, record.checkpoint)
    subject = (
        f"{name} on {dataset_name(record.dataset)}"
        f"{peers_text(record.threat_model)}"
        f"{precision_text(record.precision)}"
    )
    attacks, checks = result_tables(record.result, subject)
    if record.result.suite.startswith("table7"):
        attacks = black_box_table(record, subject)
    return [attacks, checks]


def result_tables(result: SuiteResult, subject: str) -> list[Table]:
    """Returns the table of a suite's attacks and that of its checklist.

    The rows are the attacks that had an image left to attack, in their order:
    first those that count, each with the accuracy in the worst case of it and
    all before, and after the worst case those that serve the checklist only.

    Args:
        result: the `SuiteResult`.
        subject: str, what the titles call the model and its images.
    """
    title = (
        f"{subject}, {result.title}, {ball_text(result.norm, result.epsilon)}: "
        f"{result.total:,} images, {rate_text(result.correct, result.total)} "
        "correct before the attacks"
        f"{rejection_text(result.rejected_as, result.clean_rejected)}"
    )
    ran = [case for case in result.cases if case.attacked]
    counted = [_case_row(result, case) for case in ran if case.is_counted]
    others = [_case_row(result, case) for case in ran if not case.is_counted]
    worst = (
        "worst case",
        "-",
        "-",
        str(result.correct),
        str(result.correct - result.robust),
        rate_text(result.robust, result.total),
        "-",
    )
    rows = (*counted, worst, *others)
    checks = tuple((c.name, c.verdict, c.measured) for c in result.checks)
    return [
        Table(title, SUITE_COLUMNS, rows),
        Table(f"Checklist of {subject}, {result.title}", CHECK_COLUMNS, checks),
    ]


def _case_row(result: SuiteResult, case: SuiteCase) -> tuple[str, ...]:
    return (
        case.name,
        case.access,
        case.backward if case.access == "white-box" else "-",
        str(case.attacked),
        str(case.fooled),
        rate_text(case.robust, result.total) if case.is_counted else "-",
        f"{case.queries / case.attacked:,.0f}",
    )
