"""Checks that images fit the input of a model."""

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from peernets_tf.errors import UserError
from peernets_tf.layers import keras_internals

# How far images in [0, 1] may lie outside of it.
_ROUNDING = 1e-3
# Layers whose outputs have the range of their inputs in inference.
_KEEP_RANGE = (
    keras.layers.InputLayer,
    keras.layers.Identity,
    keras.layers.CenterCrop,
    keras.layers.Cropping2D,
    keras.layers.Resizing,
    keras.layers.ZeroPadding2D,
    *(
        getattr(keras.layers, name)
        for name in dir(keras.layers)
        if name.startswith("Random")
    ),
)


def check_images_fit(model: keras.Model, images: NDArray[Any]) -> None:
    """Raises a `UserError` unless the images can be inputs of the model.

    The shape is compared with the input of the model where that is known. The
    range is compared with what the first layer or operation tells of it that
    may change the range; cropping, padding, resizing, flips and the like are
    skipped:

    - `keras.layers.Normalization` whose means and variances are those of data
      in [0, 1], as in all models of this package: the images must be in [0, 1].
    - `keras.layers.Rescaling` by 1/127 or less, or `Normalization` with a mean
      above 1: the model takes larger numbers, such as 0 to 255, so images in
      [0, 1] are refused.

    Any other model may take any range.

    Args:
        model: a built Keras model.
        images: array of shape `(..., H, W, C)`.
    """
    _check_shape(model, images)
    unit = takes_unit_range(model)
    low, high = float(images.min()), float(images.max())
    if unit is True and (low < -_ROUNDING or high > 1 + _ROUNDING):
        raise UserError(
            "`images` must be in [0, 1], for which the first layer of "
            f"'{model.name}' normalizes. Received: values from {low:.4g} to "
            f"{high:.4g}; divide images in [0, 255] by 255, or clip them"
        )
    if unit is False and low >= -_ROUNDING and high <= 1 + _ROUNDING:
        raise UserError(
            f"`images` must be on the scale of '{model.name}', whose first "
            "layer expects values far above 1, such as 0 to 255. Received: "
            f"values from {low:g} to {high:g}; multiply images in [0, 1] by 255"
        )


def _check_shape(model: keras.Model, images: NDArray[Any]) -> None:
    expected = _input_shape(model)
    if expected is None:
        return
    if not takes_shape(expected[1:], images.shape[-3:]):
        raise UserError(
            f"`images` must have the shape of the input of '{model.name}', "
            f"{expected}. Received: images.shape={images.shape}"
        )


def takes_shape(
    expected: Sequence[int | None], received: Sequence[int]
) -> bool:
    """Whether a shape is the expected one, where None is a size that varies."""
    return len(expected) == len(received) and all(
        size in (None, given)
        for size, given in zip(expected, received, strict=True)
    )


def _input_shape(model: keras.Model) -> tuple[int | None, ...] | None:
    """Returns the shape `(None, H, W, C)` of a model's input, if it has one."""
    try:
        shape = model.input_shape
    except (AttributeError, ValueError):
        # A subclassed model knows no input.
        return None
    return shape if isinstance(shape, tuple) else None


def takes_unit_range(model: keras.Model) -> bool | None:
    """Whether a model takes [0, 1], or larger numbers; None if unknown."""
    first = next(
        (op for op in _operations(model) if not isinstance(op, _KEEP_RANGE)),
        None,
    )
    if isinstance(first, keras.layers.Rescaling):
        scale = np.max(np.abs(np.asarray(first.scale, "float64")))
        return False if scale <= 1 / 127 else None
    if not isinstance(first, keras.layers.Normalization) or first.invert:
        return None
    if first.mean is None or first.variance is None:
        return None
    mean = np.asarray(ops.convert_to_numpy(first.mean), "float64")
    variance = np.asarray(ops.convert_to_numpy(first.variance), "float64")
    # Of numbers in [0, 1], the variance is at most mean (1 - mean). A mean of 0
    # with a variance of 1 is a layer that changes nothing.
    if np.all(variance <= mean * (1 - mean) + 1e-6) and np.any(mean > 0):
        return True
    return False if np.any(mean > 1) and np.all(mean >= 0) else None


def _operations(model: keras.Model) -> Iterator[keras.Operation]:
    """Yields what a model computes, in its order, with all inner models.

    These are layers, and operations such as the division of `inputs / 255`. A
    subclassed model, whose calls are not known, is one operation.
    """
    graph = keras_internals.functional_graph(model)
    if graph is None:
        yield model
    for node in keras_internals.graph_nodes(graph):
        if isinstance(node.operation, keras.Model):
            yield from _operations(node.operation)
        else:
            yield node.operation
