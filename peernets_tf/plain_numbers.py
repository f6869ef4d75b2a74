"""Python numbers in place of NumPy's, for JSON and for `repr`."""

import dataclasses
from typing import Any

import numpy as np


def make_plain(config: Any) -> None:
    """Replaces the NumPy scalars of a frozen dataclass by Python numbers.

    For its `__post_init__`. A run then has the same identity whether `epsilon`
    is given as `np.float64(0.25)` or as `0.25`, and its record can be written.

    Args:
        config: the dataclass; scalars in tuples and dicts count, too.
    """
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        object.__setattr__(config, field.name, _plain(value))


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if type(value) is tuple:
        return tuple(map(_plain, value))
    if type(value) is dict:
        return {key: _plain(item) for key, item in value.items()}
    return value
