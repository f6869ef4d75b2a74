"""Checkpoints of a training: saved whole, and restored by the same command."""

import csv
import json
import os
import re
import time
from typing import Any

import keras
import numpy as np

from peernets_tf import results


class TrainingError(Exception):
    """A training that cannot go on; the message says what to do."""


class Checkpoint(keras.callbacks.Callback):
    """Saves the whole state after each epoch, and restores it.

    A checkpoint is one file, `checkpoint-EPOCH.npz`: weights, optimizer, random
    generators and the history so far. `run.json` beside it holds the run's
    identity and where it started, and `training.csv` the history to read.

    Args:
        output_dir: str, an existing directory.
        run_id: dict, what the run depends on.
        environment: dict, where it runs; the first start's is kept.

    Raises:
        TrainingError: if the directory holds another run, or a checkpoint that
            cannot be read.
    """

    def __init__(
        self,
        output_dir: str,
        run_id: dict[str, Any],
        environment: dict[str, Any],
    ) -> None:
        super().__init__()
        self.output_dir = output_dir
        self.run_id = run_id
        self.environment = environment
        self.history: list[dict[str, Any]] = []

    def restore(self, model: keras.Model) -> None:
        """Loads the newest checkpoint, if there is one, into the model."""
        self._claim_directory()
        found = self._checkpoints()
        if not found:
            return
        path = found[max(found)]
        try:
            with np.load(path) as arrays:
                for i, variable in enumerate(_state(model)):
                    variable.assign(arrays[str(i)])
                self.history = json.loads(str(arrays["history"]))
        except Exception as error:
            # A damaged file fails in as many ways as there are parsers in it.
            raise TrainingError(
                f"cannot read {path} ({type(error).__name__}): remove it to "
                "start again"
            ) from error
        # A kill may have come between the checkpoint and its history.
        self._write_csv()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        row: dict[str, float] = {"epoch": epoch + 1}
        row.update({name: float(value) for name, value in logs.items()})
        row["seconds"] = round(time.perf_counter() - self._start, 1)
        self.history.append(row)
        try:
            self._save(epoch + 1)
            self._write_csv()
        except OSError as error:
            raise TrainingError(
                f"cannot save in {self.output_dir} ({error}): make room, and "
                "the same command goes on from the last whole checkpoint"
            ) from error

    def _save(self, epoch: int) -> None:
        new = self._path(f"checkpoint-{epoch:04d}.npz")
        arrays = {
            str(i): keras.ops.convert_to_numpy(variable)
            for i, variable in enumerate(_state(self.model))
        }
        with results.atomic_file(new) as path:
            np.savez(path, history=json.dumps(self.history), **arrays)
        for path in self._checkpoints().values():
            if path != new:
                os.remove(path)

    def _write_csv(self) -> None:
        with (
            results.atomic_file(self._path("training.csv")) as path,
            open(path, "w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, list(self.history[0]))
            writer.writeheader()
            writer.writerows(self.history)

    def _claim_directory(self) -> None:
        path = self._path("run.json")
        if not os.path.exists(path):
            run = {"run": self.run_id, "environment": self.environment}
            with (
                results.atomic_file(path) as temporary,
                open(temporary, "w", encoding="utf-8") as file,
            ):
                json.dump(run, file, indent=2)
            return
        try:
            with open(path, encoding="utf-8") as file:
                run = json.load(file)
            found, self.environment = run["run"], run["environment"]
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise TrainingError(
                f"{path} is not of a training ({type(error).__name__}): choose "
                "another --output_dir"
            ) from error
        wanted = json.loads(json.dumps(self.run_id))
        for name in {**found, **wanted}:
            if found.get(name) != wanted.get(name):
                raise TrainingError(
                    f"{self.output_dir} holds a run with {name}="
                    f"{found.get(name)}, not {wanted.get(name)}: give the same "
                    "flags to resume it, or another --output_dir"
                )

    def _checkpoints(self) -> dict[int, str]:
        found = {}
        for name in os.listdir(self.output_dir):
            match = re.fullmatch(r"checkpoint-(\d+)\.npz", name)
            if match:
                found[int(match[1])] = self._path(name)
        return found

    def _path(self, name: str) -> str:
        return os.path.join(self.output_dir, name)


def _state(model: keras.Model) -> list[keras.Variable]:
    """Returns all that training changes: also the random generators."""
    return [*model.variables, *model.optimizer.variables]
