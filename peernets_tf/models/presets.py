"""The published models inside the package: presets, by name."""

from __future__ import annotations

import os
import pathlib

from peernets_tf.errors import UserError
from peernets_tf.lazy import keras
from peernets_tf.models import saving

# NAME.keras is the model, NAME.json the record of its training and NAME.md its
# card. NAME.suite.json, if it is there, is the record of attacks on it.
PRESET_FOLDER = pathlib.Path(__file__).resolve().parent / "preset_files"


def preset_names() -> list[str]:
    """Returns the names of the published models, sorted."""
    # Not a hidden file, which somebody is still writing.
    return sorted(path.stem for path in PRESET_FOLDER.glob("[!.]*.keras"))


def load_pretrained(name: str, precision: str | None = None) -> keras.Model:
    """Loads a published model, ready to predict; a PeerNet has one graph.

    Args:
        name: str, the name of one of `peernets_tf.presets()`, such as
            `"cifar10_pr_resnet32"`.
        precision: str or None, `"float32"` or `"mixed_bfloat16"`, in which all
            layers but the last compute; None for that of its training.

    Returns:
        A `keras.Model` from float32 images `(B, H, W, C)` in [0, 1] to logits.

    Raises:
        UserError: if there is no such model or precision.
    """
    names = preset_names()
    if name not in names:
        raise UserError(
            f"`name` must be one of {', '.join(names)}. Received: name={name}"
        )
    return saving.load(preset_path(name), precision)


def check_name(name_or_path: str, flag: str) -> None:
    """Raises a `UserError` if a text is neither a preset nor a path.

    Args:
        name_or_path: str.
        flag: str, what the error calls the text, such as `"--checkpoint"`.
    """
    names = preset_names()
    if name_or_path in names or os.path.isfile(name_or_path):
        return
    what = "is a folder" if os.path.isdir(name_or_path) else "does not exist"
    raise UserError(
        f"{flag} must be a .keras file or one of the published models "
        f"{', '.join(names)}. Received: {name_or_path!r}, which {what}"
    )


def preset_path(name_or_path: str) -> str:
    """Returns the file of a preset's name, and any other path unchanged."""
    if name_or_path in preset_names():
        return str(PRESET_FOLDER / f"{name_or_path}.keras")
    return name_or_path
