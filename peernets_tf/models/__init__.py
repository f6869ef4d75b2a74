"""The paper's networks and their baselines: by name, from files, as presets."""

from typing import TYPE_CHECKING

from peernets_tf import lazy
from peernets_tf.models.hashes import config_sha256, weights_sha256
from peernets_tf.models.precision import PRECISIONS, check_precision
from peernets_tf.models.presets import (
    PRESET_FOLDER,
    check_name,
    load_pretrained,
    preset_names,
    preset_path,
)
from peernets_tf.models.registry import MODEL_NAMES, build
from peernets_tf.models.saving import (
    check_finite,
    copy_weights,
    load,
    save,
)

if TYPE_CHECKING:
    from peernets_tf.models.insertion import insert_peer_regularization
else:
    __getattr__, __dir__ = lazy.exports(
        __name__, insert_peer_regularization="insertion"
    )

__all__ = [
    "MODEL_NAMES",
    "PRECISIONS",
    "PRESET_FOLDER",
    "build",
    "check_finite",
    "check_name",
    "check_precision",
    "config_sha256",
    "copy_weights",
    "insert_peer_regularization",
    "load",
    "load_pretrained",
    "preset_names",
    "preset_path",
    "save",
    "weights_sha256",
]
