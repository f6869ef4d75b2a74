"""Records of runs: JSON files from which every table and figure is made."""

import dataclasses
import hashlib
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import keras
import numpy as np


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """What one training reached.

    Attributes:
        model: str, the model's name.
        weights_sha256: str, the hash of `model.weights`, peers included.
        dataset: str, the data set's name.
        train_size: int, training images.
        test_size: int, test images.
        correct: int, test images classified correctly, with logits averaged
            over all graphs.
        num_peers: int, N, the images of a graph, 0 for a model without peers.
        num_graphs: int, M, the graphs, 0 for a model without peers.
        peers_seed: list of ints, the seed of the graphs.
        history: list of dicts, one an epoch: loss, accuracy, val_accuracy, ...
        seed: int, the seed of the command.
        flags: dict, the command's flags, the recipe's numbers filled in.
        command: str, what reproduces the run.
        commit: str, the version of the code.
        versions: dict of str, of the packages that matter.
        device: str, what it ran on.
        seconds: float, the time of training, interruptions left out.
        initial_model: dict, of the model that the weights came from: path,
            model, epochs, weights_sha256. Empty for a training from scratch.
    """

    model: str
    weights_sha256: str
    dataset: str
    train_size: int
    test_size: int
    correct: int
    num_peers: int
    num_graphs: int
    peers_seed: list[int]
    history: list[dict[str, float]]
    seed: int
    flags: dict[str, Any]
    command: str
    commit: str
    versions: dict[str, str]
    device: str
    seconds: float
    initial_model: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def epochs(self) -> str:
        """Epochs trained, those of the initial model first: `8 + 8`."""
        own = str(len(self.history))
        if not self.initial_model:
            return own
        return f"{self.initial_model['epochs'] or '?'} + {own}"

    @property
    def accuracy(self) -> float:
        """Test accuracy in [0, 1]."""
        return self.correct / self.test_size


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttackResult:
    """What one attack on one model's test images did.

    Attributes:
        model: str, the model's name.
        checkpoint: str, the file that it was loaded from.
        weights_sha256: str, the hash of that file's `weights`, with the peers
            that it holds.
        dataset: str, the data set's name.
        test_size: int, test images attacked.
        attack: str, the command's name of the attack.
        backward: str, the gradient of PeerRegularization layers that the
            attack followed: exact, identity or soft.
        peers: dict: `policy`, what the attacker knows of the graphs; `judged`
            and `attacked`, the graphs that the predictions counted with, and
            those that the attack followed: their `num_peers`, `num_graphs` and
            `seed` (None for the graphs of the checkpoint). Empty for a model
            without peers.
        cases: list of dicts, one for each strength: `attack`, what it was in
            full; `epsilon` and `norm`, its radius for images in [0, 1], and
            `rho`, that over the mean L2 norm of training images, or None;
            counts, as `evaluation.attack_images` explains them.
        seed: int, the seed of the command.
        flags: dict, the command's flags.
        command: str, what reproduces the run.
        commit: str, the version of the code that began it.
        versions: dict of str, of the packages that matter.
        device: str, what it ran on.
        seconds: float, the time of this run; batches that an interrupted run
            had done before are not in it.
    """

    model: str
    checkpoint: str
    weights_sha256: str
    dataset: str
    test_size: int
    attack: str
    backward: str
    peers: dict[str, Any]
    cases: list[dict[str, Any]]
    seed: int
    flags: dict[str, Any]
    command: str
    commit: str
    versions: dict[str, str]
    device: str
    seconds: float


def write_json(result: Any, path: str) -> None:
    """Writes a record, which is a dataclass, whole or not at all."""
    with (
        atomic_file(path) as temporary,
        open(temporary, "w", encoding="utf-8") as file,
    ):
        json.dump(dataclasses.asdict(result), file, indent=2)
        file.write("\n")


def read_json(path: str) -> TrainingResult:
    """Reads a `TrainingResult`.

    Raises:
        ValueError: if the file is not such a record.
    """
    result = read_record(path)
    if not isinstance(result, TrainingResult):
        raise ValueError(f"{path} is the record of an attack, not a training")
    return result


def read_record(path: str) -> TrainingResult | AttackResult:
    """Reads a record of either kind.

    Raises:
        ValueError: if the file is not a record.
    """
    with open(path, encoding="utf-8") as file:
        try:
            fields = json.load(file)
            if "attack" in fields:
                return AttackResult(**fields)
            return TrainingResult(**fields)
        except (TypeError, json.JSONDecodeError) as error:
            raise ValueError(
                f"{path} is not a record of a training or an attack: {error}"
            ) from error


def format_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a Markdown table with aligned columns.

    Args:
        columns: sequence of str, the heads.
        rows: sequence of sequences of str.
    """
    cells = [columns, *rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in cells
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def check_folder_of(path: str) -> None:
    """Refuses a file to write, before the work, if its folder is not there.

    Raises:
        ValueError: if it is not.
    """
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise ValueError(f"there is no folder {folder} for {path}: make it")


class atomic_file:
    """A context whose file appears at `path` whole, or not at all.

    Yields the temporary path to write to; on success it takes the place of
    `path`, on failure it is removed.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        head, tail = os.path.split(path)
        # The same ending, because Keras chooses a format by it.
        self._temporary = os.path.join(head, f".writing.{tail}")

    def __enter__(self) -> str:
        return self._temporary

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            with open(self._temporary, "rb") as file:
                os.fsync(file.fileno())
            os.replace(self._temporary, self._path)
        elif os.path.exists(self._temporary):
            os.remove(self._temporary)


def weights_sha256(model: keras.Model, *, with_peers: bool = True) -> str:
    """Returns the SHA-256 of a model's weights, in their order.

    Args:
        model: a built Keras model.
        with_peers: bool, whether stored graphs of peers count as weights.
    """
    digest = hashlib.sha256()
    for weight in model.weights:
        if weight.name == "peers" and not with_peers:
            continue
        array = np.ascontiguousarray(keras.ops.convert_to_numpy(weight))
        digest.update(array.tobytes())
    return digest.hexdigest()


def environment() -> dict[str, Any]:
    """Returns the fields `commit`, `versions` and `device` of a record."""
    packages = ("keras", "numpy", "tensorflow-cpu", "tensorflow", "jax")
    versions = {"python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "commit": _commit(),
        "versions": versions,
        "device": f"{_processor()}, {os.cpu_count()} cores, "
        f"{', '.join(keras.distribution.list_devices())}, "
        f"{keras.backend.backend()} backend",
    }


def _commit() -> str:
    """Returns the commit of the source tree, `+` marking local changes.

    Changes in results/ do not count: a run may follow one that wrote there.
    """
    root = pathlib.Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return "unknown"

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    try:
        commit = git("describe", "--always", "--abbrev=12")
        changed = git("diff", "--name-only", "HEAD", "--", ".", ":!results")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit}+" if changed else commit


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
