"""The tables of the report, grouped as the paper groups them."""

import dataclasses
from collections.abc import Callable, Sequence

from peernets_tf.records import (
    AttackCase,
    AttackRecord,
    BenchmarkRecord,
    ComparisonRecord,
    Record,
    SuiteRecord,
    TrainingRecord,
    TrialsRecord,
    attack_tables,
    benchmark_tables,
    comparison_table,
    dataset_name,
    of_kind,
    suite_tables,
    tables,
    training_tables,
    trials_tables,
)

_NUMBERS = {"mnist": "Table 3", "cifar10": "Table 4", "cifar100": "Table 5"}
_INTERVALS = "Intervals are 95 % Wilson intervals over the test images."
_UNIVERSAL = (
    "One perturbation for all images, of L2 norm rho times the mean norm of "
    "the training images, and random noise of the same norm. Fooled: the share "
    "of all images whose predicted class changes. The paper's column has its "
    f"accuracy / fooling rate. {_INTERVALS}"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chapter:
    """Tables under one heading.

    Attributes:
        anchor: str, its name in the page's addresses.
        title: str.
        text: str, how to read the tables.
        tables: tuple of `tables.Table`s.
    """

    anchor: str
    title: str
    text: str
    tables: tuple[tables.Table, ...]


def chapters(records: Sequence[Record]) -> list[Chapter]:
    """Returns the chapters that have tables, the paper's tables first."""
    attacks = of_kind(AttackRecord, records)
    suites = of_kind(SuiteRecord, records)
    trainings = of_kind(TrainingRecord, records)
    comparisons = of_kind(ComparisonRecord, records)
    benchmarks = of_kind(BenchmarkRecord, records)
    trials = of_kind(TrialsRecord, records)
    found = [
        Chapter(
            anchor="table-2",
            title="Table 2: the smallest perturbations that fool",
            text="Each attack searches for each image's smallest epsilon. "
            "Norms are means over fooled images on the 0-255 pixel scale. The "
            "paper's column has its fooling rate / L2 norm / L-infinity norm. "
            f"{_INTERVALS}",
            tables=_attack_tables(attacks, _is_table_2),
        ),
        *(
            Chapter(
                anchor=number.lower().replace(" ", "-"),
                title=f"{number}: universal perturbations on "
                f"{dataset_name(dataset)}",
                text=_UNIVERSAL,
                tables=_attack_tables(
                    [r for r in attacks if r.dataset == dataset],
                    lambda _, case: _is_universal(case),
                ),
            )
            for dataset, number in _NUMBERS.items()
        ),
        Chapter(
            anchor="table-6",
            title="Table 6: adversarial training",
            text="The paper's column has its accuracy without / under the "
            f"attack. {_INTERVALS}",
            tables=tuple(map(comparison_table.comparison_table, comparisons)),
        ),
        Chapter(
            anchor="fixed-strength",
            title="Attacks of fixed strength",
            text="Not in the paper: the attacks that show what the exact "
            "gradient hides, and their controls. Fooled: the share of "
            f"correctly classified images. {_INTERVALS}",
            tables=_attack_tables(
                attacks,
                lambda record, case: (
                    not _is_table_2(record, case)
                    and not (record.dataset in _NUMBERS and _is_universal(case))
                ),
            ),
        ),
        Chapter(
            anchor="suites",
            title="Suites of attacks",
            text="Not in the paper. Most attacks run only on the images that "
            "earlier ones left; accuracy is the worst case of an attack and "
            "all before it. A checklist says how far to trust it. "
            f"{_INTERVALS}",
            tables=tuple(
                table
                for record in suites
                for table in suite_tables.suite_tables(record)
            ),
        ),
        Chapter(
            anchor="accuracy",
            title="Accuracy without an attack",
            text="The column of unperturbed images of Tables 3 to 5. Peers: "
            f"images of a graph x graphs. {_INTERVALS}",
            tables=(training_tables.training_table(trainings),)
            if trainings
            else (),
        ),
        Chapter(
            anchor="speed",
            title="Speed",
            text="Median times in seconds, and ratios to a baseline.",
            tables=tuple(
                table
                for benchmark in benchmarks
                for table in benchmark_tables.benchmark_tables(benchmark)
            ),
        ),
        Chapter(
            anchor="trials",
            title="Trials",
            text="Commands that were killed, called wrongly and given damaged "
            "files.",
            tables=tuple(
                table
                for record in trials
                for table in trials_tables.trials_tables(record)
            ),
        ),
    ]
    return [chapter for chapter in found if chapter.tables]


def _attack_tables(
    records: Sequence[AttackRecord],
    keep: Callable[[AttackRecord, AttackCase], bool],
) -> tuple[tables.Table, ...]:
    """Returns the tables of the cases for which a function is true."""
    kept = [
        dataclasses.replace(record, cases=cases)
        for record in records
        if (cases := tuple(c for c in record.cases if keep(record, c)))
    ]
    return tuple(attack_tables.attack_tables(kept))


def _is_table_2(record: AttackRecord, case: AttackCase) -> bool:
    return record.dataset == "cifar10" and case.epsilon is None


def _is_universal(case: AttackCase) -> bool:
    return case.rho is not None
