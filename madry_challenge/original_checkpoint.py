"""Reads the TensorFlow 1 checkpoints of the original challenge."""

from typing import Any

import keras
import numpy as np

from madry_challenge import checkpoint_files
from madry_challenge import model as networks
from peernets_tf import files, models
from peernets_tf.errors import UserError

# The original's name of each weight, without that of its layer. The weights of
# batch normalization lack the layer's own name, because there it is a name
# scope, which does not enter the names of variables.
_NAMES: dict[type, dict[str, str]] = {
    keras.layers.Conv2D: {"kernel": "DW"},
    keras.layers.Dense: {"kernel": "DW", "bias": "biases"},
    keras.layers.BatchNormalization: {
        name: f"BatchNorm/{name}"
        for name in ("gamma", "beta", "moving_mean", "moving_variance")
    },
}


def read(path: str) -> keras.Model:
    """Returns the Keras model of an original checkpoint.

    Args:
        path: str, the prefix of the checkpoint's files, or their folder.

    Raises:
        UserError: if it is not a checkpoint of one of the challenge's networks,
            or its weights or logits are not finite.
    """
    import tensorflow as tf

    prefix = checkpoint_files.prefix(path)
    try:
        model = _read(tf.train.load_checkpoint(prefix), path)
    except UserError:
        raise
    except Exception as error:
        # TensorFlow reports damage in many ways.
        raise UserError(
            f"{path} is damaged ({error}): give another checkpoint"
        ) from error
    _check_finite(model, path)
    return model


def convert(path: str, output: str) -> keras.Model:
    """Writes the model of an original checkpoint to a .keras file.

    Args:
        path: str, see `read`.
        output: str, the file to write.

    Returns:
        The Keras model.

    Raises:
        UserError: see `read`, or if the output's name or folder is wrong.
    """
    files.check_output(output, ".keras", "--output")
    model = read(path)
    models.save(model, output)
    return model


def _check_finite(model: keras.Model, path: str) -> None:
    """Raises a `UserError` if weights or logits are not finite."""
    black_and_white = np.zeros((2, *model.input_shape[1:]), np.float32)
    black_and_white[1] = 1
    try:
        models.check_finite(model)
    except UserError as error:
        raise UserError(f"{path} cannot be used: {error}") from error
    logits = keras.ops.convert_to_numpy(model(black_and_white, training=False))
    if not np.isfinite(logits).all():
        raise UserError(
            f"{path} must give finite logits. Received: NaN or infinity for a "
            "black and a white image; import a checkpoint whose training did "
            "not diverge"
        )


def _read(reader: Any, path: str) -> keras.Model:
    shapes = reader.get_variable_to_shape_map()
    model = networks.build(_network_of(path, shapes))
    for layer in model.layers:
        scopes = layer.name.split(".")
        if isinstance(layer, keras.layers.BatchNormalization):
            scopes.pop()
        prefix = "/".join(scopes)
        for weight in layer.weights:
            name = f"{prefix}/{_NAMES[type(layer)][weight.name]}"
            if tuple(shapes.get(name, ())) != tuple(weight.shape):
                raise UserError(
                    f"{path} must hold {name} of shape {tuple(weight.shape)}. "
                    f"Received: shape {shapes.get(name)}"
                )
            weight.assign(reader.get_tensor(name))
    return model


def _network_of(path: str, shapes: dict[str, Any]) -> str:
    """Returns the name of the network, which its last layer's width tells."""
    width = shapes.get("logit/DW", (0,))[0]
    for name, filters in networks.FILTERS.items():
        if filters[-1] == width:
            return name
    raise UserError(
        f"{path} must hold one of the networks {', '.join(networks.FILTERS)}. "
        f"Received: a checkpoint whose logit/DW has {width} inputs"
    )
