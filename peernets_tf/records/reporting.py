"""One text with the tables of many records."""

from collections.abc import Sequence

from peernets_tf.records import suite_tables, tables
from peernets_tf.records.escaping import code
from peernets_tf.records.schema import (
    AttackRecord,
    BenchmarkRecord,
    ComparisonRecord,
    TrainingRecord,
    TrialsRecord,
)
from peernets_tf.records.sources import Source, of_kind, read_sources
from peernets_tf.records.suite import SuiteRecord


def report(paths: Sequence[str], curves: bool = False) -> str:
    """Returns the tables of records of any kind, then the files they are in.

    Args:
        paths: sequence of str, the records' files.
        curves: bool, whether to add the validation accuracy after each epoch.

    Raises:
        UserError: if a file is not a record.
    """
    sources = read_sources(paths)
    records = [source.record for source in sources]
    found: list[tables.Table] = []
    if trainings := of_kind(TrainingRecord, records):
        found.append(tables.training_table(trainings))
        if curves:
            found += tables.curves(trainings)
    found += tables.attack_tables(of_kind(AttackRecord, records))
    for suite in of_kind(SuiteRecord, records):
        found += suite_tables.suite_tables(suite)
    for comparison in of_kind(ComparisonRecord, records):
        found.append(tables.comparison_table(comparison))
    for benchmark in of_kind(BenchmarkRecord, records):
        found += tables.benchmark_tables(benchmark)
    for trials in of_kind(TrialsRecord, records):
        found += tables.trials_tables(trials)
    files = "\n".join(map(_line, sources))
    return f"{tables.markdown(found)}\n\n{files}"


def _line(source: Source) -> str:
    where = f", model {source.model}" if source.model else ""
    return code(f"Record {source.path}{where}")
