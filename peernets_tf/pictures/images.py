"""Small images inside of a picture, and the words beside them."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from peernets_tf.pictures.style import Theme

_MODEL_NAMES = {"lenet5": "LeNet-5", "resnet32": "ResNet-32"}


def model_title(name: str) -> str:
    """Returns a model's name as papers write it, such as `"PR-ResNet-32"`."""
    base = name.removeprefix("pr_")
    title = _MODEL_NAMES.get(base)
    if title is None:
        return name
    return title if base == name else f"PR-{title}"


def show_image(
    axes: Axes,
    image: NDArray[Any],
    theme: Theme,
    covered: NDArray[np.bool_] | None = None,
) -> None:
    """Shows an image with its pixels as squares, and no ticks.

    Args:
        axes: where to.
        image: float array of shape `(H, W, C)` in [0, 1], C = 1 or 3.
        theme: the `Theme`.
        covered: bool array of shape `(H, W)` or None; other pixels are empty.
    """
    height, width, channels = image.shape
    shown = np.ones((height, width, 4))
    shown[..., :3] = np.repeat(image, 3 // channels, axis=-1)
    if covered is not None:
        shown[..., 3] = covered
    axes.imshow(shown.clip(0, 1), interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set(visible=True, color=theme.line, linewidth=0.8)
