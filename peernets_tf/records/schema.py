"""What records of all kinds share.

A record holds counts, never rates; rates are properties. Impossible counts,
such as more correct images than images, raise a `UserError`.
"""

import dataclasses
from typing import Any

from peernets_tf.records.counts import check_counts, check_not_negative

SCHEMA_VERSION = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where the figures of a record come from.

    Attributes:
        command: str, the command line that reproduces the run.
        flags: dict, the command's flags and what it filled in for them.
        seed: int, the seed of the command.
        commit: str, the version of the code that began the run; a `+` marks
            local changes.
        versions: dict of str, the versions of the packages that matter.
        device: str, the processor, the devices and the Keras backend.
        seconds: float or None, the wall time of the work, without what an
            interrupted run had done before.
    """

    command: str
    flags: dict[str, Any]
    seed: int
    commit: str
    versions: dict[str, str]
    device: str
    seconds: float | None = None

    def __post_init__(self) -> None:
        check_not_negative(seconds=self.seconds)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Graphs:
    """The graphs of peers that a model used.

    Attributes:
        num_peers: int, N, the images of one graph.
        num_graphs: int, M, the graphs whose logits are averaged.
        seed: tuple of ints, the seed that they were drawn with, or None for
            the graphs that the checkpoint holds.
    """

    num_peers: int
    num_graphs: int
    seed: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        check_counts("num_peers", self.num_peers)
        check_counts("num_graphs", self.num_graphs)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ThreatModel:
    """What the attacker knows of a PeerNet's graphs.

    Attributes:
        policy: str, `"known"`, `"drawn"` or `"fresh"`, see
            `peernets_tf.evaluation.threat_model`.
        defended: the `Graphs` that predictions use.
        attacker: the `Graphs` that the attack follows the gradient through.
        expectation: int or None, how many of these the attack draws anew in
            each step, to average over them; None if it averages over all.
    """

    policy: str
    defended: Graphs
    attacker: Graphs
    expectation: int | None = None

    def __post_init__(self) -> None:
        if self.expectation is not None:
            check_counts("expectation", self.expectation)
            check_counts(
                "the attacker's num_graphs",
                self.attacker.num_graphs,
                expectation=self.expectation,
            )

    @property
    def is_known(self) -> bool:
        """Whether an attack follows the very graphs of the predictions."""
        return self.defended == self.attacker and self.expectation is None
