"""One training by several processes, on one machine or on several.

All processes compute the same weights, each from its share of every batch. Only
the first one writes to the run's folder. `keras.distribution` on JAX connects
them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import glob
import os
import re
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from typing import Any

from numpy.typing import NDArray

from peernets_tf.errors import TrainingError, UserError
from peernets_tf.lazy import keras

# Keras reads these variables.
_COUNT = "KERAS_DISTRIBUTION_NUM_PROCESSES"
_INDEX = "KERAS_DISTRIBUTION_PROCESS_ID"
_ADDRESS = "KERAS_DISTRIBUTION_JOB_ADDRESSES"
# What another process must know to go on where the first one does.
_RUN_FILES = ("run.json", "checkpoint-*.npz")
# How JAX's messages begin when a computation fails, such as "UNKNOWN: ".
_STATUS = re.compile(r"[A-Z_]+: ")


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


def several_requested() -> bool:
    """Returns whether the environment names more than one process."""
    return os.environ.get(_COUNT, "1") != "1"


def join(distribution: str | None) -> None:
    """Connects this process with the others that the environment names.

    Waits up to five minutes until all have started, and says so. Does nothing
    if the environment names no others. It must be called before Keras looks for
    devices.

    Args:
        distribution: str or None, see `distributed`.

    Raises:
        UserError: unless `distribution` is `"data_parallel"` on JAX, if a
            variable of the environment is wrong, or if another process is
            missing or has another number of devices.
    """
    if not several_requested():
        return
    backend = keras.backend.backend()
    if distribution != "data_parallel" or backend != "jax":
        raise UserError(
            f"{_COUNT} needs --distribution=data_parallel and "
            f"KERAS_BACKEND=jax: set them or unset it. Received: "
            f"{distribution} on {backend}"
        )
    count = _number(_COUNT, 1)
    index = _number(_INDEX, 0, count - 1)
    address = os.environ.get(_ADDRESS, "")
    if not address.split(",")[0].rpartition(":")[2].isdigit():
        raise UserError(
            f"{_ADDRESS} must be the address of process 0, as host:port. "
            f"Received: {address!r}"
        )
    import jax

    # Otherwise SIGTERM would no longer end the process.
    jax.config.update("jax_enable_preemption_service", False)
    # Without a seed, Keras would ask the other processes for one.
    keras.utils.set_random_seed(0)
    print(
        f"Process {index} of {count} waits for the others at {address}",
        flush=True,
    )
    try:
        keras.distribution.initialize(address, count, index)
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"process {index} cannot join the others at {address}: "
            f"{_first_line(error)}"
        ) from error
    if jax.device_count() != count * jax.local_device_count():
        raise UserError(
            f"all {count} processes must have the same number of devices. "
            f"Received: {jax.local_device_count()} in process {index}, "
            f"{jax.device_count()} in all"
        )


def _number(name: str, smallest: int, largest: int | None = None) -> int:
    """Returns a variable of the environment, or raises a `UserError`."""
    text = os.environ.get(name, "")
    number = int(text) if text.isdecimal() else -1
    if number < smallest or (largest is not None and number > largest):
        limits = f"at least {smallest}"
        if largest is not None:
            limits = f"an integer from {smallest} to {largest}"
        raise UserError(f"{name} must be {limits}. Received: {text!r}")
    return number


def this_process() -> Process:
    """Returns which of the connected processes this one is."""
    if keras.backend.backend() != "jax":
        return Process()
    import jax

    return Process(jax.process_index(), jax.process_count())


@contextlib.contextmanager
def own_folder(folder: str, settings: str) -> Iterator[str]:
    """Yields the folder that this process writes to.

    That is the run's folder in the first process. Each other one gets a
    temporary folder with the run's newest checkpoint, and prints nothing in the
    block.

    Args:
        folder: str, the run's folder, which may be missing.
        settings: str, all that the trained weights depend on.

    Raises:
        UserError: if the processes have different settings, or see different
            checkpoints in the run's folder.
        TrainingError: if a computation fails, as it does when another process
            has ended.
    """
    process = this_process()
    if process.count == 1:
        yield folder
        return
    with contextlib.ExitStack() as stack:
        own = folder
        if process.index:
            own = stack.enter_context(tempfile.TemporaryDirectory())
            for path in _run_files(folder):
                shutil.copy(path, own)
        try:
            # The first process goes on when all others have their copy.
            _check_same(settings, folder, own)
            if process.index:
                nowhere = stack.enter_context(open(os.devnull, "w"))
                stack.enter_context(contextlib.redirect_stdout(nowhere))
            yield own
        except (RuntimeError, ValueError) as error:
            if not _STATUS.match(str(error)):
                raise
            raise TrainingError(
                f"process {process.index} could not go on: "
                f"{_first_line(error)}. If another process has ended, start "
                "all of them again: they go on from the last checkpoint"
            ) from error


def _run_files(folder: str) -> list[str]:
    """Returns the paths of a run that has begun, none of a new one."""
    return sorted(
        path
        for name in _RUN_FILES
        for path in glob.glob(os.path.join(glob.escape(folder), name))
    )


def _check_same(settings: str, folder: str, own: str) -> None:
    """Waits for all processes, and compares what they start from."""
    import numpy as np
    from jax.experimental import multihost_utils

    found = [
        (os.path.basename(path), os.path.getsize(path))
        for path in _run_files(own)
    ]
    sums = multihost_utils.process_allgather(
        np.array([_sum(settings), _sum(repr(found))], np.uint32)
    )
    same_settings, same_files = (len(set(column)) == 1 for column in sums.T)
    if not same_settings:
        raise UserError(
            "all processes must have the same flags, data and versions of the "
            f"packages. This one has: {settings}"
        )
    if not same_files:
        raise UserError(
            f"all processes must see the same checkpoints in {folder}: let "
            "their machines share the folder of process 0"
        )


def _sum(text: str) -> int:
    return zlib.crc32(text.encode())


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


@contextlib.contextmanager
def whole_batches(num_devices: int) -> Iterator[int]:
    """Lets all devices of several processes compute whole batches.

    Keras fetches the outputs of a model only if each process has all of them.
    The processes still compute together: all must do the same in the block.

    Args:
        num_devices: int, the devices that shared a batch until now.

    Yields:
        int, the number of devices that share a batch in the block: as before
        with one process, otherwise 1.
    """
    if this_process().count == 1:
        yield num_devices
        return
    distribution = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield 1
    finally:
        keras.distribution.set_distribution(distribution)
