"""The paper's networks and their baselines, by name."""

import os
import pathlib
import zipfile
from collections.abc import Sequence
from typing import Any

import keras

from peernets_tf.models.lenet5 import lenet5
from peernets_tf.models.resnet import resnet

_WIDTHS = {"": (16, 32, 64), "_v2": (16, 64, 128)}
_RESNETS = {
    f"resnet{depth}{suffix}": (depth, widths)
    for depth in (32, 110)
    for suffix, widths in _WIDTHS.items()
}
MODEL_NAMES = tuple(
    prefix + name for name in ("lenet5", *_RESNETS) for prefix in ("", "pr_")
)


def build(
    name: str,
    input_shape: Sequence[int],
    num_classes: int,
    *,
    mean: float | Sequence[float] = 0.0,
    variance: float | Sequence[float] = 1.0,
    l2: float = 0.0,
    seed: int = 0,
) -> keras.Model:
    """Builds one of the paper's networks.

    Args:
        name: str, one of `MODEL_NAMES`; `pr_` marks a PeerNet.
        input_shape: tuple `(H, W, C)` of the images.
        num_classes: int, the number of logits.
        mean: float or one float a channel, subtracted from the images.
        variance: float or one float a channel; its root divides the images.
        l2: float, the weight of half the sum of squares of the convolutions'
            and dense layers' kernels in the loss (the gradient is
            `l2 * kernel`).
        seed: int, the seed of the dropouts in PeerRegularization layers.

    Returns:
        A `keras.Model` from float images `(B, H, W, C)` in [0, 1] to logits
        `(B, num_classes)`.

    Raises:
        ValueError: if there is no such model.
    """
    if name not in MODEL_NAMES:
        raise ValueError(
            f"Unknown model. Choose one of {', '.join(MODEL_NAMES)}. "
            f"Received: {name}"
        )
    base = name.removeprefix("pr_")
    options: dict[str, Any] = {
        "mean": mean,
        "variance": variance,
        "l2": l2,
        "peer_regularization": name != base,
        "seed": seed,
    }
    if base == "lenet5":
        return lenet5(input_shape, num_classes, **options)
    depth, widths = _RESNETS[base]
    return resnet(
        input_shape,
        num_classes,
        depth=depth,
        widths=widths,
        name=name,
        **options,
    )


def load(path: str | pathlib.Path) -> keras.Model:
    """Loads a saved model for inference, with the peers that it holds.

    Args:
        path: str, a `.keras` file.

    Raises:
        ValueError: if the file is not a saved model.
    """
    if not os.path.exists(path):
        raise ValueError(f"there is no file {path}")
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is not a .keras model file")
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:
        # A damaged file fails in as many ways as there are parsers in it.
        raise ValueError(
            f"{path} is not a model to load ({type(error).__name__}): {error}"
        ) from error


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Copies the weights of all layers whose names both models have.

    Stored peers stay where they are.

    Args:
        source: a built Keras model.
        target: a built Keras model, changed in place.

    Raises:
        ValueError: if no layer has the same name, or one another shape.
    """
    layers = {layer.name: layer for layer in source.layers if layer.weights}
    common = [layer for layer in target.layers if layer.name in layers]
    if not common:
        raise ValueError(
            f"{source.name} and {target.name} have no layer name in common"
        )
    for layer in common:
        weights = {weight.path: weight for weight in layers[layer.name].weights}
        for weight in layer.weights:
            if weight.name == "peers" or weight.path not in weights:
                continue
            weight.assign(weights[weight.path])
