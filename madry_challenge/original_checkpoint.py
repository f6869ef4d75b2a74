"""Reads the TensorFlow 1 checkpoints of the original challenge."""

from typing import Any

import keras

from madry_challenge import model as networks

# The original's name of each weight, after that of its layer. Those of batch
# normalization lack the layer's own name: it is a name scope, which variables
# do not take part in.
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
        path: str, the prefix of its files, or their folder.

    Raises:
        ValueError: if it is no checkpoint of one of the challenge's networks.
    """
    import tensorflow as tf

    try:
        reader = tf.train.load_checkpoint(path)
    except (tf.errors.OpError, ValueError) as error:
        raise ValueError(f"{path} is no checkpoint: {error}") from error
    try:
        return _read(reader, path)
    except (tf.errors.OpError, IndexError, RuntimeError) as error:
        # TensorFlow passes on what the reader found in each of these.
        raise ValueError(f"{path} is damaged: {error}") from error


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
                raise ValueError(
                    f"{path} has no {name} of shape {tuple(weight.shape)}"
                )
            weight.assign(reader.get_tensor(name))
    return model


def _network_of(path: str, shapes: dict[str, Any]) -> str:
    """Returns the name of the network whose last layer has these inputs."""
    width = shapes.get("logit/DW", (0,))[0]
    for name, filters in networks.FILTERS.items():
        if filters[-1] == width:
            return name
    raise ValueError(
        f"{path} holds none of {', '.join(networks.FILTERS)}: logit/DW has "
        f"{width or 'no'} inputs"
    )
