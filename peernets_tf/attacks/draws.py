"""Random numbers for models whose forward pass is random, without a state.

Compiled code cannot keep the state of a generator on both backends. So what
draws reads a key from a scope of its thread, and the same key gives the same
numbers, on TensorFlow and JAX:

    numbers = draws.uniform(draws.current_key(), count)

A `Classifier` gives each call of a compiled function another key, which depends
on the seed of the attack. `fori_loop` gives each iteration another one. So an
attack draws anew in every step, and its seed repeats all draws.
"""

import contextlib
import math
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from peernets_tf.lazy import keras, ops
from peernets_tf.types import Tensor

# 2**32 over the golden ratio: its multiples are spread evenly.
_GOLDEN = 0x9E3779B9
# Distances and factors of the finalizer of MurmurHash3 (Appleby, 2011).
_MIX = ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1))

_thread = threading.local()


def fold(key: Tensor, number: Tensor) -> Tensor:
    """Returns the key of one of several draws.

    Args:
        key: int or integer tensor of shape `()`.
        number: int or integer tensor of any shape, another for each draw.

    Returns:
        uint32 tensor of the shape of `number`.
    """
    return _mixed(_mixed(_uint32(key)) + _uint32(number))


def uniform(key: Tensor, count: int) -> Tensor:
    """Returns numbers drawn uniformly from [0, 1), float32 of shape `(count,)`.

    Args:
        key: int or integer tensor of shape `()`; or of shape `(n, 1)` for n
            rows of numbers, of shape `(n, count)`.
        count: int.
    """
    places = _uint32(ops.arange(1, count + 1, dtype="int32"))
    bits = _mixed(_uint32(key) + places * _uint32(_GOLDEN))
    # A float32 holds 24 bits exactly.
    bits = ops.bitwise_right_shift(bits, _uint32(8))
    return ops.cast(bits, "float32") / 2.0**24


def normal(key: Tensor, count: int) -> Tensor:
    """Returns standard normal numbers, float32 of shape `(count,)`.

    Args:
        key: as in `uniform`.
        count: int.
    """
    numbers = uniform(key, 2 * count)
    # The transform of Box and Muller (1958); no logarithm is of 0.
    length = ops.sqrt(-2.0 * ops.log(1.0 - numbers[..., :count]))
    return length * ops.cos(2.0 * math.pi * numbers[..., count:])


def choose(key: Tensor, size: int, count: int) -> Tensor:
    """Returns distinct numbers drawn uniformly, int32 of shape `(count,)`.

    Args:
        key: int or integer tensor of shape `()`.
        size: int, the numbers are drawn from 0, ..., `size` - 1.
        count: int, at most `size`.
    """
    return ops.cast(ops.top_k(uniform(key, size), count)[1], "int32")


def current_key() -> Tensor:
    """Returns the key of this thread's scope; 0 outside of any."""
    return getattr(_thread, "key", 0)


@contextlib.contextmanager
def key_scope(key: Tensor) -> Iterator[None]:
    """Sets the key of this thread until the block ends.

    Args:
        key: int or integer tensor of shape `()`.
    """
    outer = current_key()
    _thread.key = key
    try:
        yield
    finally:
        _thread.key = outer


def fori_loop(
    lower: Tensor,
    upper: Tensor,
    body: Callable[[Tensor, Any], Any],
    state: Any,
) -> Any:
    """Is `keras.ops.fori_loop`, with another key in each iteration.

    Args:
        lower: int or int tensor, the first index.
        upper: int or int tensor, the index after the last.
        body: function from an index and the state to the next state.
        state: structure of tensors.

    Returns:
        The last state.
    """
    key = current_key()

    def body_with_key(index: Tensor, state: Any) -> Any:
        with key_scope(fold(key, index)):
            return body(index, state)

    return ops.fori_loop(lower, upper, body_with_key, state)


def mean(function: Callable[[], Any], count: int) -> Any:
    """Returns the mean of what several calls return, each with another key.

    Args:
        function: function without arguments to a structure of float tensors.
        count: int, the number of calls, at least 1.
    """
    first = function()
    if count == 1:
        return first

    def divided(structure: Any) -> Any:
        return keras.tree.map_structure(lambda x: x / count, structure)

    # Quotients are added, not tensors: TensorFlow's memory optimizer turns a
    # sum with what the last iteration has computed into a variable that stays
    # behind, and the next call would fail.
    def add(_: Tensor, means: Any) -> Any:
        return keras.tree.map_structure(ops.add, means, divided(function()))

    return fori_loop(1, count, add, divided(first))


def _mixed(bits: Tensor) -> Tensor:
    """Returns 32 bits, each of which depends on all of those received."""
    for distance, factor in _MIX:
        shifted = ops.bitwise_right_shift(bits, _uint32(distance))
        bits = ops.bitwise_xor(bits, shifted) * _uint32(factor)
    return bits


def _uint32(value: Tensor) -> Tensor:
    if isinstance(value, int):
        value = np.uint32(value % 2**32)
    return ops.cast(value, "uint32")
