"""The record of Table 6: networks under the challenge's attack."""

import dataclasses
from typing import Any, ClassVar

from peernets_tf.records.attack import AttackCase
from peernets_tf.records.counts import check_totals
from peernets_tf.records.schema import Provenance, ThreatModel


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComparisonTraining:
    """How a network of Table 6 was trained.

    Attributes:
        settings: dict, the challenge's configuration.
        options: dict, what the configuration has no key for.
        history: tuple of dicts, one for each checkpoint.
        provenance: the `Provenance`; its seconds are those of training.
    """

    settings: dict[str, Any]
    options: dict[str, Any]
    history: tuple[dict[str, int | float], ...]
    provenance: Provenance


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComparisonCase:
    """A network of Table 6 under the attack with one backward pass.

    Attributes:
        backward: str, see `AttackRecord`.
        case: the `AttackCase`.
        provenance: the `Provenance` of the attack.
    """

    backward: str
    case: AttackCase
    provenance: Provenance


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComparisonRow:
    """A network of Table 6, how it was trained, and how it was attacked.

    Attributes:
        key: str, what flags and folders call it.
        name: str, what the paper calls it.
        network: str, the network's name.
        trained_on: str, what images it was trained on.
        checkpoint: str, the model's file.
        steps: tuple of ints, its training steps after those of the networks
            that it started from; None for a file that was given.
        training: the `ComparisonTraining`, or None for a file that was given.
        weights_sha256: str, the hash of its weights.
        threat_model: the `ThreatModel`, or None for a model without peers.
        cases: tuple of `ComparisonCase`s, one for each backward pass.
    """

    key: str
    name: str
    network: str
    trained_on: str
    checkpoint: str
    steps: tuple[int | None, ...]
    training: ComparisonTraining | None = None
    weights_sha256: str
    threat_model: ThreatModel | None = None
    cases: tuple[ComparisonCase, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComparisonRecord:
    """Table 6: adversarially trained networks and PeerNets under one attack.

    Attributes:
        rows: tuple of `ComparisonRow`s, one for each network.
        budget: str, how much of the published schedules was run.
        dataset: str, the data set's name.
        test_size: int, test images attacked.
        provenance: the `Provenance`; its seconds are those of all trainings and
            attacks; an attack that was resumed counts from its last start.
    """

    kind: ClassVar[str] = "comparison"

    rows: tuple[ComparisonRow, ...]
    budget: str
    dataset: str
    test_size: int
    provenance: Provenance

    def __post_init__(self) -> None:
        cases = [attacked.case for row in self.rows for attacked in row.cases]
        check_totals(self.test_size, [case.total for case in cases])
