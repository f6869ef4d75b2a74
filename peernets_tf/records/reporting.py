"""One text with the tables of many records."""

import os
from collections.abc import Sequence
from typing import TypeVar

from peernets_tf.records import storage, suite_tables, tables
from peernets_tf.records.escaping import code
from peernets_tf.records.kinds import Record
from peernets_tf.records.schema import (
    AttackRecord,
    BenchmarkRecord,
    ComparisonRecord,
    TrainingRecord,
    TrialsRecord,
)
from peernets_tf.records.suite import SuiteRecord

_Kind = TypeVar("_Kind", bound=Record)


def report(paths: Sequence[str], curves: bool = False) -> str:
    """Returns the tables of records of any kind, then the files they are in.

    Args:
        paths: sequence of str, the records' files.
        curves: bool, whether to add the validation accuracy after each epoch.

    Raises:
        UserError: if a file is not a record.
    """
    records = list(map(storage.read, paths))
    found: list[tables.Table] = []
    if trainings := _of_kind(TrainingRecord, records):
        found.append(tables.training_table(trainings))
        if curves:
            found += tables.curves(trainings)
    found += tables.attack_tables(_of_kind(AttackRecord, records))
    for suite in _of_kind(SuiteRecord, records):
        found += suite_tables.suite_tables(suite)
    for comparison in _of_kind(ComparisonRecord, records):
        found.append(tables.comparison_table(comparison))
    for benchmark in _of_kind(BenchmarkRecord, records):
        found += tables.benchmark_tables(benchmark)
    for trials in _of_kind(TrialsRecord, records):
        found += tables.trials_tables(trials)
    sources = "\n".join(map(_source, paths))
    return f"{tables.markdown(found)}\n\n{sources}"


def _of_kind(kind: type[_Kind], records: list[Record]) -> list[_Kind]:
    return [record for record in records if isinstance(record, kind)]


def _source(path: str) -> str:
    model = os.path.join(os.path.dirname(path), "model.keras")
    where = f", model {model}" if os.path.exists(model) else ""
    return code(f"Record {path}{where}")
