"""The tables of a benchmark: medians and ratios of what it timed."""

from typing import Any

from peernets_tf.records.benchmark import BenchmarkRecord
from peernets_tf.records.tables import Table


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
