"""Every row of every table stands in exactly one chapter."""

import collections
import pathlib

from sample_records import make_attack, make_case, one_of_each_kind

from peernets_tf import records
from peernets_tf.pictures.chapters import chapters

ROOT = pathlib.Path(__file__).resolve().parent.parent


def rows(tables):
    return collections.Counter(
        (table.title, row) for table in tables for row in table.rows
    )


def all_tables(found):
    """Returns the tables that `records.tables` makes of records."""
    kinds = collections.defaultdict(list)
    for record in found:
        kinds[type(record)].append(record)
    tables = records.attack_tables.attack_tables(kinds[records.AttackRecord])
    trainings = kinds[records.TrainingRecord]
    if trainings:
        tables.append(records.training_tables.training_table(trainings))
    for record in kinds[records.SuiteRecord]:
        tables += records.suite_tables.suite_tables(record)
    for record in kinds[records.ComparisonRecord]:
        tables.append(records.comparison_table.comparison_table(record))
    for record in kinds[records.BenchmarkRecord]:
        tables += records.benchmark_tables.benchmark_tables(record)
    for record in kinds[records.TrialsRecord]:
        tables += records.trials_tables.trials_tables(record)
    return tables


def check(found):
    shown = [table for chapter in chapters(found) for table in chapter.tables]
    assert rows(shown) == rows(all_tables(found))


def test_no_row_is_lost_or_comes_twice():
    check([])
    check(one_of_each_kind())
    paths = sorted((ROOT / "results").glob("*.json"))
    check([records.read(str(path)) for path in paths])


def test_cases_stand_under_their_table_of_the_paper():
    search = make_case(epsilon=None, rho=None)
    fixed = make_case(norm="linf", epsilon=8 / 255, rho=None)
    found = chapters(
        [
            make_attack(
                attack="pgd", is_universal=False, cases=(search, fixed)
            ),
            make_attack(),
            make_attack(dataset="mnist"),
            make_attack(dataset="mnist5k"),
        ]
    )
    assert [(c.anchor, sum(len(t.rows) for t in c.tables)) for c in found] == [
        ("table-2", 1),
        ("table-3", 1),
        ("table-4", 1),
        ("fixed-strength", 2),
    ]
