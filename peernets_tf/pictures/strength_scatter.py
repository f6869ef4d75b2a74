"""The strength that fools one network against that for others, as points."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter
from numpy.typing import NDArray

from peernets_tf.pictures import labels
from peernets_tf.pictures.lines import WIDTH, text_box
from peernets_tf.pictures.smallest import Found, View
from peernets_tf.pictures.style import LINE_STYLES, Picture, Theme
from peernets_tf.records import dataset_name, network_name

_LARGEST = 255.0
_NORM = "smallest L∞ norm that fools (0-255 scale)"


def scatter_picture(
    dataset: str,
    views: Sequence[View],
    found: Sequence[Found],
    attack: str,
) -> Picture:
    """Returns a point for each image and each network but the first.

    Args:
        dataset: str, the data set's name.
        views: sequence of `View`s. The first is that of the horizontal axis.
        found: sequence of `Found`, one for each view, of the same images.
        attack: str, what the caption calls the attack.
    """
    first, others = views[0], views[1:]
    x = _strengths(found[0])

    def draw(theme: Theme) -> Figure:
        figure = Figure(figsize=(WIDTH, 5.2))
        axes = figure.subplots()
        low = min(float(_strengths(each).min()) for each in found) / 1.5
        # As far right as the first network needs, so that points fill the
        # axes.
        right = min(4 * float(x.max()), 1.5 * _LARGEST)
        axes.plot([low, right], [low, right], color=theme.line, zorder=1)
        axes.annotate(
            "equally strong",
            # On the line, to the right of all points.
            (right / 2, right / 2),
            horizontalalignment="center",
            verticalalignment="center",
            fontsize=9,
            bbox=text_box(theme),
        )
        for view, each in zip(others, found[1:], strict=True):
            # Filled where the gradient is exact, for black and white, too.
            color = theme.color(view.model)
            is_exact = view.backward == "exact"
            axes.scatter(
                x,
                _strengths(each),
                marker=LINE_STYLES[view.backward].marker,
                s=34,
                facecolors=color if is_exact else "none",
                edgecolors=color,
                linewidths=1.5,
                label=view.label,
                zorder=2,
            )
        axes.set(
            xscale="log",
            yscale="log",
            xlim=(low, right),
            ylim=(low, 1.5 * _LARGEST),
            xlabel=f"{first.label}: {_NORM}",
            ylabel=f"{_names(others)}: {_NORM}",
        )
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axis.set_minor_locator(NullLocator())
        figure.legend(loc="outside upper left", ncols=len(others))
        return figure

    summary = _summary(views, found)
    return Picture(
        name="figure_9_strength_of_each_image",
        title="Figure 9 in numbers: the strength that fools each network",
        caption=(
            f"{len(x)} test images of {dataset_name(dataset)} that all "
            "networks classify correctly, the first of them: the L-infinity "
            "norm of the smallest perturbation that fools each network, on the "
            f"0-255 pixel scale, found by {attack}. Above the line the network "
            f"of the vertical axis needs more. {summary} A network that "
            "nothing fooled stands at 255."
        ),
        alt=f"Points for {len(x)} images on logarithmic axes. {summary}",
        draw=draw,
    )


def _strengths(found: Found) -> NDArray[np.float64]:
    """Returns the L-infinity norms, 255 where nothing fooled."""
    return np.where(found.fooled, found.linf, _LARGEST)


def _names(views: Sequence[View]) -> str:
    return labels.listed(network_name(view.model) for view in views)


def _summary(views: Sequence[View], found: Sequence[Found]) -> str:
    """Says each median and how many images nothing fooled."""
    parts = []
    for view, each in zip(views, found, strict=True):
        text = f"{view.label}: median {np.median(_strengths(each)):.3g}"
        left = int(np.sum(~each.fooled))
        parts.append(f"{text}, {left} not fooled" if left else text)
    return f"{'; '.join(parts)}."
