"""The paper's networks and their baselines: by name, from files, as presets."""

from peernets_tf.models.presets import (
    PRESET_FOLDER,
    check_name,
    load_pretrained,
    preset_path,
    presets,
)
from peernets_tf.models.registry import MODEL_NAMES, build
from peernets_tf.models.saving import (
    check_finite,
    copy_weights,
    load,
    save,
    weights_sha256,
)

__all__ = [
    "MODEL_NAMES",
    "PRESET_FOLDER",
    "build",
    "check_finite",
    "check_name",
    "copy_weights",
    "load",
    "load_pretrained",
    "preset_path",
    "presets",
    "save",
    "weights_sha256",
]
