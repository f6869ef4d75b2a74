"""One text with the tables of many records."""

from collections.abc import Sequence

from peernets_tf.records import tables
from peernets_tf.records.attack import AttackRecord
from peernets_tf.records.attack_tables import attack_tables
from peernets_tf.records.benchmark import BenchmarkRecord
from peernets_tf.records.benchmark_tables import benchmark_tables
from peernets_tf.records.comparison import ComparisonRecord
from peernets_tf.records.comparison_table import comparison_table
from peernets_tf.records.escaping import code
from peernets_tf.records.sources import Source, of_kind, read_sources
from peernets_tf.records.suite import SuiteRecord
from peernets_tf.records.suite_tables import suite_tables
from peernets_tf.records.training import TrainingRecord
from peernets_tf.records.training_tables import accuracy_curves, training_table
from peernets_tf.records.trials import TrialsRecord
from peernets_tf.records.trials_tables import trials_tables


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
        found.append(training_table(trainings))
        if curves:
            found += accuracy_curves(trainings)
    found += attack_tables(of_kind(AttackRecord, records))
    for suite in of_kind(SuiteRecord, records):
        found += suite_tables(suite)
    for comparison in of_kind(ComparisonRecord, records):
        found.append(comparison_table(comparison))
    for benchmark in of_kind(BenchmarkRecord, records):
        found += benchmark_tables(benchmark)
    for trials in of_kind(TrialsRecord, records):
        found += trials_tables(trials)
    files = "\n".join(map(_line, sources))
    return f"{tables.markdown(found)}\n\n{files}"


def _line(source: Source) -> str:
    where = f", model {source.model}" if source.model else ""
    return code(f"Record {source.path}{where}")
