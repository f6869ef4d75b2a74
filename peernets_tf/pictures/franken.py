"""Figure 3 of the paper: Franken-images, clean and under attack."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from peernets_tf import datasets
from peernets_tf.evaluation import ImageStory
from peernets_tf.evaluation.story_words import backward_name
from peernets_tf.pictures import panels
from peernets_tf.pictures.style import Picture, Theme
from peernets_tf.records import dataset_name, network_name, radius_text


def franken_picture(story: ImageStory, dataset: str) -> Picture:
    """Returns the images of a story above their Franken-images.

    The two columns of an image are the clean one and the one under the last
    attack of the story.

    Args:
        story: the `ImageStory` of at most six images.
        dataset: str, the name of the data set, which names the classes.
    """
    attacked = story.views[-1]
    clean = story.views[0]
    assert clean.explanation is not None
    assert story.graph is not None
    model, count = network_name(story.model), len(clean.images)
    changed = int((attacked.predictions != clean.predictions).sum())
    layers = len(clean.explanation.layers)
    return Picture(
        name="figure_3_franken_images",
        title="Figure 3: images rebuilt from their peers",
        caption=(
            f"{model} on {count} test images of {dataset_name(dataset)} that "
            "it classifies correctly, each clean (left) and attacked (right): "
            f"PGD-{story.attack.steps} in L-infinity with epsilon "
            f"{radius_text(story.attack.epsilon)}, "
            f"{backward_name(attacked.backward)} (BPDA), which changes "
            f"{changed} of {count} predictions. The rows "
            f"{'below are' if layers > 1 else 'below is'} each image as a sum "
            f"of the pixels of {len(story.graph.images)} training images, "
            "weighted by the attention scores of one layer. Where a layer "
            "sees no pixel, its image is empty."
        ),
        alt=(
            f"Pairs of a clean and an attacked image in {count} columns; "
            "below them coarser images of similar shapes and colours, made of "
            "pixels of other images."
        ),
        draw=lambda theme: _draw(story, dataset, theme),
    )


def _draw(story: ImageStory, dataset: str, theme: Theme) -> Figure:
    views = (story.views[0], story.views[-1])
    explained = [view.explanation.layers for view in views if view.explanation]
    count, num_rows = len(views[0].images), 1 + len(explained[0])
    figure = Figure(
        figsize=(0.6 + 1.88 * count, 0.62 + 0.94 * num_rows),
        layout=ConstrainedLayoutEngine(
            w_pad=0.02, h_pad=0.02, wspace=0.0, hspace=0.02
        ),
    )
    # A narrow empty column between two images.
    widths = ([1, 1, 0.12] * count)[:-1]
    grid = figure.add_gridspec(num_rows, len(widths), width_ratios=widths)
    for i in range(count):
        for j, (view, layers) in enumerate(zip(views, explained, strict=True)):
            column = 3 * i + j
            axes = figure.add_subplot(grid[0, column])
            panels.show(axes, view.images[i], theme)
            label = int(view.predictions[i])
            is_changed = label != views[0].predictions[i]
            axes.set_title(
                f"{('clean', 'attacked')[j]}\n"
                f"{datasets.class_name(dataset, label)}\n"
                f"{100 * view.probabilities[i, label]:.0f} %",
                fontsize=9,
                fontweight="bold" if is_changed else "normal",
                color=theme.ink(story.model) if is_changed else theme.text,
                loc="center",
                linespacing=1.05,
                pad=3,
            )
            if column == 0:
                _name_row(axes, "image")
            for row, layer in enumerate(layers, start=1):
                axes = figure.add_subplot(grid[row, column])
                panels.show(axes, layer.franken[i], theme, layer.covered)
                if column == 0:
                    _name_row(axes, f"rebuilt at\n{layer.name}")
    return figure


def _name_row(axes: Axes, text: str) -> None:
    axes.set_ylabel(
        text, rotation=0, ha="right", va="center", fontsize=9, labelpad=6
    )
