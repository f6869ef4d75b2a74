"""Models in files, and the weights that two models share."""

from __future__ import annotations

import os
import re
import zipfile

import numpy as np

from peernets_tf import array_headers, files
from peernets_tf.errors import UserError, naming
from peernets_tf.lazy import keras
from peernets_tf.models.precision import check_precision, rebuild_in

# The variable in which a PeerRegularization layer stores its peers. Keras does
# not count it as a weight.
PEERS = "peers"
# ResNet-110's configuration has 0.3 MB; each nested model adds some levels.
_MAX_CONFIG_BYTES = 16 * 2**20
_MAX_CONFIG_DEPTH = 200
# How Keras names code that is not registered, and code in a file.
_CODE_OF_OTHERS = re.compile(
    r"(class|function) '[^']*'(?=\. Make sure)|`Lambda` layer"
    r"|(?<=Could not interpret )activation function"
)
# Keras's messages may hold a whole configuration.
_MAX_REASON = 500


def load(
    path: str | os.PathLike[str], precision: str | None = None
) -> keras.Model:
    """Loads a saved model for inference, with the peers that it holds.

    Args:
        path: str, a `.keras` file.
        precision: one of `PRECISIONS`, in which all layers but those of the
            outputs compute; None for that of the saved model.

    Raises:
        UserError: if the file is not a saved model, needs Python code that is
            neither Keras's nor ours, or holds a weight that is not finite; if
            there is no such precision, or the model cannot be rebuilt in it: a
            subclassed model, or one whose output is not that of a layer.
    """
    if not os.path.exists(path):
        raise UserError(
            "the checkpoint must be a .keras file. Received: "
            f"{path!r}, which does not exist"
        )
    if not zipfile.is_zipfile(path):
        raise UserError(
            f"{path} is not a .keras file: give one" + _model_within(path)
        )
    try:
        _check_archive(path)
        model = keras.saving.load_model(path, compile=False)
    except Exception as error:
        if found := _CODE_OF_OTHERS.search(str(error)):
            raise UserError(
                f"{path} needs Python code that commands do not run: give a "
                "model of Keras's own layers, or attack this one in Python "
                "with peernets_tf.robust_accuracy(model, images, labels). "
                f"Received: {found[0]}"
            ) from error
        # A damaged file fails in as many ways as there are parsers in it.
        reason = str(error)[:_MAX_REASON]
        raise UserError(
            f"{path} is damaged, or not a Keras model "
            f"({type(error).__name__}: {reason}): give another .keras file"
        ) from error
    if precision is not None:
        model = _load_in(path, model, precision)
    with naming(os.fspath(path)):
        check_finite(model)
    return model


def _model_within(path: str | os.PathLike[str]) -> str:
    """Returns the advice for a folder that holds a model."""
    model = os.path.join(path, "model.keras")
    return f", such as {model}" if os.path.isfile(model) else ""


def _load_in(
    path: str | os.PathLike[str], model: keras.Model, precision: str
) -> keras.Model:
    """Returns a saved model in another precision."""
    check_precision(precision)
    try:
        rebuilt = rebuild_in(model, precision)
        rebuilt.load_weights(path)
    except Exception as error:
        # Layers of other libraries fail in their own ways.
        reason = str(error)[:_MAX_REASON]
        raise UserError(
            f"{path} cannot be computed in {precision} ({reason}): leave the "
            "precision out"
        ) from error
    return rebuilt


def save(model: keras.Model, path: str) -> None:
    """Saves a model to a `.keras` file, whole or not at all.

    Raises:
        UserError: if a weight is not finite.
    """
    check_finite(model)
    with files.atomic_file(path) as temporary:
        model.save(temporary)


def check_finite(model: keras.Model) -> None:
    """Raises a `UserError` if a weight of a model is not finite."""
    for weight in model.weights:
        if not np.isfinite(keras.ops.convert_to_numpy(weight)).all():
            raise UserError(
                f"the weights of {model.name} must be finite. Received: "
                f"{weight.path} with NaN or infinity, as after a training that "
                "diverged; train again with a smaller learning rate"
            )


def _check_archive(path: str | os.PathLike[str]) -> None:
    """Raises a `ValueError` if Keras would read too much or nest too deeply."""
    with zipfile.ZipFile(path) as archive:
        array_headers.check_unpacked_size(path, archive)
        for name in ("config.json", "metadata.json"):
            size = archive.getinfo(name).file_size
            if size > _MAX_CONFIG_BYTES:
                raise ValueError(
                    f"{name} must be at most {_MAX_CONFIG_BYTES >> 20} MiB. "
                    f"Received: {size} bytes"
                )
            files.parse_json(archive.read(name), max_depth=_MAX_CONFIG_DEPTH)


def copy_weights(source: keras.Model, target: keras.Model) -> int:
    """Copies the weights of all layers whose names both models have.

    Stored peers are not copied.

    Args:
        source: a built Keras model.
        target: a built Keras model, changed in place.

    Returns:
        int, how many layers of the target got weights.

    Raises:
        UserError: if the models have no layer name in common, or two layers of
            one name have weights of other names or shapes.
    """
    layers = {layer.name: layer for layer in source.layers if layer.weights}
    common = [layer for layer in target.layers if layer.name in layers]
    if not common:
        raise UserError(
            f"{source.name} and {target.name} have no layer name in common: "
            "choose a model of the same kind of network"
        )
    for layer in common:
        weights = {weight.path: weight for weight in layers[layer.name].weights}
        for weight in layer.weights:
            if weight.name == PEERS:
                continue
            if weight.path not in weights:
                raise UserError(
                    f"{source.name} must have the weight {weight.path} of "
                    f"{target.name}, because both have a layer {layer.name}: "
                    "give one of them another name, or choose a model of the "
                    f"same layers. Received: {', '.join(sorted(weights))}"
                )
            value = weights[weight.path]
            if value.shape != weight.shape:
                raise UserError(
                    f"{weight.path} of {target.name} has shape {weight.shape}. "
                    f"Received: {value.shape} in {source.name}; choose a model "
                    "of the same widths and number of classes"
                )
            weight.assign(value)
    return sum(bool(layer.weights) for layer in common)
