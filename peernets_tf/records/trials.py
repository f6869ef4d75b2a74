"""The record of trials: how the commands take kills and wrong input."""

import dataclasses
from typing import ClassVar

from peernets_tf.records.counts import check_counts
from peernets_tf.records.schema import Provenance


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrialGroup:
    """How many trials of one kind passed.

    Attributes:
        name: str, the kind, such as `"kills of peernets_tf.train"`.
        tried: int, the trials.
        passed: int, those without a complaint.
        allowed: int, those of `passed` whose input looks wrong and is allowed.
    """

    name: str
    tried: int
    passed: int
    allowed: int = 0

    def __post_init__(self) -> None:
        check_counts("tried", self.tried, passed=self.passed)
        check_counts("passed", self.passed, allowed=self.allowed, at_least=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrialFailure:
    """A trial that failed.

    Attributes:
        group: str, the name of its `TrialGroup`.
        name: str, the fault that the command was given.
        command: str, the command line.
        seen: tuple of str, what was wrong.
    """

    group: str
    name: str
    command: str
    seen: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrialsRecord:
    """Commands that were killed, called wrongly and given damaged files.

    Attributes:
        groups: tuple of `TrialGroup`s.
        failures: tuple of `TrialFailure`s.
        workers: int, trials that ran at a time.
        method: str, how the trials were run.
        provenance: the `Provenance`.
    """

    kind: ClassVar[str] = "trials"

    groups: tuple[TrialGroup, ...]
    failures: tuple[TrialFailure, ...]
    workers: int
    method: str
    provenance: Provenance
