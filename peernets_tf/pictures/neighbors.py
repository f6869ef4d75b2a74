"""Figure 1 of the paper: three pixels and their nearest peer pixels."""

import dataclasses

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from peernets_tf.evaluation import ImageStory, LayerExplanation
from peernets_tf.pictures import panels
from peernets_tf.pictures.style import Picture, Theme
from peernets_tf.records import dataset_name, network_name

_NAMES = "ABC"
# Vermilion, bluish green and blue of Okabe and Ito, lighter on dark.
_COLORS = {
    "light": ("#d55e00", "#009e73", "#0072b2"),
    "dark": ("#ff8a3d", "#3fd0a4", "#4db2ec"),
}
_COLUMNS = 5
_DASHES = (0, (3, 2))


@dataclasses.dataclass(frozen=True)
class _Place:
    """A pixel of a map."""

    row: int
    column: int


def neighbors_picture(story: ImageStory, dataset: str, image: int) -> Picture:
    """Returns three pixels of an image, their neighbours and their features.

    The pixels are those of the first PeerRegularization layer with the largest
    features, a third of the map apart.

    Args:
        story: the `ImageStory`, whose clean images are shown.
        dataset: str, the name of the data set.
        image: int, which of the images.
    """
    explanation = story.views[0].explanation
    assert explanation is not None
    assert story.graph is not None
    layer = explanation.layers[0]
    places = _choose(layer, image)
    num_neighbors = layer.attention.shape[-1]
    height, width = layer.features.shape[1:3]
    return Picture(
        name="figure_1_neighbors",
        title="Figure 1: three pixels and their nearest peer pixels",
        caption=(
            f"{network_name(story.model)} on one test image of "
            f"{dataset_name(dataset)}. For each of three pixels of the "
            f"{height} x {width} map that enters layer {layer.name}: the "
            f"{num_neighbors} nearest pixels among {len(story.graph.images)} "
            "training images, nearest first, with their attention scores, and "
            "the features of the pixel (thick), of its neighbours (thin) and "
            "of what replaces it (dashed)."
        ),
        alt=(
            "An image with three marked pixels; beside each the training "
            "images that hold its nearest pixels, with scores, and curves of "
            "features that nearly coincide."
        ),
        draw=lambda theme: _draw(story, layer, places, image, theme),
    )


def _choose(layer: LayerExplanation, image: int) -> list[_Place]:
    """Returns three pixels of large features, apart from each other."""
    norms = np.linalg.norm(layer.features[image], axis=-1)
    norms = np.where(np.isfinite(norms), norms, 0)
    apart = min(norms.shape) // 3
    chosen: list[_Place] = []
    for index in np.argsort(-norms, axis=None, kind="stable"):
        row, column = map(int, np.unravel_index(index, norms.shape))
        if all(
            max(abs(row - p.row), abs(column - p.column)) >= apart
            for p in chosen
        ):
            chosen.append(_Place(row, column))
        if len(chosen) == len(_NAMES):
            break
    return sorted(chosen, key=lambda place: (place.row, place.column))


def _draw(
    story: ImageStory,
    layer: LayerExplanation,
    places: list[_Place],
    image: int,
    theme: Theme,
) -> Figure:
    figure = Figure(
        figsize=(10, 7),
        layout=ConstrainedLayoutEngine(w_pad=0.05, h_pad=0.05, wspace=0.02),
    )
    num_neighbors = layer.attention.shape[-1]
    rows_of_neighbors = -(-num_neighbors // _COLUMNS)
    left, right = figure.subfigures(
        1, 2, width_ratios=[1, 2.9], squeeze=False
    ).ravel()
    axes = left.subplots()
    panels.show(axes, story.views[0].images[image], theme)
    axes.set_title("the image", fontsize=10, loc="center")
    _legend(axes, theme)
    bands = right.subfigures(len(places), 1, squeeze=False).ravel()
    for name, color, place, band in zip(
        _NAMES, _COLORS[theme.name], places, bands, strict=False
    ):
        _mark(axes, layer, place, color)
        _name(axes, layer, place, name, color)
        grid = band.add_gridspec(
            rows_of_neighbors,
            _COLUMNS + 1,
            width_ratios=[3.2] + [1] * _COLUMNS,
        )
        _profiles(
            band.add_subplot(grid[:, 0]),
            layer,
            image,
            place,
            name,
            color,
            theme,
        )
        for k in range(num_neighbors):
            small = band.add_subplot(grid[k // _COLUMNS, 1 + k % _COLUMNS])
            _neighbor(small, story, layer, image, place, k, color, theme)
    return figure


def _legend(axes: Axes, theme: Theme) -> None:
    """Says below the image what the curves are."""
    axes.legend(
        handles=[
            Line2D([], [], color=theme.text, linewidth=2.2),
            Line2D([], [], color=theme.other, linewidth=0.8),
            Line2D([], [], color=theme.text, linewidth=1.3, linestyle=_DASHES),
        ],
        labels=[
            "the pixel (its colour)",
            "its nearest peer pixels",
            "their mean by attention,\nwhich replaces it",
        ],
        loc="upper left",
        bbox_to_anchor=(0, -0.04),
        borderaxespad=0,
        fontsize=9,
        handlelength=1.6,
    )


def _profiles(
    axes: Axes,
    layer: LayerExplanation,
    image: int,
    place: _Place,
    name: str,
    color: str,
    theme: Theme,
) -> None:
    """Draws the features of a pixel, its neighbours and their mean."""
    neighbors = layer.neighbor_features(image, place.row, place.column)
    weights = layer.attention[image, place.row, place.column]
    channels = np.arange(neighbors.shape[1])
    axes.plot(
        channels, neighbors.T, color=theme.other, linewidth=0.8, alpha=0.7
    )
    axes.plot(
        channels,
        layer.features[image, place.row, place.column],
        color=color,
        linewidth=2.2,
    )
    axes.plot(
        channels,
        weights @ neighbors,
        color=theme.text,
        linewidth=1.3,
        linestyle=_DASHES,
    )
    axes.set_title(
        f"pixel {name}: row {place.row}, column {place.column}",
        fontsize=10,
        color=color,
    )
    axes.set_xlabel("channel", fontsize=9)
    axes.set_ylabel("feature", fontsize=9)
    axes.tick_params(labelsize=8)


def _neighbor(
    axes: Axes,
    story: ImageStory,
    layer: LayerExplanation,
    image: int,
    place: _Place,
    k: int,
    color: str,
    theme: Theme,
) -> None:
    """Shows the peer image of one neighbour, with its score."""
    assert story.graph is not None
    where = (image, place.row, place.column, k)
    panels.show(axes, story.graph.images[layer.peers[where]], theme)
    found = _Place(int(layer.rows[where]), int(layer.columns[where]))
    _mark(axes, layer, found, color)
    score = f"{layer.attention[where]:.3f}"
    axes.set_title(
        f"score {score}" if k == 0 else score,
        fontsize=8,
        loc="center",
        pad=2,
        fontweight="normal",
    )


def _center(layer: LayerExplanation, place: _Place) -> tuple[float, float]:
    rows, columns = layer.grid
    return (
        columns.start + columns.stride * place.column,
        rows.start + rows.stride * place.row,
    )


def _mark(
    axes: Axes, layer: LayerExplanation, place: _Place, color: str
) -> None:
    """Frames the pixels of the image that a pixel of the map stands for."""
    x, y = _center(layer, place)
    height, width = (max(axis.stride, 1.0) + 1.6 for axis in layer.grid)
    for outline, edge in ((3.6, "white"), (1.8, color)):
        axes.add_patch(
            Rectangle(
                (x - width / 2, y - height / 2),
                width,
                height,
                fill=False,
                edgecolor=edge,
                linewidth=outline,
            )
        )


def _name(
    axes: Axes, layer: LayerExplanation, place: _Place, name: str, color: str
) -> None:
    x, y = _center(layer, place)
    is_right = x > axes.get_xlim()[1] / 2
    axes.annotate(
        name,
        (x, y),
        xytext=(-14 if is_right else 14, 0),
        textcoords="offset points",
        color="white",
        fontsize=10,
        fontweight="bold",
        ha="center",
        va="center",
        bbox={"boxstyle": "round,pad=0.2", "facecolor": color, "linewidth": 0},
    )
