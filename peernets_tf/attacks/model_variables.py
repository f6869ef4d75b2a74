"""The variables of the models that a function from images to logits calls."""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator
from typing import Any

from peernets_tf.lazy import keras

# How many functions, objects and containers may lie around a model.
_MAX_DEPTH = 6


def variables(logits_fn: Any) -> list[keras.Variable]:
    """Returns the variables of all models that a function reaches.

    Models are looked for in closures, default values, the arguments of a
    `functools.partial`, attributes, dicts, lists and tuples in these, and the
    globals that a function names, if they are layers or of the function's own
    module. A model in another place, such as a slot or a global dict, is not
    found.
    """
    return [
        variable
        for layer in _layers(logits_fn, set(), 0)
        for variable in layer.variables
    ]


def _layers(thing: Any, seen: set[int], depth: int) -> Iterator[keras.Layer]:
    if id(thing) in seen or depth > _MAX_DEPTH:
        return
    seen.add(id(thing))
    if isinstance(thing, keras.Layer):
        yield thing
        return
    for inner in _inner(thing):
        yield from _layers(inner, seen, depth + 1)


def _inner(thing: Any) -> list[Any]:
    """Returns what a function, an object or a container holds."""
    if isinstance(thing, functools.partial):
        return [thing.func, *thing.args, *thing.keywords.values()]
    if isinstance(thing, types.MethodType):
        return [thing.__self__, thing.__func__]
    if isinstance(thing, types.FunctionType):
        return _of_function(thing)
    if isinstance(thing, dict):
        return list(thing.values())
    if isinstance(thing, list | tuple):
        return list(thing)
    if isinstance(thing, type | types.ModuleType):
        return []
    return list(getattr(thing, "__dict__", {}).values())


def _of_function(function: types.FunctionType) -> list[Any]:
    found = list(function.__defaults__ or ())
    found += (function.__kwdefaults__ or {}).values()
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:
            # The cell of a name that has no value yet.
            continue
    named = (function.__globals__.get(n) for n in function.__code__.co_names)
    # A library's functions name much, but no model of the user's.
    found += [
        value
        for value in named
        if isinstance(value, keras.Layer)
        or getattr(value, "__module__", None) == function.__module__
    ]
    return found
