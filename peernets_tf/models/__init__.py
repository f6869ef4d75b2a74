"""The paper's networks and their baselines: by name, from files, as presets."""

from peernets_tf.models.insertion import insert_peer_regularization
from peernets_tf.models.presets import (
    PRESET_FOLDER,
    load_pretrained,
    preset_path,
    presets,
)
from peernets_tf.models.registry import MODEL_NAMES, build
from peernets_tf.models.saving import (
    copy_weights,
    load,
    save,
    weights_sha256,
)

__all__ = [
    "MODEL_NAMES",
    "PRESET_FOLDER",
    "build",
    "copy_weights",
    "insert_peer_regularization",
    "load",
    "load_pretrained",
    "preset_path",
    "presets",
    "save",
    "weights_sha256",
]
