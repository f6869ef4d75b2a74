"""The tables of a benchmark: medians and ratios of what it timed."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from peernets_tf.records.benchmark import BenchmarkRecord
from peernets_tf.records.tables import Table


def benchmark_tables(record: BenchmarkRecord) -> list[Table]:
    """Returns one table for each case, with its sizes in the title.

    A row is one of the functions that were timed. A column is the median of
    its times, in seconds, or another figure that the case has for it.
    """
    return [_benchmark_table(record.name, case) for case in record.cases]


def median_ratio(
    seconds: Mapping[str, Sequence[float]], name: str, base: str
) -> float:
    """Returns the median over all rounds of a ratio of times.

    Args:
        seconds: the times of each function, by name, one for each round.
        name: str, the function whose times are divided.
        base: str, the function by whose times they are divided, round by round:
            noise hits both alike.
    """
    return statistics.median(_ratios(seconds, name, base))


def ratio_text(
    seconds: Mapping[str, Sequence[float]], name: str, base: str
) -> str:
    """Returns how a table shows a ratio of times: `2.39 (2.31-2.47)`.

    In brackets stand the smallest and the largest ratio of a round; they are
    left out for `base` itself, and if there was one round.

    Args:
        seconds: see `median_ratio`.
        name: str, see `median_ratio`.
        base: str, see `median_ratio`.
    """
    ratios = _ratios(seconds, name, base)
    text = f"{median_ratio(seconds, name, base):.2f}"
    if name == base or len(ratios) == 1:
        return text
    return f"{text} ({min(ratios):.2f}-{max(ratios):.2f})"


def _ratios(
    seconds: Mapping[str, Sequence[float]], name: str, base: str
) -> list[float]:
    pairs = zip(seconds[name], seconds[base], strict=True)
    return [own / other for own, other in pairs]


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
