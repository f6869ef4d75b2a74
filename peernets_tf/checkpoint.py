"""Checkpoints of a training: saved whole, and restored by the same command."""

import csv
import json
import os
import re
import time
from typing import Any

import keras

from peernets_tf import results


class TrainingError(Exception):
    """A training that cannot go on; the message says what to do."""


class Checkpoint(keras.callbacks.Callback):
    """Saves the whole state after each epoch, and restores it.

    A checkpoint is one file, `checkpoint-EPOCH.weights.h5`: weights, optimizer
    and random generators; beside it `training.csv` holds the epochs so far and
    `run.json` the run's identity.
    """

    def __init__(self, output_dir: str, run_id: dict[str, Any]) -> None:
        super().__init__()
        self._output_dir = output_dir
        self._run_id = run_id
        self.history: list[dict[str, float]] = []

    def restore(self, model: keras.Model) -> None:
        """Loads the newest checkpoint, if there is one, into the model."""
        self._claim_directory()
        found = self._checkpoints()
        if not found:
            return
        epoch = max(found)
        self.history = self._read_history()[:epoch]
        model.load_weights(found[epoch])

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        row: dict[str, float] = {"epoch": epoch + 1}
        row.update({name: float(value) for name, value in logs.items()})
        row["seconds"] = round(time.perf_counter() - self._start, 1)
        self.history.append(row)
        with (
            results.atomic_file(self._path("training.csv")) as path,
            open(path, "w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, list(self.history[0]))
            writer.writeheader()
            writer.writerows(self.history)
        new = self._path(f"checkpoint-{epoch + 1:04d}.weights.h5")
        with results.atomic_file(new) as path:
            self.model.save_weights(path)
        for path in self._checkpoints().values():
            if path != new:
                os.remove(path)

    def _claim_directory(self) -> None:
        path = self._path("run.json")
        if not os.path.exists(path):
            with (
                results.atomic_file(path) as temporary,
                open(temporary, "w", encoding="utf-8") as file,
            ):
                json.dump(self._run_id, file, indent=2)
            return
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
        wanted = json.loads(json.dumps(self._run_id))
        for name in {**found, **wanted}:
            if found.get(name) != wanted.get(name):
                raise TrainingError(
                    f"{self._output_dir} holds a run with {name}="
                    f"{found.get(name)}, not {wanted.get(name)}: give the same "
                    "flags to resume it, or another --output_dir"
                )

    def _checkpoints(self) -> dict[int, str]:
        found = {}
        for name in os.listdir(self._output_dir):
            match = re.fullmatch(r"checkpoint-(\d+)\.weights\.h5", name)
            if match:
                found[int(match[1])] = self._path(name)
        return found

    def _read_history(self) -> list[dict[str, float]]:
        with open(self._path("training.csv"), encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return [
            {
                name: int(value) if name == "epoch" else float(value)
                for name, value in row.items()
            }
            for row in rows
        ]

    def _path(self, name: str) -> str:
        return os.path.join(self._output_dir, name)
