"""Where a run comes from: command, code version, packages and machine."""

import contextlib
import dataclasses
import importlib.metadata
import os
import pathlib
import platform
import subprocess
from typing import Any

from peernets_tf.lazy import keras
from peernets_tf.records.schema import Provenance

_PACKAGES = ("keras", "numpy", "tensorflow-cpu", "tensorflow", "jax")
CPU_INFO = pathlib.Path("/proc/cpuinfo")
# The fastest first. Processors of clouds have the same name with and without.
_VECTOR_INSTRUCTIONS = ("amx_bf16", "avx512_bf16", "avx512f", "avx2")
# The source tree that a commit is asked of.
ROOT = pathlib.Path(__file__).resolve().parents[2]


def capture(command: str, flags: dict[str, Any], seed: int) -> Provenance:
    """Returns the `Provenance` of a run that starts now in this process.

    Args:
        command: str, the command line that reproduces the run.
        flags: dict, the values of the command's flags, by name.
        seed: int, the seed of the command.
    """
    devices = ", ".join(keras.distribution.list_devices())
    return Provenance(
        command=command,
        flags=flags,
        seed=seed,
        commit=_commit(),
        versions=_versions(),
        device=f"{_processor()}, {os.cpu_count()} cores, {devices}, "
        f"{keras.backend.backend()} backend",
    )


def with_seconds(provenance: Provenance, seconds: float) -> Provenance:
    """Returns a `Provenance` with the wall time, rounded to 0.1 seconds."""
    return dataclasses.replace(provenance, seconds=round(seconds, 1))


def _versions() -> dict[str, str]:
    """Returns the versions of Python and of the installed packages."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _commit() -> str:
    """Returns the commit of the source tree; a `+` marks local changes.

    Returns `"unknown"` outside a git checkout. Changes in results/ do not
    count, because a run may follow one that wrote its record there.
    """
    # Without .git here, git would describe a repository around this folder.
    if not (ROOT / ".git").exists():
        return "unknown"
    try:
        commit = _git("describe", "--always", "--abbrev=12")
        changed = _git("diff", "--name-only", "HEAD", "--", ".", ":!results")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit}+" if changed else commit


def _git(*arguments: str) -> str:
    """Returns the output of a git command in the source tree."""
    return subprocess.run(
        ["git", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def _processor() -> str:
    """Returns the processor's name and its fastest vector instructions."""
    fields: dict[str, str] = {}
    # Only Linux has this file.
    with contextlib.suppress(OSError):
        for line in CPU_INFO.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            fields[key.strip()] = value.strip()
    other = platform.processor() or platform.machine()
    name = fields.get("model name", other)
    known = fields.get("flags", "").split()
    fastest = next((v for v in _VECTOR_INSTRUCTIONS if v in known), None)
    return f"{name} with {fastest}" if fastest else name
