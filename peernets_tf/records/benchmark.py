"""The record of a benchmark: all times that it measured."""

import dataclasses
from typing import Any, ClassVar

from peernets_tf.errors import UserError
from peernets_tf.records.counts import check_counts, check_not_negative
from peernets_tf.records.schema import Provenance


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkRecord:
    """What one run of a benchmark measured.

    Attributes:
        name: str, the benchmark's module in the package `benchmarks`.
        cases: tuple of dicts, one for each size or pair: what was timed, all
            times in `seconds` by name, their medians in `median_seconds`, and
            ratios.
        rounds: int, how often each function was timed.
        warm_up_rounds: int, the rounds before those.
        load_average: float, the mean number of running processes in the minute
            before; close to 0 on an idle machine.
        provenance: the `Provenance`.
    """

    kind: ClassVar[str] = "benchmark"

    name: str
    cases: tuple[dict[str, Any], ...]
    rounds: int
    warm_up_rounds: int
    load_average: float
    provenance: Provenance

    def __post_init__(self) -> None:
        check_counts("rounds", self.rounds)
        check_not_negative(
            warm_up_rounds=self.warm_up_rounds, load_average=self.load_average
        )
        for case in self.cases:
            medians = case.get("median_seconds", {})
            if not isinstance(medians, dict):
                raise UserError(
                    "median_seconds must be an object. Received: "
                    f"{type(medians).__name__}"
                )
            for name, seconds in medians.items():
                if type(seconds) not in (int, float):
                    raise UserError(
                        f"median_seconds.{name} must be a number. Received: "
                        f"{seconds!r}"
                    )
            check_not_negative(**medians)
