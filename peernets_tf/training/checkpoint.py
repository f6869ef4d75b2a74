"""Checkpoints of a training: saved whole, and restored by the same command."""

import csv
import json
import os
import re
import time
from typing import Any

import keras
import msgspec
import numpy as np
from numpy.typing import NDArray

from peernets_tf import files, peers, records
from peernets_tf.errors import TrainingError, UserError


class Checkpoint(keras.callbacks.Callback):
    """Saves the whole state of a training after each epoch, and restores it.

    A checkpoint is one file, `checkpoint-EPOCH.npz`: weights, optimizer, random
    generators and stored peers, each under the path of its variable, and the
    history so far. In the same folder, `run.json` names the run, and
    `training.csv` shows the history.

    Args:
        output_dir: str, the folder, which `restore` makes if it is missing.
        identity: dict of JSON values, everything that the weights depend on.
        provenance: the `records.Provenance` of this start.

    Attributes:
        output_dir: see `Args`.
        history: list of dicts, one for each finished epoch.
        provenance: from `restore` on, the `records.Provenance` of the first
            start.
    """

    def __init__(
        self,
        output_dir: str,
        identity: dict[str, Any],
        provenance: records.Provenance,
    ) -> None:
        super().__init__()
        self.output_dir = output_dir
        self.history: list[dict[str, Any]] = []
        self.provenance = provenance
        self._identity = identity
        self._run_id = ""

    def restore(self, model: keras.Model) -> None:
        """Loads the newest checkpoint, if there is one, into a compiled model.

        Raises:
            TrainingError: if the checkpoint cannot be read or belongs to
                another model.
            UserError: if the folder holds another run.
        """
        self.provenance = records.claim(
            self.output_dir,
            self._identity,
            self.provenance,
            makes="model.keras",
        )
        self._run_id = records.run_id(self.output_dir)
        found = self._checkpoints()
        if not found:
            return
        epoch = max(found)
        path = found[epoch]
        try:
            arrays = files.read_arrays(path)
            run = str(arrays.pop("run"))
            history = _read_history(arrays.pop("history"), epoch)
        except (KeyError, UserError) as error:
            raise TrainingError(
                f"{path} is not a checkpoint: {error}. Remove it to start again"
            ) from error
        if run != self._run_id:
            raise TrainingError(
                f"{path} must be a checkpoint of the run in {self.output_dir}. "
                "Received: one of another run; remove it to start again"
            )
        _assign(model, arrays, path)
        self.history = history
        # The run may have been killed before it wrote this file.
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
                f"cannot save in {self.output_dir} ({error}): make room, then "
                "give the same command to resume from the last checkpoint"
            ) from error

    def _save(self, epoch: int) -> None:
        new = self._path(f"checkpoint-{epoch:04d}.npz")
        arrays = {
            name: keras.ops.convert_to_numpy(variable)
            for name, variable in {
                **_variables(self.model),
                **_stored_peers(self.model),
            }.items()
        }
        with files.atomic_file(new) as path:
            np.savez(
                path,
                history=json.dumps(self.history),
                run=self._run_id,
                **arrays,
            )
        for path in self._checkpoints().values():
            if path != new:
                os.remove(path)

    def _write_csv(self) -> None:
        with (
            files.atomic_file(self._path("training.csv")) as path,
            open(path, "w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, list(self.history[0]))
            writer.writeheader()
            writer.writerows(self.history)

    def _checkpoints(self) -> dict[int, str]:
        found = {}
        for name in os.listdir(self.output_dir):
            match = re.fullmatch(r"checkpoint-(\d+)\.npz", name)
            if match:
                found[int(match[1])] = self._path(name)
        return found

    def _path(self, name: str) -> str:
        return os.path.join(self.output_dir, name)


def _read_history(
    array: NDArray[Any], epoch: int
) -> list[dict[str, int | float]]:
    """Returns the history in a checkpoint that was saved after an epoch.

    Raises:
        UserError: if it is not one row of numbers for each epoch.
    """
    try:
        history = msgspec.convert(
            files.parse_json(str(array)), list[dict[str, int | float]]
        )
    except ValueError as error:
        raise UserError(f"its history must be numbers: {error}") from error
    numbers = [row.get("epoch") for row in history]
    if not history or numbers != list(range(1, epoch + 1)):
        raise UserError(
            f"its history must have the epochs 1 to {epoch}. Received: "
            f"{numbers[:5]} and so on, {len(numbers)} in all"
        )
    if any(
        "seconds" not in row or row.keys() != history[0].keys()
        for row in history
    ):
        raise UserError(
            "its history must have the same fields in each epoch, with seconds"
        )
    return history


def _check_arrays(
    arrays: dict[str, NDArray[Any]],
    variables: dict[str, keras.Variable],
    path: str,
) -> None:
    """Checks the arrays of a checkpoint before any of them is assigned."""
    for name, array in arrays.items():
        expected = tuple(variables[name].shape) if name in variables else None
        if array.dtype.kind not in "biuf" or expected not in (
            None,
            array.shape,
        ):
            raise TrainingError(
                f"{path} must hold numbers of shape {expected} in {name}. "
                f"Received: {array.dtype} of shape {array.shape}. Remove it to "
                "start again"
            )
        is_count = name in variables and keras.backend.is_int_dtype(
            variables[name].dtype
        )
        if is_count and array.dtype.kind not in "iu":
            raise TrainingError(
                f"{path} must hold integers in {name}. Received: "
                f"{array.dtype}. Remove it to start again"
            )
        # An optimizer may go on with an infinite second moment.
        is_optimizer = name.startswith("optimizer/")
        if not is_optimizer and not np.isfinite(array).all():
            raise TrainingError(
                f"{path} must hold finite numbers in {name}. Received: NaN or "
                "infinity. Remove it to start again"
            )


def _assign(
    model: keras.Model, arrays: dict[str, NDArray[Any]], path: str
) -> None:
    """Assigns the arrays of a checkpoint to the variables of a model."""
    variables = _variables(model)
    stored = {
        name: arrays.pop(name) for name in _peer_names(model) if name in arrays
    }
    differing = sorted(variables.keys() ^ arrays.keys())
    if differing:
        raise TrainingError(
            f"{path} must hold the variables of {model.name}, by path. Missing "
            f"or unknown: {', '.join(differing[:3])}. Remove it to start again"
        )
    _check_arrays(arrays, variables, path)
    _check_arrays(stored, {}, path)
    for name, variable in variables.items():
        variable.assign(arrays[name])
    # After the weights, which they belong to.
    try:
        if stored:
            peers.set_peers(model, peers.PeerBank(tuple(stored.values())))
    except UserError as error:
        raise TrainingError(
            f"{path} must hold one graph of peers for each layer: {error}. "
            "Remove it to start again"
        ) from error


def _variables(model: keras.Model) -> dict[str, keras.Variable]:
    """Returns all variables that training changes, by path, without peers.

    The path of an optimizer's variable is given without the optimizer's name,
    which Keras numbers anew for each optimizer of a process.
    """
    optimizer = model.optimizer
    stored = {id(peer) for peer in _stored_peers(model).values()}
    named = [
        (f"model/{variable.path}", variable)
        for variable in model.variables
        if id(variable) not in stored
    ] + [
        (
            f"optimizer/{variable.path.removeprefix(f'{optimizer.name}/')}",
            variable,
        )
        for variable in optimizer.variables
    ]
    variables = dict(named)
    if len(variables) < len(named):
        names = [name for name, _ in named]
        twice = next(name for name in names if names.count(name) > 1)
        raise TrainingError(
            f"two variables of {model.name} have the path {twice}: give each "
            "layer its own name"
        )
    return variables


def _peer_names(model: keras.Model) -> list[str]:
    return [f"peers/{layer.path}" for layer in peers.peer_layers(model)]


def _stored_peers(model: keras.Model) -> dict[str, keras.Variable]:
    """Returns the peers that the layers of a model store, by layer."""
    layers = peers.peer_layers(model)
    return {
        name: layer.peers
        for name, layer in zip(_peer_names(model), layers, strict=True)
        if layer.peers is not None
    }
