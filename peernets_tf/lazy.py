"""Imports that wait for their first use.

Keras and its backend take seconds to import. A command reads its flags first,
so a module that flags need takes `keras` and `ops` from here, and
`from __future__ import annotations` keeps its signatures from using them.
"""

import importlib
import importlib.util
import os
import sys
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from peernets_tf.errors import BackendError

_PACKAGES = ("peernets_tf", "madry_challenge")
_BACKENDS = ("tensorflow", "jax")


class _Module(types.ModuleType):
    """A module that is imported when one of its attributes is first read."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


def module(name: str) -> Any:
    """Returns a stand-in for a module, which is imported at its first use."""
    return _Module(name)


def exports(
    package: str, **modules: str
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Returns the `__getattr__` and `__dir__` of a package (PEP 562).

    Args:
        package: str, the name of the package.
        **modules: for each exported name, the module of the package that
            defines it and is imported at the name's first use. No module may
            have the name that it exports.
    """

    def getattribute(name: str) -> Any:
        if name not in modules:
            raise AttributeError(
                f"module {package!r} has no attribute {name!r}"
            )
        defining = importlib.import_module(f"{package}.{modules[name]}")
        return getattr(defining, name)

    def names() -> list[str]:
        return sorted({*vars(importlib.import_module(package)), *modules})

    return getattribute, names


def import_exports(package: str) -> None:
    """Imports all that a package exports.

    Keras can load a saved model only after the classes of its layers were
    imported.

    Raises:
        BackendError: see `check_backend`.
    """
    check_backend()
    for name in getattr(sys.modules[package], "__all__", ()):
        getattr(sys.modules[package], name)


def import_layers() -> None:
    """Imports the layers of this project's packages, for models from files.

    A command of one package may be given a model of the other. This package
    does not need the other one, which need not be installed.

    Raises:
        BackendError: see `check_backend`.
    """
    for package in _PACKAGES:
        if importlib.util.find_spec(package):
            importlib.import_module(package)
            import_exports(package)


def check_backend() -> None:
    """Raises a `BackendError` if Keras lacks a backend that we support."""
    advice = (
        "Keras needs a backend: pip install 'peernets-tf[cpu]' (or gpu, "
        "tensorflow, jax), and leave KERAS_BACKEND unset or set it to "
        "tensorflow or jax"
    )
    try:
        name = importlib.import_module("keras").backend.backend()
    except (ImportError, ValueError) as error:
        # Keras raises a ValueError for a name that it does not know.
        raise BackendError(f"{advice}. Received: {error}") from None
    if name not in _BACKENDS:
        raise BackendError(f"{advice}. Received: the backend {name}")


def is_command() -> bool:
    """Whether this process was started as one of this project's commands.

    That is `python -m` with a module of ours, or a console script.
    """
    script = os.path.basename(sys.argv[0]) if sys.argv else ""
    options = sys.orig_argv[1:]
    if "-m" not in options:
        return script.startswith("peernets-")
    started = options[options.index("-m") + 1 :]
    return bool(started) and started[0].split(".")[0] in _PACKAGES


if TYPE_CHECKING:
    import keras as keras
    from keras import ops as ops
else:
    keras = module("keras")
    ops = module("keras.ops")
