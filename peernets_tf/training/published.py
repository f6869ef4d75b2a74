"""The published models, and what was measured of them."""

import dataclasses
import pathlib

from peernets_tf import models, records


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preset:
    """A published model, and what was measured of it.

    Attributes:
        name: str, what `load_pretrained` calls it.
        training: the `records.TrainingRecord` of the file: a PeerNet's counts
            are those of the one graph that the file holds.
        suite: the `records.SuiteRecord` of attacks on the file: of the suite
            `adaptive`, or else of `autoattack`. None if neither was run.
        num_bytes: int, the size of the file.
    """

    name: str
    training: records.TrainingRecord
    suite: records.SuiteRecord | None
    num_bytes: int

    @property
    def accuracy(self) -> float:
        """Accuracy in [0, 1] on the first `training.test_size` test images."""
        return self.training.accuracy

    @property
    def robust_accuracy(self) -> float | None:
        """Accuracy in [0, 1] in the worst case of the suite's attacks.

        It is that of the first `suite.test_size` test images; None without a
        suite.
        """
        return self.suite.result.robust_accuracy if self.suite else None

    @property
    def num_parameters(self) -> int | None:
        """The weights, without stored peers; None if they were not counted."""
        return self.training.num_parameters

    def __str__(self) -> str:
        trained = self.training
        parts = [
            f"{records.network_name(trained.model)} on "
            f"{records.dataset_name(trained.dataset)}",
            f"{self.accuracy:.1%} of {trained.test_size:,} test images correct",
            _under_attack(self.suite),
        ]
        if self.num_parameters is not None:
            parts.append(f"{self.num_parameters:,} parameters")
        parts.append(f"{self.num_bytes / 1e6:.1f} MB")
        return f"{self.name}: {', '.join(parts)}"


def _under_attack(suite: records.SuiteRecord | None) -> str:
    if suite is None:
        return "not attacked by a suite"
    result = suite.result
    ball = records.ball_text(result.norm, result.epsilon)
    return (
        f"{result.robust_accuracy:.1%} of {result.total:,} under the suite "
        f"{result.title} ({ball})"
    )


def presets() -> list[Preset]:
    """Returns the published models, sorted by name.

    `print` shows one in a line:

        for preset in peernets_tf.presets():
            print(preset)
    """
    return [_preset(name) for name in models.preset_names()]


def _preset(name: str) -> Preset:
    training = records.read(str(_file(name, ".json")))
    assert isinstance(training, records.TrainingRecord)
    suite = None
    if (path := _file(name, ".suite.json")).exists():
        found = records.read(str(path))
        assert isinstance(found, records.SuiteRecord)
        # Another model may have been published under the name since.
        if found.weights_sha256 == training.weights_sha256:
            suite = found
    return Preset(
        name=name,
        training=training,
        suite=suite,
        num_bytes=_file(name, ".keras").stat().st_size,
    )


def _file(name: str, suffix: str) -> pathlib.Path:
    return models.PRESET_FOLDER / f"{name}{suffix}"
