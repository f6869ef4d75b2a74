"""Trains one model on several devices, with engines that Keras has."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from peernets_tf.devices import has_gpu
from peernets_tf.errors import UserError
from peernets_tf.lazy import keras

# Each engine: the Keras backend that has it.
_BACKENDS = {"mirrored": "tensorflow", "data_parallel": "jax"}
DISTRIBUTIONS = tuple(_BACKENDS)


@contextlib.contextmanager
def distributed(name: str | None) -> Iterator[int]:
    """Spreads what is built and trained in the block over several devices.

    It uses all GPUs of this machine or, without a GPU, its CPU devices, of
    which there is usually one. `"data_parallel"` also uses those of the other
    processes that `processes.join` has connected.

    `"mirrored"` is `tf.distribute.MirroredStrategy`. Each device gets a share
    of every batch. In a PeerNet that share is also the graph, and batch
    normalization uses its statistics. All devices draw the same random numbers:
    the first images of all shares get the same dropout.

    `"data_parallel"` is `keras.distribution.DataParallel` on JAX. The result is
    that of one device up to rounding: the graph of a PeerNet is the whole
    batch.

    Args:
        name: str, one of `DISTRIBUTIONS`, or None for one device.

    Yields:
        int, the number of devices.

    Raises:
        UserError: if Keras has another backend, or there is only one device.
    """
    if name is None:
        yield 1
        return
    check_distribution(name)
    backend = keras.backend.backend()
    if backend != _BACKENDS[name]:
        raise UserError(
            f"`distribution` {name} needs KERAS_BACKEND={_BACKENDS[name]}. "
            f"Received: {backend}"
        )
    devices = _devices(backend)
    if len(devices) < 2:
        raise UserError(
            f"`distribution` {name} needs at least 2 devices: leave it out. "
            f"Received: {', '.join(devices)}"
        )
    with _scope(name, devices):
        yield len(devices)


def check_distribution(name: str | None) -> None:
    """Raises a `UserError` unless a name is None or in `DISTRIBUTIONS`."""
    if name is not None and name not in DISTRIBUTIONS:
        raise UserError(
            f"`distribution` must be one of {', '.join(DISTRIBUTIONS)}, or "
            f"None. Received: {name}"
        )


def check_shares(num_devices: int, **sizes: int) -> None:
    """Raises a `UserError` if images cannot be shared equally.

    Args:
        num_devices: int, the number of devices.
        **sizes: int, the number of images by the name of the flag.
    """
    for name, size in sizes.items():
        if size % num_devices:
            raise UserError(
                f"`{name}` must be a multiple of the number of devices, "
                f"{num_devices}. Received: {size}"
            )


def shared_batch_size(batch_size: int, num_devices: int) -> int:
    """Returns a batch size, lowered until devices share it equally.

    Each device gets at least one image.
    """
    return max(batch_size // num_devices, 1) * num_devices


def average_devices(model: keras.Model) -> None:
    """Gives all devices of `"mirrored"` the mean of what they keep apart.

    Those are the moving averages of batch normalization, which each device
    takes from its own share of the batches. Without this, devices would
    classify by different averages, and a saved model have those of the first.
    """
    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    strategy = tf.distribute.get_strategy()
    for variable in model.non_trainable_variables:
        if not keras.backend.is_float_dtype(variable.dtype):
            continue
        values = strategy.experimental_local_results(variable.value)
        if len(values) > 1:
            variable.assign(tf.add_n(values) / len(values))


def _devices(backend: str) -> list[str]:
    if backend == "jax":
        return list(keras.distribution.list_devices())
    import tensorflow as tf

    kind = "GPU" if has_gpu() else "CPU"
    return [device.name for device in tf.config.list_logical_devices(kind)]


def _scope(
    name: str, devices: list[str]
) -> contextlib.AbstractContextManager[object]:
    if name == "data_parallel":
        # Each process makes its own share of a batch.
        return keras.distribution.DataParallel(
            devices=devices, auto_shard_dataset=False
        ).scope()
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(devices).scope()
