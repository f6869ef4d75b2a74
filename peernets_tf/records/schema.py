"""What the JSON files of runs hold: every table and picture comes from these.

A record holds counts, never rates; rates are properties. Impossible counts,
such as more correct images than images, raise a `UserError`. Version 2 is the
first that names its kind; `records.upgrade` reads the records of version 1.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

from peernets_tf.errors import UserError
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
class InitialModel:
    """The trained model whose weights a training started from.

    Attributes:
        path: str, its file or the name of a preset.
        model: str, its name.
        epochs: int or None, the epochs that it was trained for.
        weights_sha256: str, the hash of its weights.
    """

    path: str
    model: str
    epochs: int | None
    weights_sha256: str

    def __post_init__(self) -> None:
        check_not_negative(epochs=self.epochs)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """What one training reached.

    Attributes:
        model: str, the model's name.
        weights_sha256: str, the hash of its weights, stored peers included.
        dataset: str, the data set's name.
        train_size: int, the number of training images.
        test_size: int, the number of test images.
        correct: int, test images classified correctly, with logits averaged
            over all graphs.
        num_parameters: int or None, the model's weights, those of batch
            normalization's statistics included and stored peers not; None in
            records of earlier versions.
        graphs: the `Graphs` of the test, or None for a model without peers.
        history: tuple of dicts, one for each epoch: epoch, loss, accuracy,
            val_loss and val_accuracy.
        initial_model: the `InitialModel`, or None for random weights.
        attack: str or None, the attack on each batch, with all its settings, of
            an adversarial training; None for training on unperturbed images.
        num_steps: int or None, the steps of a training that counts these
            instead of epochs; its history then has a row for each checkpoint.
        defense: str or None, the defence, with all its settings, that was
            trained and put in front of the initial model.
        rejected: int or None, the test images that the defence rejects; None if
            it rejects none.
        provenance: the `Provenance`; its seconds are those of training.
    """

    kind: ClassVar[str] = "training"

    model: str
    weights_sha256: str
    dataset: str
    train_size: int
    test_size: int
    correct: int
    num_parameters: int | None = None
    graphs: Graphs | None = None
    history: tuple[dict[str, int | float], ...]
    initial_model: InitialModel | None = None
    attack: str | None = None
    num_steps: int | None = None
    defense: str | None = None
    rejected: int | None = None
    provenance: Provenance

    def __post_init__(self) -> None:
        check_counts("train_size", self.train_size)
        check_counts(
            "test_size",
            self.test_size,
            correct=self.correct,
            rejected=self.rejected,
        )
        check_not_negative(
            num_parameters=self.num_parameters, num_steps=self.num_steps
        )

    @property
    def accuracy(self) -> float:
        """Test accuracy in [0, 1]."""
        return self.correct / self.test_size

    @property
    def epochs(self) -> str:
        """Epochs trained, those of the initial model first: `8 + 8`.

        Where steps are counted, it names them: `8 + 3900 steps`. A defence adds
        its name: `18 + MagNet`.
        """
        own = str(len(self.history))
        if self.defense is not None:
            own = self.defense.partition("(")[0]
        if self.num_steps is not None:
            own = f"{self.num_steps} steps"
        if self.initial_model is None:
            return own
        return f"{self.initial_model.epochs or '?'} + {own}"


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttackCase:
    """What an attack of one strength did to the test images.

    Attributes:
        attack: str, the attack with all its settings.
        norm: str, `"linf"` or `"l2"`.
        epsilon: float or None, the radius of the ball for images in [0, 1];
            None if the smallest radius that fools was searched.
        rho: float or None, epsilon over the mean L2 norm of training images.
        rho_of: str, which x that mean norm is of: `"unit"` (the image in
            [0, 1]), `"centered"` (minus 1/2) or `"standardized"` (by channel),
            see `peernets_tf.attacks.epsilon_from_rho`; without a meaning if
            `rho` is None. Records of earlier versions are all `"unit"`.
        clip: bool, whether adversarial images were clipped to [0, 1]; true in
            records of earlier versions.
        total: int, test images attacked.
        correct: int, those classified correctly before the attack.
        adversarial_correct: int, those classified correctly after it.
        changed: int, those whose predicted class changed.
        fooled: int, those that were correct and no longer are; for a targeted
            attack, those that were correct and reached their target class.
        zero_gradients: int or None, images at which the gradient that the
            attack follows is exactly zero (in records of earlier versions, or
            not finite); None if it follows none.
        mean_l2: float or None, the mean L2 norm of the perturbations of fooled
            images on the 0-255 pixel scale; None if none was fooled.
        mean_linf: float or None, the same for the L-infinity norm.
        mean_loss: float or None, the mean over all images of the cross-entropy
            (natural logarithm) of the adversarial image's logits with the true
            label; None in records of earlier versions.
        rejected: int or None, adversarial images that the model rejects; None
            if it cannot.
        clean_rejected: int or None, the same before the attack.
    """

    attack: str
    norm: str
    epsilon: float | None
    rho: float | None
    total: int
    correct: int
    adversarial_correct: int
    changed: int
    fooled: int
    zero_gradients: int | None
    mean_l2: float | None
    mean_linf: float | None
    mean_loss: float | None = None
    rho_of: str = "unit"
    clip: bool = True
    rejected: int | None = None
    clean_rejected: int | None = None

    def __post_init__(self) -> None:
        check_counts(
            "total",
            self.total,
            correct=self.correct,
            adversarial_correct=self.adversarial_correct,
            changed=self.changed,
            zero_gradients=self.zero_gradients,
            rejected=self.rejected,
            clean_rejected=self.clean_rejected,
        )
        check_counts("correct", self.correct, fooled=self.fooled, at_least=0)
        check_counts("changed", self.changed, fooled=self.fooled, at_least=0)
        check_not_negative(
            epsilon=self.epsilon,
            rho=self.rho,
            mean_l2=self.mean_l2,
            mean_linf=self.mean_linf,
            mean_loss=self.mean_loss,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttackRecord:
    """What one attack on one model's test images did.

    Attributes:
        model: str, the model's name.
        checkpoint: str, the file or preset that it was loaded from.
        weights_sha256: str, the hash of that file's weights, with the peers
            that it holds.
        dataset: str, the data set's name.
        test_size: int, test images attacked.
        attack: str, the attack's name.
        is_universal: bool, whether one perturbation served all images.
        follows_gradient: bool, whether the attack follows a gradient.
        backward: str, the backward pass of PeerRegularization layers that the
            attack follows: `"exact"`, `"identity"` or `"soft"`.
        rejected_as: `"wrong"`, `"right"` or None, what a rejected adversarial
            image counts as; None for a model that rejects none.
        ablation: str or None, what the PeerRegularization layers computed
            instead, see `peernets_tf.adaptive.Ablation`; None for the layers
            as they were trained.
        num_neighbors: int or None, K, if it was not the layers' own.
        threat_model: the `ThreatModel`, or None for a model without peers.
        cases: tuple of `AttackCase`s, one for each strength.
        provenance: the `Provenance`.
    """

    kind: ClassVar[str] = "attack"

    model: str
    checkpoint: str
    weights_sha256: str
    dataset: str
    test_size: int
    attack: str
    is_universal: bool
    follows_gradient: bool
    backward: str
    rejected_as: str | None = None
    ablation: str | None = None
    num_neighbors: int | None = None
    threat_model: ThreatModel | None = None
    cases: tuple[AttackCase, ...]
    provenance: Provenance

    def __post_init__(self) -> None:
        _check_totals(self.test_size, self.cases)
        if self.num_neighbors is not None:
            check_counts("num_neighbors", self.num_neighbors)

    @property
    def is_ablated(self) -> bool:
        """Whether the layers computed something else than in training."""
        return self.ablation is not None or self.num_neighbors is not None


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
        provenance: the `Provenance`.
    """

    kind: ClassVar[str] = "comparison"

    rows: tuple[ComparisonRow, ...]
    budget: str
    dataset: str
    test_size: int
    provenance: Provenance

    def __post_init__(self) -> None:
        cases = [attacked.case for row in self.rows for attacked in row.cases]
        _check_totals(self.test_size, cases)


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


def _check_totals(test_size: int, cases: Sequence[AttackCase]) -> None:
    """Raises a `UserError` unless each case attacked all test images."""
    check_counts("test_size", test_size)
    for case in cases:
        if case.total != test_size:
            raise UserError(
                f"total must be test_size={test_size} in each case. Received: "
                f"{case.total}"
            )
