"""One training by several processes, on one machine or on several.

All processes compute the same weights, each from its share of every batch. Only
the first one writes to the run's folder. `keras.distribution` on JAX connects
them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from typing import Any

from numpy.typing import NDArray

from peernets_tf import models
from peernets_tf.errors import TrainingError, UserError
from peernets_tf.lazy import keras

# Keras reads these variables.
_COUNT = "KERAS_DISTRIBUTION_NUM_PROCESSES"
_ADDRESS = "KERAS_DISTRIBUTION_JOB_ADDRESSES"


@dataclasses.dataclass(frozen=True)
class Process:
    """A process among those of a training.

    Attributes:
        index: int, counted from 0; 0 writes to the run's folder.
        count: int, the number of processes.
    """

    index: int = 0
    count: int = 1

    def share(self, array: NDArray[Any]) -> NDArray[Any]:
        """Returns the rows that this process computes.

        Args:
            array: array whose first dimension is a multiple of `count`.
        """
        size = len(array) // self.count
        return array[self.index * size : (self.index + 1) * size]


def are_wanted() -> bool:
    """Returns whether the environment names more than one process."""
    return os.environ.get(_COUNT, "1") != "1"


def join(distribution: str | None) -> None:
    """Connects this process with the others that the environment names.

    Waits until all have started. Does nothing if the environment names none.
    It must be called before Keras looks for devices.

    Args:
        distribution: str or None, see `distributed`.

    Raises:
        UserError: if the distribution has no processes, or they cannot be
            connected.
    """
    if not are_wanted():
        return
    backend = keras.backend.backend()
    if distribution != "data_parallel" or backend != "jax":
        raise UserError(
            f"{_COUNT} needs --distribution=data_parallel and "
            f"KERAS_BACKEND=jax: set them or unset it. Received: "
            f"{distribution} on {backend}"
        )
    try:
        keras.distribution.initialize()
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"cannot join the other processes: {error}. {_ADDRESS} must be the "
            "address of process 0, as host:port"
        ) from error


def this_process() -> Process:
    """Returns which of the connected processes this one is."""
    if keras.backend.backend() != "jax":
        return Process()
    import jax

    return Process(jax.process_index(), jax.process_count())


@contextlib.contextmanager
def own_folder(folder: str) -> Iterator[str]:
    """Gives the folder that this process writes to.

    That is the run's folder in the first process. Each other one gets a copy of
    it, which is removed at the end of the block, and prints nothing in the
    block.

    Args:
        folder: str, the run's folder, which may be missing.

    Raises:
        UserError: if the processes see different files in the run's folder.
        TrainingError: if a computation of the block fails, as it does when
            another process has ended.
    """
    process = this_process()
    if process.count == 1:
        yield folder
        return
    with contextlib.ExitStack() as stack:
        own = folder
        if process.index:
            own = stack.enter_context(tempfile.TemporaryDirectory())
            if os.path.isdir(folder):
                shutil.copytree(folder, own, dirs_exist_ok=True)
        # The first process goes on when all others have their copy.
        _check_same_files(folder, own)
        if process.index:
            nowhere = stack.enter_context(open(os.devnull, "w"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
        try:
            yield own
        except _jax_error() as error:
            raise TrainingError(
                f"process {process.index} could not go on: "
                f"{str(error).splitlines()[0]}. If another process has ended, "
                "start all of them again: they go on from the last checkpoint"
            ) from error


def _jax_error() -> type[Exception]:
    import jax

    error: type[Exception] = jax.errors.JaxRuntimeError
    return error


def _check_same_files(folder: str, own: str) -> None:
    """Waits for all processes, and compares the files that they start from."""
    import numpy as np
    from jax.experimental import multihost_utils

    found = sorted(
        (entry.name, entry.stat().st_size)
        for entry in (os.scandir(own) if os.path.isdir(own) else ())
        if entry.is_file() and entry.name != "lock"
    )
    sums = multihost_utils.process_allgather(
        np.array(zlib.crc32(repr(found).encode()), np.uint32)
    )
    if len(set(sums.tolist())) > 1:
        raise UserError(
            f"all processes must see the same files in {folder}: give an "
            "--output_dir on a file system that their machines share"
        )


@contextlib.contextmanager
def on_own_devices(
    model: keras.Model, num_devices: int
) -> Iterator[tuple[keras.Model, int]]:
    """Lets each process use a trained model without the others.

    Args:
        model: a built Keras model, trained by all processes.
        num_devices: int, the devices that share a batch.

    Yields:
        The model and the number of devices. With several processes, the model
        is a copy on one device, without stored peers, and nothing in the block
        is distributed.
    """
    if this_process().count == 1:
        yield model, num_devices
        return
    distribution = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        copy = type(model).from_config(model.get_config())
        models.copy_weights(model, copy)
        yield copy, 1
    finally:
        keras.distribution.set_distribution(distribution)
