"""Where the pixels of a feature map lie in the model's input."""

import dataclasses
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

_SLIDING = (
    keras.layers.AveragePooling2D,
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.MaxPooling2D,
    keras.layers.SeparableConv2D,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Axis:
    """One axis of a feature map, measured in pixels of the image.

    Attributes:
        start: float, the centre of the receptive field of the map's first
            pixel; 0 is the centre of the image's first pixel.
        stride: float, the distance of two neighbouring pixels of the map.
        size: int, the pixels of the map.
    """

    start: float
    stride: float
    size: int

    def owners(self, length: int) -> NDArray[np.int_]:
        """Returns the pixel of the map that each pixel of the image belongs to.

        Args:
            length: int, the pixels of the image along this axis.

        Returns:
            Int array of shape `(length,)`, -1 where the map has no pixel: the
            margin that "valid" convolutions leave out.
        """
        places = (np.arange(length) - self.start) / self.stride
        owners = np.floor(places + 0.5).astype(int)
        return np.where((owners >= 0) & (owners < self.size), owners, -1)


def input_grid(
    model: keras.Model,
    layer: keras.layers.Layer,
    map_size: tuple[int, int],
    image_size: tuple[int, int],
) -> tuple[Axis, Axis]:
    """Returns the rows and the columns of the map that enters a layer.

    The centres of receptive fields follow from the strides, kernels and
    paddings of the convolutions and poolings before the layer; where paths
    meet, as in a ResNet's block, the mean of their centres counts. For LeNet-5
    the second map begins 4.5 pixels inside the image, because its convolution
    is not padded.

    Where that is not known (a layer inside a nested or subclassed model, after
    a layer that changes the size in another way, or in `channels_first`), the
    map is taken to cover the whole image evenly.

    Args:
        model: a built Keras model.
        layer: one of its layers.
        map_size: tuple `(h, w)`, the size of the map.
        image_size: tuple `(H, W)`, the size of the model's input.
    """
    centers = _centers(model, layer)
    if centers is None:
        centers = [
            ((length / size - 1) / 2, length / size)
            for size, length in zip(map_size, image_size, strict=True)
        ]
    rows, columns = (
        Axis(start=start, stride=stride, size=size)
        for (start, stride), size in zip(centers, map_size, strict=True)
    )
    return rows, columns


# The start and the stride of both axes of a map.
_Centers = list[tuple[float, float]]


def _centers(model: keras.Model, layer: keras.layers.Layer) -> _Centers | None:
    if len(getattr(model, "inputs", None) or ()) != 1:
        return None
    known: dict[int, _Centers] = {id(model.inputs[0]): [(0.0, 1.0)] * 2}
    for operation in getattr(model, "operations", model.layers):
        try:
            inputs = keras.tree.flatten(operation.input)
            output = operation.output
        except (AttributeError, ValueError):
            # It is called more than once.
            continue
        if operation is layer:
            return known.get(id(inputs[0]))
        found = [known.get(id(tensor)) for tensor in inputs]
        paths = [path for path in found if path is not None]
        if not paths or len(paths) < len(found) or isinstance(output, list):
            continue
        after = _after(operation, inputs, output, _mean(paths))
        if after is not None:
            known[id(output)] = after
    return None


def _mean(paths: list[_Centers]) -> _Centers:
    means = np.mean(np.asarray(paths), axis=0)
    return [(float(start), float(stride)) for start, stride in means]


def _after(
    operation: Any, inputs: list[Any], output: Any, centers: _Centers
) -> _Centers | None:
    """Returns the centres of what an operation returns, or None."""
    if getattr(operation, "data_format", None) == "channels_first":
        return None
    sizes = [tensor.shape[1:-1] for tensor in (*inputs, output)]
    if any(len(size) != 2 or None in size for size in sizes):
        return None
    if not isinstance(operation, _SLIDING):
        return centers if len(set(sizes)) == 1 else None
    is_pooling = hasattr(operation, "pool_size")
    kernels = operation.pool_size if is_pooling else operation.kernel_size
    dilations = (1, 1) if is_pooling else operation.dilation_rate
    moved = []
    for axis, (start, stride) in enumerate(centers):
        reach = (kernels[axis] - 1) * dilations[axis]
        step = operation.strides[axis]
        before = 0
        if operation.padding == "same":
            covered = (output.shape[1 + axis] - 1) * step + reach + 1
            before = max(covered - inputs[0].shape[1 + axis], 0) // 2
        moved.append((start + (reach / 2 - before) * stride, stride * step))
    return moved
