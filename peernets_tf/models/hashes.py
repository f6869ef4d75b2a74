"""Hashes of what a model computes: its weights, and its configuration."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from peernets_tf.lazy import keras
from peernets_tf.models.saving import PEERS

_RANDOM_STATE = "seed_generator_state"
# Where the configuration of a model names its layers.
_NAMES = ("name", "keras_history", "input_layers", "output_layers")


def weights_sha256(model: keras.Model, *, with_peers: bool = True) -> str:
    """Returns the SHA-256 of a model's weights and peers, in their order.

    Args:
        model: a built Keras model.
        with_peers: bool, whether stored graphs of peers count, too.
    """
    digest = hashlib.sha256()
    left_out = {_RANDOM_STATE} if with_peers else {_RANDOM_STATE, PEERS}
    for variable in model.variables:
        if variable.name not in left_out:
            array = np.ascontiguousarray(keras.ops.convert_to_numpy(variable))
            digest.update(array.tobytes())
    return digest.hexdigest()


def config_sha256(model: keras.Model) -> str:
    """Returns the SHA-256 of what a model's layers compute with its weights.

    Two models of equal weights may differ in an activation, or in another
    argument of a layer. Names do not count, because Keras numbers layers as
    they are made. Of a model that Keras cannot save nothing is known, and of a
    subclassed one what its `get_config` returns.
    """
    try:
        config = model.get_config()
    except Exception:
        # Layers of users fail in their own ways.
        config = {}
    text = json.dumps(
        _without_names(config, {}), sort_keys=True, default=_plain
    )
    return hashlib.sha256(text.encode()).hexdigest()


def _without_names(value: Any, numbers: dict[str, int], key: str = "") -> Any:
    """Returns a model's configuration with numbers in place of layers' names.

    Args:
        value: the configuration, or a part of it.
        numbers: dict, the number of each name that was met so far.
        key: str, the innermost key of a dict that holds the value.
    """
    if isinstance(value, dict):
        if str(value.get("class_name")).endswith("DTypePolicy"):
            # Its name is that of a precision.
            return value
        return {k: _without_names(v, numbers, k) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_names(v, numbers, key) for v in value]
    if isinstance(value, str) and key in _NAMES:
        return numbers.setdefault(value, len(numbers))
    return value


def _plain(value: Any) -> Any:
    """Returns an array as lists, and anything else as the name of its type."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return type(value).__name__
