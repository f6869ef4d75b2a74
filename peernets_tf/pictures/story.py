"""One image's story as a picture: prediction, Franken-images, peers."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from peernets_tf import datasets
from peernets_tf.evaluation import ImageStory, ImageView, PeerGraph
from peernets_tf.evaluation.story_words import backward_name
from peernets_tf.pictures import labels, panels
from peernets_tf.pictures.lines import drawn
from peernets_tf.pictures.style import Picture, Theme
from peernets_tf.records import network_name, radius_text

_NUM_CLASSES = 4
_NUM_PEERS = 5


def story_picture(story: ImageStory, dataset: str, image_name: str) -> Picture:
    """Returns a picture with a row for the clean image and for each attack.

    Args:
        story: the `ImageStory` of one image.
        dataset: str, the name of the data set, which names the classes.
        image_name: str, what captions call the image.
    """
    with_peers = ""
    if story.graph is not None:
        with_peers = (
            "; the image rebuilt from its peers' pixels by the attention of "
            "each layer; and the peers with the largest share of the "
            f"attention of all pixels, of {len(story.graph.images)} training "
            "images (mean over the layers)"
        )
    return Picture(
        name=f"story_{story.model}",
        title=f"What {network_name(story.model)} makes of {image_name}",
        caption=(
            f"{network_name(story.model)} on {image_name}, clean and under "
            f"PGD-{story.attack.steps} in L-infinity with epsilon "
            f"{radius_text(story.attack.epsilon)}: its probabilities"
            f"{with_peers}."
        ),
        alt=(
            "Rows of an image, clean and attacked, with bars of the classes' "
            "probabilities beside it."
        ),
        draw=lambda theme: _draw(story, dataset, image_name, theme),
    )


def _draw(
    story: ImageStory, dataset: str, image_name: str, theme: Theme
) -> Figure:
    clean = story.views[0].explanation
    layers = clean.layers if clean else ()
    peers = _NUM_PEERS if clean else 0
    widths = [1.0] * (1 + len(layers)) + [1.5] + [0.62] * peers
    figure = Figure(
        figsize=(1.1 + 1.5 * sum(widths), 0.9 + 1.62 * len(story.views)),
        layout=ConstrainedLayoutEngine(w_pad=0.04, h_pad=0.06, wspace=0.02),
    )
    figure.suptitle(
        drawn(f"{network_name(story.model)}: {labels.short(image_name)}"),
        fontsize=13,
        fontweight="bold",
        x=0.01,
        ha="left",
    )
    grid = figure.add_gridspec(
        len(story.views), len(widths), width_ratios=widths
    )
    for row, view in enumerate(story.views):
        axes = [figure.add_subplot(grid[row, i]) for i in range(len(widths))]
        panels.show(axes[0], view.images[0], theme)
        axes[0].set_ylabel(_row_name(story, view), fontsize=10)
        _bars(axes[1 + len(layers)], view, story, dataset, theme)
        if view.explanation is None or story.graph is None:
            continue
        for column, layer in enumerate(view.explanation.layers, start=1):
            panels.show(axes[column], layer.franken[0], theme, layer.covered)
            if row == 0:
                _head(axes[column], f"rebuilt at {layer.name}")
        _peers(axes[2 + len(layers) :], view, story.graph, dataset, theme)
        if row == 0:
            _head(axes[0], "image")
    return figure


def _row_name(story: ImageStory, view: ImageView) -> str:
    name = backward_name(view.backward)
    if view.backward is None:
        return name
    epsilon = radius_text(story.attack.epsilon)
    return f"PGD-{story.attack.steps}, {epsilon}\n{name}"


def _head(axes: Axes, text: str) -> None:
    axes.set_title(text, fontsize=10, loc="center", fontweight="normal")


def _bars(
    axes: Axes, view: ImageView, story: ImageStory, dataset: str, theme: Theme
) -> None:
    """Draws the largest probabilities, the largest one on top."""
    values = view.probabilities[0]
    classes = np.argsort(-values, kind="stable")[:_NUM_CLASSES]
    is_changed = classes[0] != story.views[0].predictions[0]
    colors = [theme.color(story.model)] + [theme.other] * (len(classes) - 1)
    bars = axes.barh(np.arange(len(classes)), values[classes], color=colors)
    axes.bar_label(
        bars,
        [f"{100 * value:.0f} %" for value in values[classes]],
        padding=3,
        fontsize=9,
    )
    names = [datasets.class_name(dataset, int(label)) for label in classes]
    axes.set_yticks(np.arange(len(classes)), names, fontsize=9)
    axes.get_yticklabels()[0].set_fontweight("bold")
    axes.set(xlim=(0, 1.3), xticks=[], ylim=(len(classes) - 0.4, -0.6))
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False)
    if view.backward is None:
        title = "probability"
    else:
        title = "fooled" if is_changed else "not fooled"
    axes.set_title(
        title,
        fontsize=10,
        loc="left",
        fontweight="bold" if is_changed else "normal",
    )


def _peers(
    axes: list[Axes],
    view: ImageView,
    graph: PeerGraph,
    dataset: str,
    theme: Theme,
) -> None:
    """Shows the peer images with the largest shares of the attention."""
    shares: Any = view.explanation.shares[0] if view.explanation else ()
    largest = np.argsort(-shares, kind="stable")
    for each, peer in zip(axes, largest, strict=False):
        panels.show(each, graph.images[peer], theme)
        # Smaller than the image, at the same height.
        each.set_anchor("N")
        name = datasets.class_name(dataset, int(graph.labels[peer]))
        panels.note(each, f"{name}\n{100 * shares[peer]:.1f} %")
    for each in axes[len(largest) :]:
        each.set_axis_off()
    if view.backward is None:
        middle = axes[len(axes) // 2]
        _head(middle, f"largest shares of attention, of {len(shares)} peers")
        # It is wider than its column.
        middle.title.set_in_layout(False)
